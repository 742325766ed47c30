"""The API key: requested once, stored in the tab, sent as a header, and found nowhere else."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import OpenPage, small_service
from tests.browser.visits import Complaints, choose, item, screenshot, wait_for_upload, wait_for_warm_up
from tests.service import Service

pytestmark = pytest.mark.slow

KEY = "safelight-4711-4711"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with small_service(tmp_path_factory.mktemp("locked"), API_KEYS=f"another-another-another,{KEY}") as running:
        yield running


@pytest.fixture
def locked(page: Page, complaints: Complaints) -> Page:
    """The page, which asks for a key at once because the recent uploads need one."""
    complaints.expect("401 (Unauthorized)")
    expect(page.get_by_role("dialog")).to_be_visible()
    return page


def give(page: Page, key: str) -> None:
    page.get_by_label("API key", exact=True).fill(key)
    page.keyboard.press("Enter")


def test_wrong_key_is_rejected_and_right_key_unlocks_every_call(
    locked: Page, service: Service, complaints: Complaints
) -> None:
    requests: list[Request] = []

    def note(
        request: Request,
    ) -> None:  # Playwright sets attributes on its handler, which `requests.append` does not allow
        requests.append(request)

    locked.on("request", note)
    dialog = locked.get_by_role("dialog", name="API key required")
    expect(locked.get_by_label("API key", exact=True)).to_be_focused()
    expect(dialog.get_by_role("alert")).to_be_hidden()
    screenshot(locked, "key")

    give(locked, "wrong")
    expect(dialog.get_by_role("alert")).to_have_text("This key is not valid. Check it and try again.")
    give(locked, KEY)
    expect(dialog).to_be_hidden()

    choose(locked, "coffee.png")
    complaints.allow_missing(wait_for_warm_up(locked))  # the events need the key, too
    assert any(request.url.endswith("/events") and request.response().status == 200 for request in requests)
    locked.get_by_role("button", name="Delete this upload").click()
    locked.get_by_role("button", name="Delete it").click()
    expect(locked.get_by_role("status")).to_have_text("Deleted: the original and every variant.")

    assert not [request.url for request in requests if KEY in request.url]
    assert KEY not in locked.url
    assert locked.context.cookies() == []
    assert locked.evaluate("Object.keys(localStorage)") == []
    assert locked.evaluate("Object.values(sessionStorage)") == [KEY]
    assert locked.get_by_label("API key", exact=True).input_value() == ""


def test_key_survives_a_reload_but_not_the_tab(locked: Page, open_page: OpenPage) -> None:
    give(locked, KEY)
    expect(locked.get_by_role("dialog")).to_be_hidden()
    locked.reload()
    expect(locked.locator("#recent [data-part=empty]")).to_be_visible()
    expect(locked.get_by_role("dialog")).to_be_hidden()

    other = locked.context.new_page()
    other.goto(locked.url)
    expect(other.get_by_role("dialog")).to_be_visible()


def test_key_can_be_forgotten(locked: Page) -> None:
    forget = locked.get_by_role("button", name="Forget API key")
    expect(forget).to_be_hidden()
    give(locked, KEY)
    forget.click()

    expect(forget).to_be_hidden()
    assert locked.evaluate("sessionStorage.length") == 0


def test_cancelled_dialog_shows_the_problem_and_next_upload_asks_again(locked: Page) -> None:
    locked.get_by_role("button", name="Cancel").click()
    expect(locked.locator("#recent .problem")).to_contain_text("Send one of the configured API keys")

    choose(locked, "coffee.png", "chelsea.png")
    dialog = locked.get_by_role("dialog")
    expect(dialog).to_be_visible()
    give(locked, KEY)  # one dialog for both uploads
    for name in ("coffee.png", "chelsea.png"):
        expect(item(locked, name)).to_have_attribute("data-state", "uploaded")
    wait_for_upload(locked)
    expect(dialog).to_be_hidden()


def test_upload_without_key_can_be_retried(locked: Page) -> None:
    locked.get_by_role("button", name="Cancel").click()
    choose(locked, "coffee.png")
    locked.get_by_role("dialog").get_by_role("button", name="Cancel").click()  # not of the upload itself
    expect(item(locked, "coffee.png")).to_have_attribute("data-state", "failed")

    item(locked, "coffee.png").get_by_role("button", name="Try again").click()
    give(locked, KEY)
    expect(item(locked, "coffee.png")).to_have_attribute("data-state", "uploaded")
