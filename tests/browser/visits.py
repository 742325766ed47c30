"""What a visit to the page leaves behind: complaints of the browser, and pictures of what it showed."""

import re
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

from tests.photographs import photograph_bytes

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
UPLOAD_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Complaints:
    """Errors and warnings of a page, what its policy refused, and calls to anybody but `origin`."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._heard: list[str] = []
        self._expected: list[str] = []
        self._allowed: list[str] = []

    def listen(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._heard.append(f"thrown: {error}"))
        page.on("request", self._request)

    def expect(self, text: str) -> None:
        """The browser writes each refusal of the server to the console, as for this one."""
        self._expected.append(text)

    def allow_missing(self, upload_id: str) -> None:
        """Its pictures may be missing: the upload is deleted, perhaps while the page loads them."""
        self._allowed.append(f"404 (Not Found) {self._origin}/images/{upload_id}/")

    def check(self) -> None:
        known = (*self._expected, *self._allowed)
        unexpected = [each for each in self._heard if not any(text in each for text in known)]
        assert not unexpected, "\n".join(unexpected)
        for text in self._expected:
            assert any(text in each for each in self._heard), f"expected: {text}"

    def _console(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning", "assert") and not where.endswith("/favicon.ico"):  # JSON has no icon
            self._heard.append(f"{message.type}: {message.text} {where}")

    def _request(self, request: Request) -> None:
        if request.url.startswith("http") and not request.url.startswith(self._origin + "/"):
            self._heard.append(f"to a stranger: {request.url}")


def screenshot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")


def choose(page: Page, *names: str) -> None:
    """Photographs, chosen as a person does it."""
    payloads = [{"name": name, "mimeType": "image/png", "buffer": photograph_bytes(name)} for name in names]
    page.get_by_label("Drop pictures here").set_input_files(payloads)


def item(page: Page, name: str) -> Locator:
    """The line in the queue of one file."""
    return page.locator("#queue > li").filter(has_text=name)


def opened(page: Page) -> str:
    """The id of the upload that is shown; waits for one."""
    expect(page.locator("#details [data-part=id]")).to_have_text(UPLOAD_ID)
    return page.locator("#details [data-part=id]").inner_text()


def warm(page: Page) -> str:
    """The same, once its warm-up has ended well."""
    expect(page.locator("#details [data-part=warmup]")).to_have_attribute("data-status", "complete", timeout=60_000)
    return opened(page)


def developed(picture: Locator) -> None:
    """Waits until a picture is there, pixels and all."""
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", value=True)
    picture.page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
