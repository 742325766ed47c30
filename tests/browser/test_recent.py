"""The recent uploads: pages, links, and deletion."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.visits import Complaints, ids, screenshot, tiles, wait_for_upload
from tests.http_client import http
from tests.photographs import photograph
from tests.pictures import png
from tests.service import PATIENT, Service

pytestmark = pytest.mark.slow

COUNT = 27


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two full pages of uploads and three more."""
    with Service(tmp_path_factory.mktemp("many"), WARM_UP="false", **PATIENT) as running:
        picture = png(photograph("chelsea.png").resize((150, 100)))
        for _ in range(COUNT):
            http.post(f"{running.url}/images/upload", files={"image": ("a.png", picture)})
        yield running


def linked(page: Page) -> list[str]:
    return [link.get_attribute("href")[1:] for link in tiles(page).get_by_role("link").all()]


def test_pages_lead_to_the_oldest_upload_and_back(page: Page, service: Service) -> None:
    older, newer = page.get_by_role("button", name="Older"), page.get_by_role("button", name="Newer")
    all_ids = ids(service)
    expect(tiles(page)).to_have_count(12)
    expect(newer).to_be_hidden()
    assert linked(page) == all_ids[:12]

    older.click()
    expect(page.get_by_role("status")).to_have_text("Page 2 of recent uploads")
    assert linked(page) == all_ids[12:24]
    older.click()
    expect(tiles(page)).to_have_count(len(all_ids) - 24)
    assert linked(page) == all_ids[24:]
    expect(older).to_be_hidden()
    expect(page.get_by_role("heading", name="Recent uploads")).to_be_focused()

    newer.click()
    newer.click()
    expect(page.get_by_role("status")).to_have_text("Page 1 of recent uploads")
    assert linked(page) == all_ids[:12]

    older.dblclick()
    expect(page.get_by_role("status")).to_have_text("Page 2 of recent uploads")
    assert linked(page) == all_ids[12:24]


def test_linked_upload_opens_and_stays_open_after_a_reload(page: Page, service: Service) -> None:
    wanted = ids(service)[3]
    tiles(page).nth(3).get_by_role("link").click()
    assert wait_for_upload(page) == wanted
    expect(page.get_by_role("heading", name="Details")).to_be_focused()

    page.reload()
    assert wait_for_upload(page) == wanted
    assert page.url == f"{service.url}/#{wanted}"


def test_deletion_asks_for_confirmation(page: Page, service: Service, complaints: Complaints) -> None:
    before = ids(service)
    complaints.allow_missing(before[0])
    page.goto(f"/#{before[0]}")
    wait_for_upload(page)
    delete = page.get_by_role("button", name="Delete this upload")
    dialog = page.get_by_role("dialog", name="Delete this upload?")

    delete.click()
    screenshot(page, "deletion")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    delete.click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert ids(service) == before

    delete.click()
    dialog.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("status")).to_have_text("Deleted: the original and every variant.")
    expect(page.locator("#details")).to_be_hidden()
    expect(page.locator(f'#recent a[href="#{before[0]}"]')).to_have_count(0)
    assert ids(service) == before[1:]
    assert page.url == f"{service.url}/"


def test_deleting_the_last_upload_of_a_page_shows_the_page_before(
    page: Page, service: Service, complaints: Complaints
) -> None:
    older = page.get_by_role("button", name="Older")
    expect(tiles(page)).to_have_count(12)
    older.click()
    expect(page.get_by_role("status")).to_have_text("Page 2 of recent uploads")
    older.click()
    expect(page.get_by_role("status")).to_have_text("Page 3 of recent uploads")
    last, *others = linked(page)
    for other in others:
        complaints.allow_missing(other)
        http.delete(f"{service.url}/images/{other}")
    complaints.allow_missing(last)

    tiles(page).first.get_by_role("link").click()
    assert wait_for_upload(page) == last
    page.get_by_role("button", name="Delete this upload").click()
    page.get_by_role("button", name="Delete it").click()

    expect(page.locator(f'#recent a[href="#{last}"]')).to_have_count(0)
    expect(tiles(page)).to_have_count(12)
    expect(page.get_by_role("region", name="Recent uploads")).to_contain_text("Page 2")
    expect(older).to_be_hidden()


def test_deletion_keeps_another_upload_open(page: Page, service: Service, complaints: Complaints) -> None:
    deleted, other = ids(service)[:2]
    complaints.allow_missing(deleted)
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright sets attributes on its handler, which `held.append` does not allow
        held.append(route) if route.request.method == "DELETE" else route.continue_()

    page.route(f"**/images/{deleted}", hold)
    page.goto(f"/#{deleted}")
    wait_for_upload(page)
    page.get_by_role("button", name="Delete this upload").click()
    page.get_by_role("button", name="Delete it").click()
    page.locator(f'#recent a[href="#{other}"]').click()
    expect(page.locator("#details [data-part=id]")).to_have_text(other)
    held[0].continue_()

    expect(page.get_by_role("status")).to_have_text("Deleted: the original and every variant.")
    expect(page.locator(f'#recent a[href="#{deleted}"]')).to_have_count(0)
    assert wait_for_upload(page) == other
    assert page.url == f"{service.url}/#{other}"


