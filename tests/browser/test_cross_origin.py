"""A page of another site uses variants in Chromium: through the proxy, through nginx, and from the bucket."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import PATIENCE, SIDES, small_service
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, Answer, StubOrigin, nginx
from tests.photographs import photograph_bytes
from tests.service import Service

USE = """async (url) => {
    const load = async (crossOrigin) => {
        const image = new Image()
        image.crossOrigin = crossOrigin
        image.src = url
        await image.decode()
        return image
    }
    await load(null)  // the browser's cache now has the response to a plain <img>
    const timing = performance.getEntriesByName(url)[0]
    const image = await load("anonymous")
    const canvas = document.createElement("canvas")
    canvas.width = canvas.height = image.naturalWidth
    canvas.getContext("2d").drawImage(image, 0, 0)
    const answer = await fetch(url)
    const missing = await fetch(url.replace("small", "huge"))
    const redirected = await fetch(url.replace(".jpg", ".jpeg"))
    return {
        side: canvas.width,
        canvas: canvas.toDataURL().slice(0, 22),
        bytes: (await answer.arrayBuffer()).byteLength,
        etag: answer.headers.get("ETag"),
        timed: timing.responseStart > 0 && timing.encodedBodySize > 0,
        missing: [missing.status, (await missing.json()).code],
        redirected: redirected.url,
    }
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with small_service(tmp_path_factory.mktemp("service"), WARM_UP="false") as running:
        yield running


@pytest.fixture(scope="module")
def path(service: Service) -> str:
    answer = http.post(f"{service.url}/images/upload", files={"image": ("a.png", photograph_bytes("coffee.png"))})
    return f"/images/{answer.json()['uploadId']}/small.jpg"


@pytest.fixture(params=["proxy", "nginx", "nginx and bucket"])
def origin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, service: Service, path: str
) -> Iterator[str]:
    """The URL under which variants are served."""
    if request.param == "proxy":
        yield service.url
        return
    need(PROGRAM, "nginx-light")
    folder = tmp_path_factory.mktemp("edge")
    with StubOrigin() as bucket:
        stored = http.get(service.url + path)
        kept = {name: stored.headers[name] for name in ("Content-Type", "Cache-Control", "ETag")}
        bucket.answer = Answer(200, stored.content, kept)
        bucket_url = bucket.url if request.param == "nginx and bucket" else None
        with nginx(folder, service.url, service.url, bucket_url) as url:
            yield url
        assert bool(bucket.asked) is (bucket_url is not None)


@pytest.mark.slow
def test_page_of_another_site_shows_reads_and_times_a_variant(chromium: Browser, origin: str, path: str) -> None:
    stored = http.get(origin + path)
    with StubOrigin() as site, chromium.new_context() as context:
        # With this header, the page shows plain <img> of other sites only with Cross-Origin-Resource-Policy.
        site.answer = Answer(
            200, b"<title>x</title>", {"Content-Type": "text/html", "Cross-Origin-Embedder-Policy": "require-corp"}
        )
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(site.url.replace("127.0.0.1", "localhost"))
        seen = page.evaluate(USE, origin + path)

    assert seen == {
        "side": SIDES["small"],
        "canvas": "data:image/png;base64,",
        "bytes": len(stored.content),
        "etag": stored.headers["etag"],
        "timed": True,
        "missing": [404, "not_found"],
        "redirected": origin + path,
    }
