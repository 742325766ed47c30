"""A page of another origin uploads with a ticket in Chromium: by fetch and XHR, directly and through nginx."""

from base64 import b64encode
from collections.abc import Iterator

import jwt
import pytest
from playwright.sync_api import Browser, Page

from ingest.uploads.upload_tokens import UploadTokens
from tests.browser.conftest import PATIENCE, small_service
from tests.conftest import need
from tests.nginx import PROGRAM, Answer, StubOrigin, nginx
from tests.photographs import photograph_bytes
from tests.service import Service

pytestmark = pytest.mark.slow

KEY, SECRET = "k" * 32, "0123456789abcdef"
FORM = """
    const bytes = Uint8Array.from(atob(photo), (each) => each.charCodeAt(0))
    const form = new FormData()
    form.append("externalId", "7")
    form.append("image", new File([bytes], "photo.png", {type: "image/png"}))
"""
FETCH = f"""async ({{url, ticket, photo}}) => {{{FORM}
    const headers = {{Authorization: `Bearer ${{ticket}}`}}
    try {{
        const answer = await fetch(url, {{method: "POST", body: form, headers}})
        const location = answer.headers.get("Location")
        return {{...(await answer.json()), status: answer.status, location}}
    }} catch (error) {{
        return {{status: 0}}
    }}
}}"""
XHR = f"""({{url, ticket, photo}}) => new Promise((resolve) => {{{FORM}
    const request = new XMLHttpRequest()
    let progress = 0
    request.upload.onprogress = (event) => {{ progress = event.loaded / event.total }}
    request.onload = () => resolve({{
        ...JSON.parse(request.response), status: request.status, progress,
        location: request.getResponseHeader("Location"),
    }})
    request.onerror = () => resolve({{status: 0}})
    request.open("POST", url)
    request.setRequestHeader("Authorization", `Bearer ${{ticket}}`)
    request.send(form)
}})"""
SIMPLE = "(url) => fetch(url, {method: 'DELETE'}).then((answer) => answer.status, () => 0)"


@pytest.fixture(scope="module")
def site() -> Iterator[StubOrigin]:
    with StubOrigin() as site:
        site.answer = Answer(200, b"<title>x</title>", {"Content-Type": "text/html"})
        yield site


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, site: StubOrigin) -> Iterator[Service]:
    settings = {"API_KEYS": SECRET, "UPLOAD_KEYS": KEY, "CORS_ORIGINS": site.url, "WARM_UP": "false"}
    with small_service(tmp_path_factory.mktemp("service"), **settings) as running:
        yield running


@pytest.fixture(params=["direct", "nginx"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[str]:
    if request.param == "direct":
        yield service.url
        return
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path_factory.mktemp("edge"), service.url, service.url) as url:
        yield url


@pytest.fixture
def page(chromium: Browser, site: StubOrigin) -> Iterator[Page]:
    """A page of the allowed origin."""
    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(site.url)
        yield page


def wish(url: str, lifetime: int = 600) -> dict[str, str]:
    ticket, _ = UploadTokens([KEY]).sign_ticket({"owner": "Zoë"}, lifetime)
    photo = b64encode(photograph_bytes("coffee.png")).decode()
    return {"url": f"{url}/images/upload", "ticket": ticket, "photo": photo}


@pytest.mark.parametrize("script", [FETCH, XHR], ids=["fetch", "xhr"])
def test_page_of_an_allowed_origin_uploads_and_gets_a_receipt(page: Page, url: str, script: str) -> None:
    answer = page.evaluate(script, wish(url))

    assert (answer["status"], answer["owner"], answer["externalId"]) == (201, "Zoë", "7")
    assert answer["location"] == f"/images/{answer['uploadId']}"
    assert answer.get("progress", 1) == 1
    assert jwt.decode(answer["receipt"], KEY, ["HS256"])["uploadId"] == answer["uploadId"]


def test_page_of_an_allowed_origin_reads_why_a_ticket_is_refused(page: Page, url: str) -> None:
    answer = page.evaluate(FETCH, wish(url, lifetime=0))

    assert (answer["status"], answer["code"]) == (401, "ticket_expired")


def test_page_of_another_origin_cannot_use_the_ticket(page: Page, site: StubOrigin, url: str) -> None:
    page.goto(site.url.replace("127.0.0.1", "localhost"))

    assert page.evaluate(FETCH, wish(url)) == {"status": 0}


def test_page_of_an_allowed_origin_cannot_make_other_calls(page: Page, url: str) -> None:
    assert page.evaluate(SIMPLE, f"{url}/images?owner=Zo%C3%AB") == 0
