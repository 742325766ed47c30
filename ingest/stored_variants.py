"""The stored variants of every upload: a merge of the database's ids and the store's listing, in constant memory."""

from collections.abc import AsyncIterator

from ingest.catalog.repository import JobRepository
from ingest.catalog.upload_rows import UploadRow
from proxy.keys import VARIANTS_PREFIX
from proxy.model import Sizes, UploadId, Variant, parse_upload_id
from proxy.storage.object_store import ObjectInfo, ObjectStore

Stored = dict[Variant, ObjectInfo]


async def accepted_ids(repository: JobRepository, start: UploadId | None = None) -> AsyncIterator[UploadId]:
    """Yields the ids of all uploads from `start` on, in order. Raises CatalogUnavailable."""
    async for row in repository.rows(start):
        if row.is_accepted:
            yield row.upload_id


async def stored_variants(
    store: ObjectStore, repository: JobRepository, sizes: Sizes, start: UploadId | None = None
) -> AsyncIterator[tuple[UploadRow, Stored]]:
    """Yields each upload from `start` on, in the order of ids, with the entries of its variants of configured sizes.

    Variants without an upload are left to `darkroom gc`. Raises StoreUnavailable or CatalogUnavailable.
    """
    groups = _by_upload(store, sizes, start)
    group = await anext(groups, None)
    async for row in repository.rows(start):
        while group and group[0] < row.upload_id:
            group = await anext(groups, None)
        if row.is_accepted:
            yield row, group[1] if group and group[0] == row.upload_id else {}


async def _by_upload(
    store: ObjectStore, sizes: Sizes, start: UploadId | None
) -> AsyncIterator[tuple[UploadId, Stored]]:
    """A listing has the objects of an upload in a row. It may begin up to 16 uploads before `start`."""
    after = f"{VARIANTS_PREFIX}{start[:-1]}" if start else ""  # less than any key of `start`, and not a folder
    last: UploadId | None = None
    stored: Stored = {}
    async for info in store.list(VARIANTS_PREFIX, after=after):
        folder, _, name = info.key.removeprefix(VARIANTS_PREFIX).partition("/")
        upload_id = last if folder == last else parse_upload_id(folder)
        if upload_id is None:
            continue
        if upload_id != last:
            if last:
                yield last, stored
            last, stored = upload_id, {}
        if variant := sizes.parse(name):
            stored[variant] = info
    if last:
        yield last, stored
