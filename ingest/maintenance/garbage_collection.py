"""Finds and removes what crashes left behind. Safe while the service runs.

An upload creates, in this order: job row, temporary file, original, image row. A crash between two steps leaves a job
row without image row, perhaps with an original. A crash during a delete leaves variants or rows without original.
Everything younger than `age` is left alone, because it may be in progress.
"""

import math
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import anyio
import anyio.to_thread

from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdn
from ingest.ingest_errors import CatalogUnavailable
from ingest.ingest_services import open_services
from ingest.progress import Progress
from proxy.errors import StoreUnavailable
from proxy.keys import ORIGINALS_PREFIX, VARIANTS_PREFIX, original_key
from proxy.model import UploadId, parse_upload_id
from proxy.settings import Settings
from proxy.storage.disk import INCOMING
from proxy.storage.object_store import ObjectStore, exists
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.variant_service import VariantService

MIN_AGE = timedelta(hours=1)
"""Far longer than any upload (`UPLOAD_TIMEOUT`) or derivation may take."""


class GarbageKind(StrEnum):
    TEMPORARY = "temporary"
    """A file of an upload, a derivation or a lease that a killed process left."""
    INCOMPLETE_UPLOAD = "incomplete upload"
    """A job row without image row: the upload was never acknowledged."""
    MISSING_ORIGINAL = "missing original"
    """Rows without original: an interrupted delete."""
    ORPHAN = "orphan"
    """An original or variants without rows."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """One finding. `name` is a path for TEMPORARY, otherwise an upload id."""

    kind: GarbageKind
    name: str


class Collector:
    """Finds and removes garbage."""

    def __init__(
        self,
        store: ObjectStore,
        repository: JobRepository,
        variant_service: VariantService,
        cdn: Cdn,
        *,
        folders: Sequence[Path],
        age: timedelta,
        on_upload: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_upload` is called for each upload examined: once in the database, once under each prefix of the store."""
        self._store = store
        self._repository = repository
        self._variant_service = variant_service
        self._cdn = cdn
        self._folders = folders
        self._on_upload = on_upload
        self._before = datetime.now(UTC) - age

    async def find(self) -> AsyncIterator[Garbage]:
        """Yields everything left behind. Raises StoreUnavailable or CatalogUnavailable."""
        for path in await anyio.to_thread.run_sync(self._old_files):
            yield Garbage(GarbageKind.TEMPORARY, path)
        for upload_id in await self._repository.find_incomplete(self._before):
            yield Garbage(GarbageKind.INCOMPLETE_UPLOAD, upload_id)
        has_uploads = any((await self._repository.count()).values())
        if has_uploads and not await self._has_any_original():  # probably the wrong store, not missing originals
            raise StoreUnavailable("The database has uploads but the store has no originals: check S3_BUCKET.")
        async for upload, _ in self._repository.each():
            self._on_upload()
            if upload.created_at < self._before and not await exists(self._store, original_key(upload.upload_id)):
                yield Garbage(GarbageKind.MISSING_ORIGINAL, upload.upload_id)
        async for upload_id in self._stored_uploads():
            self._on_upload()
            if not has_uploads:  # probably the wrong database, not a bucket full of orphans
                raise CatalogUnavailable("The store has uploads but the database has none: check DATABASE_URL.")
            if not await self._repository.exists(upload_id):
                yield Garbage(GarbageKind.ORPHAN, upload_id)

    async def remove(self, garbage: Garbage) -> None:
        """Removes objects, CDN copies, then rows, as a delete does: an interrupted removal is found again by its rows.

        Raises StoreUnavailable, CdnUnavailable or CatalogUnavailable.
        """
        if garbage.kind is GarbageKind.TEMPORARY:
            await anyio.to_thread.run_sync(_remove, Path(garbage.name))
            return
        upload_id = UploadId(garbage.name)
        await self._variant_service.delete_upload(upload_id)
        if garbage.kind is not GarbageKind.INCOMPLETE_UPLOAD:  # never acknowledged, so no CDN has it
            await self._cdn.invalidate([upload_tag(upload_id)])  # the delete may have stopped before this step
        await self._repository.delete(upload_id)

    def _old_files(self) -> list[str]:
        before = self._before.timestamp()
        paths = (path for folder in self._folders if folder.is_dir() for path in sorted(folder.iterdir()))
        return [str(path) for path in paths if _modified_at(path) < before]

    async def _has_any_original(self) -> bool:
        async for _ in self._store.list(ORIGINALS_PREFIX):
            return True
        return False

    async def _stored_uploads(self) -> AsyncIterator[UploadId]:
        """Yields ids with stored objects older than `age`, once for each of the two prefixes."""
        for prefix in (ORIGINALS_PREFIX, VARIANTS_PREFIX):
            last = None
            async for info in self._store.list(prefix):
                upload_id = parse_upload_id(info.key.split("/")[1])
                if upload_id is not None and upload_id != last and info.last_modified < self._before:
                    last = upload_id
                    yield upload_id


def _modified_at(path: Path) -> float:
    """Returns the modification time in epoch seconds, infinity for a file that was just removed."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return math.inf


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


async def collect_garbage(settings: Settings, *, dry_run: bool, progress: Progress) -> list[dict[str, str]]:
    """Finds what crashes left behind, and removes it unless `dry_run`."""
    found: list[dict[str, str]] = []
    examined = 0

    def count() -> None:
        nonlocal examined
        examined += 1
        progress.update(examined, f"{len(found)} found")

    async with open_services(settings) as services:
        folders = (settings.temporary, settings.objects / INCOMING, settings.purges)
        proxy = services.proxy
        collector = Collector(
            proxy.store,
            services.repository,
            proxy.variant_service,
            services.cdn,
            folders=folders,
            age=MIN_AGE,
            on_upload=count,
        )
        progress.begin("Looking for leftovers")
        async for garbage in collector.find():
            if not dry_run:
                await collector.remove(garbage)
            found.append({"kind": garbage.kind.value, "name": garbage.name})
    return found
