"""What crashes leave behind: found, and removed if asked to. Safe while the service runs.

An upload goes: job row, temporary file, original, image row. A crash between two steps leaves a job without image,
perhaps with an original; one between a delete's steps, variants without original or rows without it. Everything
younger than `age` is left alone: it may be under way.
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
from ingest.errors import CatalogUnavailable
from ingest.progress import Progress
from ingest.services import open_services
from proxy.errors import StoreUnavailable
from proxy.keys import ORIGINALS_PREFIX, VARIANTS_PREFIX, original_key
from proxy.model import UploadId, parse_upload_id
from proxy.settings import Settings
from proxy.storage.disk import INCOMING
from proxy.storage.object_store import ObjectStore, exists
from proxy.variants.encoded_variant import upload_tag
from proxy.variants.variant_service import VariantService

MIN_AGE = timedelta(hours=1)
"""Far beyond the longest deadline that an upload (`UPLOAD_TIMEOUT`) or a derivation may have."""


class GarbageKind(StrEnum):
    TEMPORARY = "temporary"
    """A file of an upload, a derivation or a lease that a killed process left."""
    HALF_UPLOAD = "half upload"
    """A job without image: the upload was never acknowledged."""
    LOST_ORIGINAL = "lost original"
    """Rows without original: a delete that stopped half-way."""
    ORPHAN = "orphan"
    """An original or variants without rows."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """One find. `name` is a path for TEMPORARY, an upload's id for the rest."""

    kind: GarbageKind
    name: str


class Collector:
    """Finds garbage and removes it, one find after another."""

    def __init__(
        self,
        store: ObjectStore,
        repository: JobRepository,
        variant_service: VariantService,
        cdn: Cdn,
        *,
        folders: Sequence[Path],
        age: timedelta,
        looked_at: Callable[[], None] = lambda: None,
    ) -> None:
        """`looked_at` is called for each upload that was, once for each place."""
        self._store = store
        self._repository = repository
        self._variant_service = variant_service
        self._cdn = cdn
        self._folders = folders
        self._looked_at = looked_at
        self._before = datetime.now(UTC) - age

    async def find(self) -> AsyncIterator[Garbage]:
        """Raises StoreUnavailable or CatalogUnavailable."""
        for path in await anyio.to_thread.run_sync(self._old_files):
            yield Garbage(GarbageKind.TEMPORARY, path)
        for upload_id in await self._repository.find_incomplete(self._before):
            yield Garbage(GarbageKind.HALF_UPLOAD, upload_id)
        knows_any = any((await self._repository.count()).values())
        if knows_any and not await self._has_any_original():  # far likelier the wrong store than as many lost originals
            raise StoreUnavailable("The database knows uploads, the store has no original at all: check S3_BUCKET.")
        async for upload, _ in self._repository.each():
            self._looked_at()
            if upload.created_at < self._before and not await exists(self._store, original_key(upload.upload_id)):
                yield Garbage(GarbageKind.LOST_ORIGINAL, upload.upload_id)
        async for upload_id in self._stored_uploads():
            self._looked_at()
            if not knows_any:  # far likelier the wrong database than a bucket full of orphans
                raise CatalogUnavailable("The database knows no upload at all, the store some: check DATABASE_URL.")
            if not await self._repository.exists(upload_id):
                yield Garbage(GarbageKind.ORPHAN, upload_id)

    async def remove(self, garbage: Garbage) -> None:
        """Objects first, then the CDN, rows last, as a delete does: what has rows and stops half-way is found again.

        Raises StoreUnavailable, CdnUnavailable or CatalogUnavailable.
        """
        if garbage.kind is GarbageKind.TEMPORARY:
            await anyio.to_thread.run_sync(_remove, Path(garbage.name))
            return
        upload_id = UploadId(garbage.name)
        await self._variant_service.purge(upload_id)
        if garbage.kind is not GarbageKind.HALF_UPLOAD:  # of which nobody was ever told
            await self._cdn.forget([upload_tag(upload_id)])  # whose silence may be what stopped a delete
        await self._repository.delete(upload_id)

    def _old_files(self) -> list[str]:
        before = self._before.timestamp()
        paths = (path for folder in self._folders if folder.is_dir() for path in sorted(folder.iterdir()))
        return [str(path) for path in paths if _changed(path) < before]

    async def _has_any_original(self) -> bool:
        async for _ in self._store.list(ORIGINALS_PREFIX):
            return True
        return False

    async def _stored_uploads(self) -> AsyncIterator[UploadId]:
        """Every id under which something old is stored, once for each of the two prefixes."""
        for prefix in (ORIGINALS_PREFIX, VARIANTS_PREFIX):
            last = None
            async for info in self._store.list(prefix):
                upload_id = parse_upload_id(info.key.split("/")[1])
                if upload_id is not None and upload_id != last and info.last_modified < self._before:
                    last = upload_id
                    yield upload_id


def _changed(path: Path) -> float:
    """In seconds of the epoch; never, for what its owner has just removed."""
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
    looked_at = 0

    def count() -> None:
        nonlocal looked_at
        looked_at += 1
        progress.update(looked_at, f"{len(found)} found")

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
            looked_at=count,
        )
        progress.begin("Looking for leftovers")
        async for garbage in collector.find():
            if not dry_run:
                await collector.remove(garbage)
            found.append({"kind": garbage.kind.value, "name": garbage.name})
    return found
