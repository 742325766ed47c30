"""Uploads: chosen, dropped or pasted files, each with its progress or its error."""

import base64
import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.visits import Complaints, choose, item, screenshot, wait_for_upload
from tests.http_client import http
from tests.photographs import photograph, photograph_bytes
from tests.pictures import png
from tests.service import PATIENT, Service

RECORD_PROGRESS = """() => {
    window.seen = []
    const note = ({target}) => window.seen.push([target.getAttribute("aria-label"), target.value])
    const observed = {subtree: true, attributes: true, attributeFilter: ["value"]}
    new MutationObserver((records) => records.forEach(note)).observe(document.body, observed)
}"""
FILES_OF = """([name, base64]) => {
    const transfer = new DataTransfer()
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
    transfer.items.add(new File([bytes], name, {type: "image/png"}))
    return transfer
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("uploads"), WARM_UP="false", **PATIENT) as running:
        yield running


def ids(service: Service) -> list[str]:
    return [image["uploadId"] for image in http.get(f"{service.url}/images?limit=100").json()["images"]]


def throttle(page: Page, bytes_per_second: int) -> None:
    client = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    client.send("Network.emulateNetworkConditions", conditions)


def test_several_files_upload_with_preview_and_progress(page: Page, service: Service) -> None:
    before = ids(service)
    page.evaluate(RECORD_PROGRESS)
    throttle(page, 1_500_000)
    choose(page, "coffee.png", "astronaut.png", "chelsea.png")

    for name, size in {"coffee.png": "300 × 200", "astronaut.png": "240 × 240", "chelsea.png": "301 × 199"}.items():
        line = item(page, name)
        expect(line).to_have_attribute("data-state", "uploaded")
        expect(line).to_contain_text(f"Uploaded: PNG, {size}")
        assert line.locator("img").evaluate("image => image.naturalWidth") == int(size.split()[0])
        shares = [share for label, share in page.evaluate("seen") if label == f"Upload of {name}"]
        assert any(0 < share < 1 for share in shares)
        assert shares == sorted(shares)
        assert shares[-1] == 1
    assert len(ids(service)) == len(before) + 3


@pytest.mark.slow
def test_first_upload_is_opened_and_linked(page: Page, service: Service) -> None:
    choose(page, "coffee.png")
    upload_id = wait_for_upload(page)

    assert page.url == f"{service.url}/#{upload_id}"
    assert item(page, "coffee.png").get_by_role("link").get_attribute("href") == f"#{upload_id}"
    expect(page.get_by_role("status")).to_have_text("coffee.png uploaded")
    assert http.get(f"{service.url}/images/{upload_id}").json()["metadata"] == {"fileName": "coffee.png"}
    expect(page.locator("#recent [data-part=name]").first).to_have_text("coffee.png")


def test_rejection_shows_the_servers_message(page: Page, complaints: Complaints) -> None:
    complaints.expect("400 (Bad Request)")
    complaints.expect("422 (Unprocessable")
    files = [
        {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture at all"},
        {"name": "tiny.png", "mimeType": "image/png", "buffer": png(photograph("coffee.png").resize((60, 40)))},
    ]
    page.get_by_label("Drop images here").set_input_files(files)

    expect(item(page, "notes.png")).to_contain_text("Not an image of an accepted format")
    expect(item(page, "notes.png")).to_contain_text("Send a JPEG, PNG or WebP image.")
    expect(item(page, "tiny.png")).to_contain_text("60x40")
    for name in ("notes.png", "tiny.png"):
        expect(item(page, name)).to_have_attribute("data-state", "rejected")
        expect(item(page, name).get_by_role("button", name="Try again")).to_be_hidden()
    expect(page.get_by_role("status")).to_contain_text(".png: ")
    screenshot(page, "refusals")

    page.get_by_role("button", name="Dismiss notes.png").click()
    expect(item(page, "notes.png")).to_have_count(0)
    expect(page.get_by_role("button", name="Dismiss tiny.png")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#queue > li")).to_have_count(0)
    expect(page.locator("#image")).to_be_focused()


@pytest.mark.slow
def test_file_name_with_markup_is_shown_as_text(page: Page) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    page.on("dialog", lambda _: (_ for _ in ()).throw(AssertionError("the name was run")))
    page.get_by_label("Drop images here").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": photograph_bytes("chelsea.png")}
    )

    expect(page.locator("#queue [data-part=name]")).to_have_text(name)
    expect(item(page, name)).to_have_attribute("data-state", "uploaded")
    expect(page.locator("#queue img")).to_have_count(1)


@pytest.mark.slow
def test_three_uploads_run_at_a_time(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright sets attributes on its handler, which `held.append` does not allow
        held.append(route)

    page.route("**/images/upload", hold)
    choose(page, "coffee.png", "astronaut.png", "chelsea.png", "grass.png", "camera.png")
    sending = page.locator("#queue > li:is([data-state=sending], [data-state=checking])")
    waiting = page.locator("#queue > [data-state=waiting]")

    expect(sending).to_have_count(3)
    expect(waiting).to_have_count(2)
    page.wait_for_timeout(300)
    assert len(held) == 3

    held[0].continue_()
    expect(waiting).to_have_count(1)
    item(page, "camera.png").get_by_role("button", name="Cancel").click()
    expect(waiting).to_have_count(0)
    for route in held[1:]:
        route.continue_()
    page.unroute("**/images/upload")
    expect(page.locator("#queue > [data-state=uploaded]")).to_have_count(4)
    expect(item(page, "camera.png")).to_contain_text("Cancelled")


@pytest.mark.slow
def test_cancelled_upload_aborts_and_can_be_retried(page: Page, service: Service) -> None:
    before = ids(service)
    page.route("**/images/upload", lambda _: None)
    choose(page, "coffee.png")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/images/upload")):
        item(page, "coffee.png").get_by_role("button", name="Cancel").click()
    assert ids(service) == before

    page.unroute("**/images/upload")
    again = item(page, "coffee.png").get_by_role("button", name="Try again")
    expect(again).to_be_focused()
    again.click()
    expect(item(page, "coffee.png")).to_have_attribute("data-state", "uploaded")


@pytest.mark.slow
def test_503_shows_retry_after_and_can_be_retried(page: Page, complaints: Complaints) -> None:
    complaints.expect("503 (Service Unavailable)")
    body = {"title": "Too busy", "status": 503, "detail": "Too many pictures wait already.", "code": "overloaded"}
    answer = {"status": 503, "headers": {"Retry-After": "7"}, "body": json.dumps(body)}
    page.route("**/images/upload", lambda route: route.fulfill(**answer))
    choose(page, "coffee.png")

    expect(item(page, "coffee.png")).to_contain_text("Too busy")
    expect(item(page, "coffee.png")).to_contain_text("Too many pictures wait already. Try again in 7 seconds.")
    page.unroute("**/images/upload")
    item(page, "coffee.png").get_by_role("button", name="Try again").click()
    expect(item(page, "coffee.png")).to_have_attribute("data-state", "uploaded")
    expect(item(page, "coffee.png")).not_to_contain_text("Too busy")


@pytest.mark.slow
def test_unreachable_server_is_reported_and_can_be_retried(page: Page, complaints: Complaints) -> None:
    complaints.expect("ERR_CONNECTION_REFUSED")
    page.route("**/images/upload", lambda route: route.abort("connectionrefused"))
    choose(page, "coffee.png")

    expect(item(page, "coffee.png")).to_contain_text("The server cannot be reached")
    expect(item(page, "coffee.png").get_by_role("button", name="Try again")).to_be_visible()


@pytest.mark.slow
def test_dropped_and_pasted_files_are_uploaded(page: Page) -> None:
    for kind, name in (("drop", "coffee.png"), ("paste", "chelsea.png")):
        transfer = page.evaluate_handle(FILES_OF, [name, base64.b64encode(photograph_bytes(name)).decode()])
        if kind == "drop":
            page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
            expect(page.locator("#drop-zone")).to_have_attribute("data-over", "")
            page.dispatch_event("body", "drop", {"dataTransfer": transfer})
            expect(page.locator("#drop-zone")).not_to_have_attribute("data-over", "")
        else:
            page.evaluate(
                "clipboardData => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData}))", transfer
            )
        expect(item(page, name)).to_have_attribute("data-state", "uploaded")


def test_form_uploads_without_javascript(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.get_by_label("Drop images here").set_input_files(
        {"name": "coffee.png", "mimeType": "image/png", "buffer": photograph_bytes("coffee.png")}
    )
    screenshot(page, "without-javascript")
    with page.expect_response("**/images/upload") as answer:
        page.get_by_role("button", name="Upload").click()
    assert answer.value.status == 201
