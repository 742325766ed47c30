"""Requests that make nginx forget variants. tests/integration/edge/test_private.py has a real nginx."""

from collections.abc import Iterator

import pytest

from ingest.edge import nginx_cache
from ingest.edge.nginx_cache import NginxCaches
from ingest.ingest_errors import CdnUnavailable
from proxy.model import Fit, Format, Size, Sizes, new_upload_id
from proxy.variants.encoded_variant import recipe_tag, upload_tag
from tests.nginx import Answer, StubOrigin
from tests.server import free_port

SECRET = "s" * 32
SIZES = Sizes(Size("card", 10, 10, Fit.COVER))
NAMES = [f"card{at}.{format}" for at in ("", "@2x", "@3x") for format in ("auto", "jpg", "png", "webp", "avif")]


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubOrigin]:
    monkeypatch.setattr(nginx_cache, "FORGOTTEN_SECONDS", 0)
    with StubOrigin() as origin:
        origin.answer = Answer(404, b"", {"X-Edge-Forget": "done"})
        yield origin


async def test_every_path_of_the_upload_is_forgotten_with_the_secret(edge: StubOrigin) -> None:
    upload_id = new_upload_id()

    await NginxCaches([f"{edge.url}/media"], SECRET, SIZES).invalidate([upload_tag(upload_id), recipe_tag("abc")])

    assert sorted(asked.path for asked in edge.asked) == sorted(
        2 * [f"/media/{prefix}/{upload_id}/{name}" for prefix in ("images", "private") for name in NAMES]
    )
    assert {(asked.method, asked.headers["x-edge-forget"]) for asked in edge.asked} == {("HEAD", SECRET)}


async def test_formats_that_a_size_lacks_are_forgotten_too(edge: StubOrigin) -> None:
    """The size may have had them, and nginx may still have the variants."""
    sizes = Sizes(Size("icon", 9, 9, Fit.COVER, formats=(Format.PNG, Format.WEBP)))

    await NginxCaches([edge.url], SECRET, sizes).invalidate([upload_tag(new_upload_id())])

    assert {asked.path.rpartition(".")[2] for asked in edge.asked} == {"auto", *Format}


async def test_edge_without_the_secret_is_reported(edge: StubOrigin) -> None:
    edge.answer = Answer(200)
    with pytest.raises(CdnUnavailable, match="EDGE_SECRET"):
        await NginxCaches([edge.url], SECRET, SIZES).invalidate([upload_tag(new_upload_id())])


async def test_each_batch_has_a_deadline(edge: StubOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on with each request: none is sent 30 seconds after the first one of a batch."""
    per_request = 0.04
    monkeypatch.setattr(nginx_cache, "monotonic", lambda: len(edge.asked) * per_request)
    caches = NginxCaches([edge.url], SECRET, SIZES)
    tags = [upload_tag(new_upload_id()) for _ in range(30)]  # 600 requests of one batch, 300 of another

    await caches.invalidate(tags)  # 24 seconds and 12
    assert len(edge.asked) == 2 * 900

    edge.asked.clear()
    per_request = 0.1
    with pytest.raises(CdnUnavailable, match="did not answer within 30 seconds"):
        await caches.invalidate(tags)
    assert len(edge.asked) == 300


async def test_edge_that_does_not_answer_is_reported(edge: StubOrigin) -> None:
    urls = [edge.url, f"http://127.0.0.1:{free_port()}"]
    with pytest.raises(CdnUnavailable, match="EDGE_URLS"):
        await NginxCaches(urls, SECRET, SIZES).invalidate([upload_tag(new_upload_id())])