def test_upload_deleted_by_another_client_is_reported(page: Page, service: Service, complaints: Complaints) -> None:
    complaints.expect("404 (Not Found)")
    gone = ids(service)[0]
    page.route("**/events", lambda _: None)  # which would report the deletion first
    page.goto(f"/#{gone}")
    wait_for_upload(page)
    http.delete(f"{service.url}/images/{gone}")
    page.get_by_role("button", name="Delete this upload").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("status")).to_have_text("This upload was already deleted.")

    page.goto("/")
    page.goto(f"/#{gone}")
    expect(page.locator("#details .problem")).to_contain_text("No such upload")


def test_failed_deletion_keeps_the_upload_open_and_shows_the_reason(
    page: Page, service: Service, complaints: Complaints
) -> None:
    complaints.expect("503 (Service Unavailable)")
    kept = ids(service)[0]
    page.goto(f"/#{kept}")
    wait_for_upload(page)
    answer = '{"title": "CDN unavailable", "detail": "Repeat the call."}'
    page.route(f"**/images/{kept}", lambda route: route.fulfill(status=503, body=answer, headers={"Retry-After": "1"}))
    page.get_by_role("button", name="Delete this upload").click()
    page.get_by_role("button", name="Delete it").click()

    expect(page.locator("#details .problem")).to_have_text("CDN unavailable. Repeat the call. Try again in 1 second.")
    expect(page.locator("#details [data-part=content]")).to_be_visible()


def test_uploads_are_found_by_name_id_and_owner(page: Page, service: Service) -> None:
    name = "Straße <b> & 你好.png"
    files = {"image": ("a.png", png(photograph("chelsea.png").resize((150, 100))))}
    fields = {"metadata": json.dumps({"fileName": name}), "owner": "zoë"}
    wanted = http.post(f"{service.url}/images/upload", files=files, data=fields).json()["uploadId"]
    for _ in range(13):  # so that it is not on the first page
        http.post(f"{service.url}/images/upload", files=files)
    page.reload()
    expect(tiles(page)).to_have_count(12)
    query, owner = page.get_by_label("Name or ID"), page.get_by_label("Owner")

    for text in ("straße <B>", wanted[9:20], wanted):
        query.fill(text)
        query.press("Enter")
        expect(tiles(page)).to_have_count(1)
        assert linked(page) == [wanted]
    expect(tiles(page)).to_contain_text(name)
    expect(page.get_by_role("status")).to_have_text("1 upload found.")
    page.get_by_role("button", name="Show all").click()
    expect(tiles(page)).to_have_count(12)

    owner.fill("zoë")
    owner.press("Enter")
    expect(tiles(page)).to_have_count(1)
    query.fill("dog")
    query.press("Enter")
    expect(page.locator("#recent")).to_contain_text("No upload matches.")


def test_selected_uploads_are_copied_and_deleted(page: Page, service: Service, complaints: Complaints) -> None:
    first, second, third = ids(service)[:3]
    for each in (first, second):
        complaints.allow_missing(each)
    page.goto(f"/#{first}")
    wait_for_upload(page)
    selection = page.get_by_role("group", name="Selected uploads")
    boxes = tiles(page).get_by_role("checkbox")
    expect(selection).to_be_hidden()
    for index in range(3):
        boxes.nth(index).check()
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_role("status")).to_have_text("Page 2 of recent uploads")
    expect(selection).to_contain_text("3 selected")
    page.get_by_role("button", name="Newer").click()
    expect(page.get_by_role("status")).to_have_text("Page 1 of recent uploads")
    expect(boxes.nth(2)).to_be_checked()
    boxes.nth(2).uncheck()

    selection.get_by_role("button", name="Copy IDs").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{first}\n{second}"
    selection.get_by_role("button", name="Copy URLs").click()
    expect(selection.get_by_role("button", name="Copied")).to_have_count(2)
    urls = [f"{service.url}/images/{each}/large.webp" for each in (first, second)]
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == urls

    selection.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete 2 uploads?")
    dialog.get_by_role("button", name="Keep it").click()
    assert ids(service)[:2] == [first, second]
    complaints.expect("503 (Service Unavailable)")
    busy = '{"title": "CDN unavailable"}'
    page.route(
        f"**/images/{second}",
        lambda route: route.fulfill(status=503, body=busy) if route.request.method == "DELETE" else route.continue_(),
    )
    selection.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete it").click()
    expect(selection).to_contain_text("1 selected")
    expect(selection).to_contain_text("1 not deleted: CDN unavailable")
    assert first not in ids(service)
    assert second in ids(service)
    page.unroute_all()
    selection.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete this upload?").get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("status")).to_have_text("1 upload deleted.")
    expect(selection).to_be_hidden()
    expect(page.locator("#details")).to_be_hidden()  # it was one of them
    assert ids(service)[0] == third
    expect(tiles(page).get_by_role("link").first).to_have_attribute("href", f"#{third}")


def test_failed_list_shows_the_problem_and_can_be_retried(page: Page, complaints: Complaints) -> None:
    complaints.expect("503 (Service Unavailable)")
    page.route("**/images?*", lambda route: route.fulfill(status=503, body='{"title": "Database unavailable"}'))
    page.reload()
    expect(page.locator("#recent .problem")).to_contain_text("Database unavailable")

    page.unroute("**/images?*")
    page.get_by_role("button", name="Try again").click()
    expect(tiles(page)).to_have_count(12)
    expect(page.locator("#recent .problem")).to_be_hidden()
