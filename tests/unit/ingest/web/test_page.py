"""The upload page's files, their access and their policy."""

import httpx
import pytest
from starlette.applications import Starlette

from ingest.web.page import PAGE_PATHS, page_routes
from proxy.model import SourceFormat
from tests.unit.ingest.web.conftest import Service

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
ACCEPT = (SourceFormat.JPEG, SourceFormat.WEBP, SourceFormat.HEIC)
MEDIA_TYPES = {"": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def policy(header: str) -> dict[str, str]:
    return dict(directive.split(" ", 1) for directive in header.split("; "))


async def get(path: str, url_base: str = "") -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=page_routes(url_base, ACCEPT)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", PAGE_PATHS)
async def test_every_file_has_its_media_type_and_the_policy(path: str) -> None:
    answer = await get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == MEDIA_TYPES[path.rpartition(".")[2] if "." in path else ""]
    assert policy(answer.headers["content-security-policy"]) == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_file_chooser_offers_the_accepted_formats() -> None:
    page = (await get("/")).text

    assert 'accept="image/jpeg,image/webp,image/heic,.heic"' in page
    assert "<span>JPEG, WebP or HEIC, as many as you like</span>" in page


@pytest.mark.parametrize(
    ("url_base", "origin"),
    [
        ("https://cdn.test", "https://cdn.test"),
        ("https://cdn.test/pictures", "https://cdn.test"),
        ("http://cdn.test:8080", "http://cdn.test:8080"),
    ],
)
async def test_policy_allows_images_from_the_variants_origin(url_base: str, origin: str) -> None:
    header = (await get("/", url_base)).headers["content-security-policy"]

    assert policy(header) == POLICY | {"img-src": f"'self' {origin} blob: data:"}


@pytest.mark.parametrize("path", ["/page/", "/page/__init__.py", "/page/../app.py", "/page/%2e%2e/app.py", "/page/x"])
async def test_unknown_path_returns_404(path: str) -> None:
    assert (await get(path)).status_code == 404


@pytest.mark.heavy
@pytest.mark.asyncio(loop_scope="session")
async def test_page_needs_no_key_and_allows_images_from_the_cdn(service: Service) -> None:
    locked = service.configured(api_keys=("k" * 32,), cdn_url="https://cdn.test")

    for path in PAGE_PATHS:
        assert (await locked.get(path)).status_code == 200
    assert "https://cdn.test" in (await locked.get("/")).headers["content-security-policy"]
