"""The decoders of PNG and WebP, and a render pool that tests share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proxy.imaging import vips
from proxy.rendering.pool import RenderPool
from tests.unit.proxy.rendering.pools import pool


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def render_pool() -> AsyncIterator[RenderPool]:
    """One process. Its tests run in the session's event loop, and leave it unchanged."""
    async with pool() as shared:
        yield shared


@pytest.fixture(params=["libvips", "pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with libvips and with Pillow. If libvips is not installed, Pillow decodes everything."""
    assert vips.is_installed()
    if request.param == "pillow":
        monkeypatch.setattr(vips, "is_installed", lambda: False)
    return str(request.param)
