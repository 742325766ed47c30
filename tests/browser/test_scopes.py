"""What the page shows for keys of fewer scopes, and the command for programs."""

import shlex
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, small_service
from tests.browser.visits import Complaints, choose, item, wait_for_image, wait_for_warm_up
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.service import Service

pytestmark = pytest.mark.slow

READER, SENDER, ALL = "reader-0123456789abcdef", "sender-0123456789abcdef", "admin's-0123456789abcdef"
KEYS = f"reader:read:{READER},sender:upload:{SENDER},{ALL}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with small_service(tmp_path_factory.mktemp("scopes"), API_KEYS=KEYS, SIGNING_KEYS="s" * 32) as running:
        files = {"image": ("coffee.png", photograph_bytes("coffee.png"))}
        headers = {"Authorization": f"Bearer {ALL}"}
        http.post(
            f"{running.url}/images/upload", files=files, data={"visibility": "private"}, headers=headers, timeout=30
        )
        yield running


def unlock(page: Page, key: str) -> None:
    page.get_by_label("API key", exact=True).fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_command_has_the_header_and_is_copied_with_the_key(
    page: Page, service: Service, complaints: Complaints
) -> None:
    complaints.expect("401 (Unauthorized)")
    command = page.locator("#command")
    expect(command).to_contain_text("curl -H 'Authorization: Bearer YOUR_API_KEY' -F image=@photo.jpg")
    expect(command).to_contain_text("Replace YOUR_API_KEY by your key.")
    unlock(page, ALL)
    expect(command).to_contain_text("curl -H 'Authorization: Bearer ••••••••' -F image=@photo.jpg")
    expect(page.locator("body")).not_to_contain_text(ALL)
    expect(page.get_by_role("link", name="Metrics")).to_be_hidden()

    page.get_by_role("button", name="Copy command").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert words == [
        *("curl", "-H", f"Authorization: Bearer {ALL}", "-F", "image=@photo.jpg"),
        f"{service.url}/images/upload",
    ]


def test_reader_sees_uploads_but_no_control_that_changes_them(page: Page, complaints: Complaints) -> None:
    complaints.expect("401 (Unauthorized)")
    unlock(page, READER)
    page.locator("#recent a").first.click()
    wait_for_warm_up(page)

    wait_for_image(page.get_by_role("img", name="small.webp"))  # it is private
    expect(page.get_by_text("This key lacks the scope upload")).to_be_visible()
    expect(page.locator("#image")).to_be_hidden()
    page.locator("#recent").get_by_role("checkbox").first.check()
    expect(page.get_by_role("button", name="Copy IDs")).to_be_visible()
    for name in ("Delete", "Delete this upload", "Save focus", "Make public"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()


def test_sender_uploads_but_is_offered_no_list(open_page: OpenPage, complaints: Complaints) -> None:
    complaints.expect("401 (Unauthorized)")
    complaints.expect("403 (Forbidden)")
    page = open_page()
    unlock(page, SENDER)
    expect(page.get_by_text("This key lacks the scope read")).to_be_visible()
    expect(page.locator("#recent")).to_be_hidden()
    choose(page, "coffee.png")

    expect(item(page, "coffee.png")).to_contain_text("ID: ")
    expect(item(page, "coffee.png").get_by_role("link")).to_be_hidden()
    expect(page.locator("#details")).to_be_hidden()
