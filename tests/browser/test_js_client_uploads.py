"""The JavaScript client in Chromium: uploads to a real service, with progress, abort and errors."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import PATIENCE, small_service
from tests.browser.visits import UPLOAD_ID, Complaints
from tests.javascript import DIST, compiled
from tests.photographs import photograph_path
from tests.service import Service

pytestmark = pytest.mark.slow

FILE = photograph_path("rocket.jpg")
START = 'import * as client from "./index.js"; window.darkroom = client'
SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}  # bytes a second


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with small_service(tmp_path_factory.mktemp("service"), WARM_UP="false") as running:
        yield running


@pytest.fixture
def page(chromium: Browser, service: Service, complaints: Complaints) -> Iterator[Page]:
    """A page of the service's origin, with the client as `window.darkroom` and an image file as `window.file`."""
    compiled()

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name == "page":
            body = '<title>x</title><input type="file"><script type="module" src="client/start.js"></script>'
            route.fulfill(body=body, content_type="text/html")
        elif name == "start.js":
            route.fulfill(body=START, content_type="text/javascript")
        else:
            route.fulfill(body=(DIST / name).read_text(), content_type="text/javascript")

    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        complaints.listen(page)
        page.route("**/client/*", serve)
        page.route("**/page", serve)
        page.goto(f"{service.url}/page")
        page.wait_for_function("() => window.darkroom")
        page.locator("input").set_input_files(FILE)
        page.evaluate("window.file = document.querySelector('input').files[0]")
        yield page
        complaints.wait(page)


def test_upload_reports_progress_and_shows_the_picture(page: Page, service: Service) -> None:
    found = page.evaluate(
        """async () => {
            const progress = []
            const fields = { focus: "0.5,0.25" }
            const upload = await darkroom.upload(file, { fields, onProgress: (each) => progress.push(each) })
            document.body.innerHTML = darkroom.pictureHtml(upload, { size: "small", alt: "A rocket", loading: "eager" })
            await document.querySelector("img").decode()
            const shown = document.querySelector("img").currentSrc
            return { progress, id: upload.uploadId, focus: upload.focus, shown }
        }"""
    )

    assert UPLOAD_ID.fullmatch(found["id"])
    assert found["focus"] == "0.5,0.25"
    loaded = [each["loaded"] for each in found["progress"]]
    assert loaded == sorted(loaded)
    assert loaded[-1] == found["progress"][-1]["total"] > FILE.stat().st_size
    assert re.fullmatch(rf"{re.escape(service.url)}/images/{found['id']}/\w+\.avif", found["shown"])


def test_upload_that_is_aborted_stops_and_throws_the_reason(page: Page, service: Service) -> None:
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)

    found = page.evaluate(
        """async () => {
            const controller = new AbortController()
            const large = new File([file, new Uint8Array(3_000_000)], "large.jpg")
            const onProgress = ({ loaded, total }) => controller.abort(new Error(`left after ${loaded < total}`))
            return darkroom.upload(large, { signal: controller.signal, onProgress }).catch(({ message }) => message)
        }"""
    )

    assert found == "left after true"


def test_refusal_is_an_error_with_the_problem(page: Page, complaints: Complaints) -> None:
    complaints.expect("400 (Bad Request)")

    found = page.evaluate(
        """() => darkroom.upload(new Blob(["GIF89a"])).catch((error) =>
            [error instanceof darkroom.UploadError, error.code, error.status])"""
    )

    assert found == [True, "unsupported_format", 400]


def test_upload_is_tried_again_after_503_with_the_same_ticket(page: Page, complaints: Complaints) -> None:
    complaints.expect("503 (Service Unavailable)")
    tickets = []

    def answer(route: Route) -> None:
        tickets.append(route.request.headers["authorization"])
        if len(tickets) == 1:
            route.fulfill(status=503, headers={"Retry-After": "0"}, body=json.dumps({"code": "overloaded"}))
        else:
            route.fulfill(status=201, body=json.dumps({"uploadId": "1", "receipt": "r.r.r"}))

    page.route("**/images/upload", answer)

    assert page.evaluate("() => darkroom.upload(file, { ticket: 't.t.t' })") == {"uploadId": "1", "receipt": "r.r.r"}
    assert tickets == ["Bearer t.t.t"] * 2


def test_server_that_cannot_be_reached_is_an_error_for_people(page: Page, complaints: Complaints) -> None:
    complaints.expect("net::ERR_CONNECTION_REFUSED")
    page.route("**/images/upload", lambda route: route.abort("connectionrefused"))

    found = page.evaluate("() => darkroom.upload(file).catch(({ code, message }) => [code, message])")

    assert found == ["network", "The server could not be reached. Check the connection and try again."]


def test_attempt_that_takes_too_long_is_an_error(page: Page) -> None:
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW | {"uploadThroughput": 1000})

    found = page.evaluate("() => darkroom.upload(file, { timeout: 300, retries: 0 }).catch(({ code }) => code)")

    assert found == "timeout"
