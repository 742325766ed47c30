"""However a refresh ends, the CDN drops what it replaced: now, or in the next run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ingest.ingest_errors import CdnUnavailable
from ingest.maintenance import bulk_operations
from ingest.progress import Silent
from proxy.errors import StoreUnavailable
from proxy.keys import INVALIDATIONS_KEY
from proxy.settings import load_settings
from proxy.storage.disk import DiskStore
from tests.cluster import TINY
from tests.integration.test_recovery import Installation
from tests.unit.ingest.fakes import RecordingCdn

pytestmark = pytest.mark.promise("E14")


class Refresh:
    """An installation with two uploads, whose variants of one size are stale, and a CDN."""

    def __init__(self, installation: Installation, cdn: RecordingCdn) -> None:
        self.installation, self.cdn = installation, cdn
        self.ids = sorted(installation.upload(1, 2))
        self.recipes = {f"recipe-{recipe}" for recipe in self._stored_recipes()}
        (installation.folder / "darkroom.toml").write_text(TINY.replace("24", "25"))
        structlog.reset_defaults()  # the commands configure it for this process

    async def run(self) -> None:
        settings = load_settings(
            data_dir=self.installation.folder / "data", cdn_distribution_id="E1", render_processes=1
        )
        await bulk_operations.refresh(settings, Silent())

    def stale(self) -> int:
        return int(self.installation.run("refresh", "--dry-run")["variants"])

    @property
    def owes(self) -> bool:
        return (self.installation.objects / INVALIDATIONS_KEY).exists()

    def _stored_recipes(self) -> Iterator[str]:
        for key, body in self.installation.stored().items():
            if "/tiny." in key:
                yield body.partition(b'"recipe": "')[2].partition(b'"')[0].decode()


@pytest.fixture
def refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refresh:
    cdn = RecordingCdn()
    refresh = Refresh(Installation(tmp_path / "ours"), cdn)
    monkeypatch.chdir(refresh.installation.folder)
    monkeypatch.setattr("ingest.ingest_services.open_cdn", lambda _settings: cdn)
    monkeypatch.setattr(bulk_operations, "MAX_AGE", 0.0)
    return refresh


@pytest.mark.slow
def test_finished_refresh_invalidates_the_replaced_recipes_once(refresh: Refresh) -> None:
    assert len(refresh.recipes) == 3

    asyncio.run(refresh.run())

    assert (refresh.cdn.invalidated, refresh.owes) == (sorted(refresh.recipes), False)
    asyncio.run(refresh.run())
    assert len(refresh.cdn.invalidated) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("slept")
def test_outage_invalidates_variants_replaced_before_it(refresh: Refresh, monkeypatch: pytest.MonkeyPatch) -> None:
    download = DiskStore.download

    async def fail(store: DiskStore, key: str, path: Path) -> object:
        if refresh.ids[1] in key:
            raise StoreUnavailable("The object store does not answer.", is_outage=True)
        return await download(store, key, path)

    monkeypatch.setattr(DiskStore, "download", fail)

    with pytest.raises(ExceptionGroup):
        asyncio.run(refresh.run())

    assert refresh.stale() == 3
    assert (refresh.cdn.invalidated, refresh.owes) == (sorted(refresh.recipes), False)


@pytest.mark.slow
def test_cancelled_refresh_invalidates_variants_replaced_before(
    refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl+C cancels the main task."""
    copy = DiskStore.put

    async def interrupted() -> None:
        running = asyncio.create_task(refresh.run())

        async def put(store: DiskStore, key: str, body: bytes | Path, **options: object) -> None:
            await copy(store, key, body, **options)
            if key.startswith("images/") and not running.cancelling():
                running.cancel()

        monkeypatch.setattr(DiskStore, "put", put)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(interrupted())

    assert 0 < refresh.stale() < 6
    assert (refresh.cdn.invalidated, refresh.owes) == (sorted(refresh.recipes), False)


@pytest.mark.slow
def test_killed_refresh_is_completed_by_the_next(refresh: Refresh) -> None:
    """A kill lets nothing run, as a CDN that fails does: all variants are current, but the CDN has the old ones."""
    refresh.cdn.failure = CdnUnavailable("The CDN does not answer.")
    with pytest.raises(CdnUnavailable):
        asyncio.run(refresh.run())
    assert refresh.stale() == 0
    assert refresh.owes

    refresh.cdn.failure = None
    asyncio.run(refresh.run())

    assert (refresh.cdn.invalidated, refresh.owes) == (sorted(refresh.recipes), False)


@pytest.mark.slow
def test_recipes_are_stored_before_the_first_variant_is_replaced(
    refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts: list[str] = []
    put = DiskStore.put

    async def note(store: DiskStore, key: str, body: bytes | Path, **options: object) -> None:
        puts.append(key)
        await put(store, key, body, **options)

    monkeypatch.setattr(DiskStore, "put", note)

    asyncio.run(refresh.run())

    assert puts[0] == INVALIDATIONS_KEY
    assert len(puts) == 1 + 6


@pytest.mark.slow
def test_unwritable_record_leaves_the_variants_alone(refresh: Refresh, monkeypatch: pytest.MonkeyPatch) -> None:
    put = DiskStore.put

    async def refuse(store: DiskStore, key: str, body: bytes | Path, **options: object) -> None:
        if key == INVALIDATIONS_KEY:
            raise StoreUnavailable("The key is refused.")
        await put(store, key, body, **options)

    monkeypatch.setattr(DiskStore, "put", refuse)

    asyncio.run(refresh.run())

    assert refresh.stale() == 6
