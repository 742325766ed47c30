"""Helpers for visits to the page: collected browser errors, screenshots, and waits."""

import re
import time
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

from tests.client import until
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.service import Service

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
UPLOAD_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Complaints:
    """Collects errors and warnings of a page, violations of its policy, and requests to other origins."""

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
        """Expects a message with `text`: the browser writes every error response to the console."""
        self._expected.append(text)

    def allow_missing(self, upload_id: str) -> None:
        """Allows 404 for the variants of an upload that is deleted, perhaps while the page loads them."""
        self._allowed.append(f"404 (Not Found) {self._origin}/images/{upload_id}/")

    def wait(self, page: Page) -> None:
        """Waits for expected messages, which may come after what caused them. `page`: any that is open."""
        deadline = time.monotonic() + 5
        while self._missing() and time.monotonic() < deadline:
            page.wait_for_timeout(50)

    def check(self) -> None:
        known = (*self._expected, *self._allowed)
        unexpected = [each for each in self._heard if not any(text in each for text in known)]
        assert not unexpected, "\n".join(unexpected)
        assert self._missing() == []

    def _missing(self) -> list[str]:
        return [text for text in self._expected if not any(text in each for each in self._heard)]

    def _console(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type in ("error", "warning", "assert") and not where.endswith("/favicon.ico"):  # JSON has no icon
            self._heard.append(f"{message.type}: {message.text} {where}")

    def _request(self, request: Request) -> None:
        if request.url.startswith("http") and not request.url.startswith(self._origin + "/"):
            self._heard.append(f"to another origin: {request.url}")


def screenshot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")


def choose(page: Page, *names: str) -> None:
    """Chooses photographs in the file input."""
    payloads = [{"name": name, "mimeType": "image/png", "buffer": photograph_bytes(name)} for name in names]
    page.get_by_label("Drop images here").set_input_files(payloads)


def item(page: Page, name: str) -> Locator:
    """The file's item in the queue."""
    return page.locator("#queue > li").filter(has_text=name)


def wait_for_upload(page: Page) -> str:
    """Waits until an upload is open and returns its id."""
    expect(page.locator("#details [data-part=id]")).to_have_text(UPLOAD_ID)
    return page.locator("#details [data-part=id]").inner_text()


def wait_for_warm_up(page: Page) -> str:
    """Waits until the open upload's warm-up is complete and returns its id."""
    expect(page.locator("#details [data-part=warmup]")).to_have_attribute("data-status", "complete", timeout=60_000)
    return wait_for_upload(page)


def ids(service: Service) -> list[str]:
    """Returns the uploads of the service, newest first."""
    return [image["uploadId"] for image in http.get(f"{service.url}/images?limit=100").json()["images"]]


def tiles(page: Page) -> Locator:
    return page.get_by_role("region", name="Recent uploads").get_by_role("listitem")


def record_announcements(page: Page) -> None:
    """From now on, `wait_for_announcement` knows each: the next one may follow at once."""
    page.evaluate("""() => {
        const status = document.querySelector("[role=status]");
        window.announced = [];
        const observer = new MutationObserver(() => announced.push(status.textContent));
        observer.observe(status, {childList: true, subtree: true});
    }""")


def wait_for_announcement(page: Page, text: str) -> None:
    until(lambda: any(text in each for each in page.evaluate("announced")))


def wait_for_image(picture: Locator) -> None:
    """Waits until an image has loaded."""
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", value=True)
    picture.page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
