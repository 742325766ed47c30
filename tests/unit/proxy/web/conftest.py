"""Sites, and restored logging configuration."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from proxy.keys import original_key
from proxy.settings import Settings
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
