"""Pages of other sites, in Chromium, against a server without API keys."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import FLAGS, PATIENCE, PROGRAM
from tests.conftest import need
from tests.http_client import http
from tests.nginx import Answer, StubOrigin
from tests.service import Service

pytestmark = pytest.mark.slow

SITE = "evil.example"
REBINDING = [
    f"--host-resolver-rules=MAP {SITE} 127.0.0.1",
    # Newer browsers also ask the user before a public site connects to this machine. The server must not rely on them.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
]
ATTACK = """async ([id, picture]) => {
    const form = new FormData()
    form.append("image", new Blob([Uint8Array.from(atob(picture), (each) => each.charCodeAt(0))]), "a.jpg")
    const status = async (path, options) => (await fetch(path, options)).status
    return {
        variant: await status(`/images/${id}/small.jpg`),
        list: await status("/images"),
        record: await status(`/images/${id}`),
        events: await status(`/images/${id}/events`),
        metrics: await status("/metrics"),
        page: await status("/"),
        script: await status("/page/app.js"),
        description: await status("/openapi.json"),
        upload: await status("/images/upload", { method: "POST", body: form }),
        deletion: await status(`/images/${id}`, { method: "DELETE" }),
    }
}"""
BLIND_UPLOAD = """async ([url, picture]) => {
    const form = new FormData()
    form.append("image", new Blob([Uint8Array.from(atob(picture), (each) => each.charCodeAt(0))]), "a.jpg")
    return await fetch(url, { method: "POST", body: form, mode: "no-cors" }).then(() => "read", () => "hidden")
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    need(PROGRAM, "chromium-headless-shell")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=PROGRAM, args=[*FLAGS, *REBINDING]) as browser,
    ):
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


@pytest.fixture
def encoded(picture: bytes) -> str:
    return b64encode(picture).decode()


def ids(service: Service) -> set[str]:
    return {upload["uploadId"] for upload in http.get(f"{service.url}/images?limit=100").json()["images"]}


def attack(page: Page, origin: str, upload_id: str, picture: str) -> dict[str, int]:
    """The page comes from the attacker's own server; then its name resolves to 127.0.0.1."""
    page.route(f"{origin}/attack", lambda route: route.fulfill(body="<title>x</title>", content_type="text/html"))
    page.goto(f"{origin}/attack")
    statuses: dict[str, int] = page.evaluate(ATTACK, [upload_id, picture])
    return statuses


@pytest.mark.promise("D4")
def test_rebound_site_gets_421_for_everything_but_variants(
    page: Page, live: Service, upload_id: str, encoded: str
) -> None:
    before = ids(live)

    seen = attack(page, f"http://{SITE}:{urlsplit(live.url).port}", upload_id, encoded)

    assert seen.pop("variant") == 200
    assert set(seen.values()) == {421}, seen
    assert ids(live) == before


def test_page_of_the_server_itself_may_call_everything(page: Page, live: Service, encoded: str) -> None:
    mine = str(http.post(f"{live.url}/images/upload", files={"image": b64decode(encoded)}).json()["uploadId"])
    before = ids(live)

    seen = attack(page, live.url.replace("127.0.0.1", "localhost"), mine, encoded)

    assert (seen.pop("upload"), seen.pop("deletion")) == (201, 204)
    assert set(seen.values()) == {200}, seen
    assert len(ids(live) - before) == 1
    assert before - ids(live) == {mine}


def test_other_site_uploads_nothing(page: Page, live: Service, encoded: str) -> None:
    before = ids(live)
    with StubOrigin() as site:
        site.answer = Answer(200, b"<title>x</title>", {"Content-Type": "text/html"})
        page.goto(site.url.replace("127.0.0.1", SITE))

        assert page.evaluate(BLIND_UPLOAD, [f"{live.url}/images/upload", encoded]) == "hidden"

    assert '"code": "cross_site"' in live.log()  # it was sent
    assert ids(live) == before
