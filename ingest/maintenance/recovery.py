"""Implements `darkroom trash`, `restore`, `readopt` and `rebind`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.failures import Failures
from ingest.ingest_services import Access, IngestServices, open_services
from ingest.maintenance.garbage_collector import MIN_AGE
from ingest.maintenance.inventory import inventory
from ingest.maintenance.readoption import Inspector, Readopter
from ingest.maintenance.trash import Trash
from ingest.progress import Progress
from proxy.errors import UnknownUpload
from proxy.keys import ORIGINALS_PREFIX, TRASH_PREFIX, trash_key
from proxy.model import UploadId, parse_upload_id
from proxy.settings import Settings
from proxy.storage.object_store import exists


@dataclass(slots=True)
class RecoveryReport:
    """Result of a run. `done`: ids of uploads whose rows were rebuilt. `known`: number of uploads that had rows."""

    done: list[UploadId] = field(default_factory=list)
    known: int = 0
    failures: Failures[UploadId] = field(default_factory=Failures)

    def to_json(self, done: str) -> dict[str, Any]:
        """Returns the report as JSON. `done`: the name of the list of uploads whose rows were rebuilt."""
        return {done: self.done, "known": self.known, **self.failures.to_json()}


async def readopt(settings: Settings, ids: Sequence[UploadId], *, dry_run: bool, progress: Progress) -> RecoveryReport:
    """Rebuilds the rows of the uploads `ids`, or of all originals without rows. `dry_run`: only finds them."""
    access = Access.READ if dry_run else Access.WRITE
    async with open_services(settings, rendering=not dry_run, access=access) as ingest:
        progress.begin("Looking for originals without rows")
        readopter = _build_readopter(ingest)
        store = ingest.proxy.store

        async def rebuild(upload_id: UploadId) -> bool:
            try:
                return await (readopter.is_readoptable if dry_run else readopter.readopt)(upload_id)
            except UnknownUpload:
                if not await exists(store, trash_key(upload_id)):
                    raise
                raise UnknownUpload(f"Its original is in the trash: darkroom trash restore {upload_id}") from None

        return await _recover(_given(ids) if ids else _without_rows(ingest), rebuild, progress)


async def restore(settings: Settings, ids: Sequence[UploadId], *, progress: Progress) -> RecoveryReport:
    """Puts originals back from the trash, those of `ids` or else all, and rebuilds their rows."""
    async with open_services(settings, rendering=True) as ingest:
        progress.begin("Restoring")
        trash, readopter = Trash(ingest.proxy.store), _build_readopter(ingest)

        async def bring_back(upload_id: UploadId) -> bool:
            if not await trash.put_back(upload_id):
                raise UnknownUpload("There is no original under this id in the trash.")
            rebuilt = await readopter.readopt(upload_id)
            await trash.discard_if_restored(upload_id)
            return rebuilt

        return await _recover(_given(ids) if ids else _trashed_ids(ingest), bring_back, progress)


async def list_trash(settings: Settings) -> list[dict[str, Any]]:
    """Lists the trash by upload id. `daysLeft`: days until `darkroom gc` deletes the original."""
    async with open_services(settings, access=Access.UNVERIFIED) as ingest:
        kept, now = timedelta(days=settings.trash_days), datetime.now(UTC)
        return [
            {
                "uploadId": upload_id,
                "size": info.size,
                "since": info.last_modified.isoformat(timespec="seconds"),
                "daysLeft": round(max(timedelta(0), info.last_modified + kept - now) / timedelta(days=1), 1),
            }
            async for info in ingest.proxy.store.list(TRASH_PREFIX)
            if (upload_id := parse_upload_id(info.key.removeprefix(TRASH_PREFIX)))
        ]


async def rebind(settings: Settings, *, confirmed: bool, progress: Progress) -> dict[str, Any]:
    """Returns both installation ids and, if `confirmed`, writes the object store's id to the database."""
    async with open_services(settings, access=Access.UNVERIFIED) as ingest:
        await ingest.database.check()
        ids = await ingest.installation.read()
        originals = 0
        progress.begin("Counting originals")
        async for _ in ingest.proxy.store.list(ORIGINALS_PREFIX):
            originals += 1
            progress.update(originals)
        sides = {
            "database": {"installation": ids.database, "uploads": sum((await ingest.repository.count()).values())},
            "store": {"installation": ids.store, "originals": originals},
        }
        matches = ids.database is not None and ids.mismatch is None
        bound = await ingest.installation.rebind() if confirmed and not matches else None
    return sides | {"matches": matches, "boundTo": bound}


async def _recover(
    ids: AsyncIterator[UploadId], recover: Callable[[UploadId], Awaitable[bool]], progress: Progress
) -> RecoveryReport:
    """Recovers each upload. One that cannot be recovered does not stop the others; an outage does."""
    report = RecoveryReport()
    async for upload_id in ids:
        with report.failures.isolate(upload_id):
            if await recover(upload_id):
                report.done.append(upload_id)
            else:
                report.known += 1
        failed = report.failures.count
        progress.update(len(report.done) + report.known + failed, f"{failed} failed")
    return report


async def _given(ids: Sequence[UploadId]) -> AsyncIterator[UploadId]:
    for upload_id in ids:
        yield upload_id


async def _without_rows(ingest: IngestServices) -> AsyncIterator[UploadId]:
    """Yields uploads with an original and no row. A job row of an old upload that was never accepted does not count."""
    before = datetime.now(UTC) - MIN_AGE
    async for entry in inventory(ingest.proxy.store, ingest.repository):
        row = entry.row
        if entry.original and (row is None or (not row.is_accepted and row.created_at < before)):
            yield entry.upload_id


async def _trashed_ids(ingest: IngestServices) -> AsyncIterator[UploadId]:
    async for entry in inventory(ingest.proxy.store, ingest.repository):
        if entry.trashed:
            yield entry.upload_id


def _build_readopter(ingest: IngestServices) -> Readopter:
    proxy = ingest.proxy
    inspector = Inspector(proxy.store, proxy.pool, proxy.settings.temporary)
    return Readopter(proxy.store, ingest.repository, ingest.queue, proxy.settings.sizes, inspector.inspect)
