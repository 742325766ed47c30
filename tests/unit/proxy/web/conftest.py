"""Sites, servers with connection limits, and restored logging configuration."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog

from proxy.keys import original_key
from proxy.settings import Settings
from proxy.web.variant_http import VariantHttp
from tests.unit.proxy.web.bounded_server import App, Client, Connect, Hasty, address, served
from tests.unit.proxy.web.site import Site


@pytest.fixture
async def make_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Site]]:
    monkeypatch.chdir(tmp_path)  # without the repository's `.env` or `darkroom.toml`
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(Settings(**{"data_dir": tmp_path} | settings)))
        return made[-1]

    yield make
    for site in made:
        await site.variant_service.drain()


@pytest.fixture
async def site(make_site: Callable[..., Site]) -> Site:
    """A site with one upload."""
    site = make_site()
    await site.store.inner.put(original_key(site.upload_id), b"an original", content_type="image/jpeg")
    return site


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Restores the logging configuration, which `create_app` changes for the whole process."""
    yield
    structlog.reset_defaults()


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[False, True], ids=["called", "hits"])
async def connected(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Connects to a server with the default deadlines or to one with short ones.

    Its application is called for every request, or answers `/` by `find_hit`: that must not change the protocol.
    """
    app = App(hits=request.param)
    async with served(VariantHttp, app) as patient, served(Hasty, app) as hasty:

        @asynccontextmanager
        async def connect(protocol: type[VariantHttp] = VariantHttp) -> AsyncIterator[Client]:
            server = hasty if protocol is Hasty else patient
            client = Client(*await asyncio.open_connection(*address(server)))
            try:
                yield client
            finally:
                client.writer.close()

        yield connect
