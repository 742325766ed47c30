"""Sites to ask, and the logs put back as they were."""

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
    monkeypatch.chdir(tmp_path)  # no `.env` or `darkroom.toml` of ours
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(Settings(**{"data_dir": tmp_path} | settings)))
        return made[-1]

    yield make
    for site in made:
        await site.variant_service.drain()


@pytest.fixture
async def site(make_site: Callable[..., Site]) -> Site:
    """With one upload."""
    site = make_site()
    await site.store.inner.put(original_key(site.upload_id), b"an original", content_type="image/jpeg")
    return site


@pytest.fixture
def logging_of_our_own() -> Iterator[None]:
    """For those who compose the app: it configures the logs of the whole process."""
    yield
    structlog.reset_defaults()
