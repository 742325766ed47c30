"""The stored variants of every upload: a merge of the database's ids and the store's listings, in constant memory."""

from collections.abc import AsyncIterator

from ingest.catalog.upload_reader import UploadReader
from ingest.catalog.upload_rows import UploadRow
from proxy.keys import VARIANTS_PREFIXES
from proxy.model import Sizes, UploadId, Variant, Visibility, parse_upload_id
from proxy.storage.object_store import ObjectInfo, ObjectStore

Stored = dict[Variant, ObjectInfo]


async def accepted_ids(repository: UploadReader, start: UploadId | None = None) -> AsyncIterator[UploadId]:
    """Yields the ids of all uploads from `start` on, in order. Raises CatalogUnavailable."""
    async for row in repository.rows(start):
        if row.is_accepted:
            yield row.upload_id


async def stored_variants(
    store: ObjectStore, repository: UploadReader, sizes: Sizes, start: UploadId | None = None
) -> AsyncIterator[tuple[UploadRow, Stored]]:
    """Yields the uploads from `start` on, sorted by id, each with its stored variants of configured sizes.

    Variants without an upload are left to `darkroom gc`. Raises StoreUnavailable or CatalogUnavailable.
    """
    groups = {visibility: _Groups(_by_upload(store, sizes, visibility, start)) for visibility in Visibility}
    async for row in repository.rows(start):
        if row.is_accepted:
            yield row, await groups[row.visibility].of(row.upload_id)


class _Groups:
    """Reads the variants of one listing, upload by upload."""

    def __init__(self, groups: AsyncIterator[tuple[UploadId, Stored]]) -> None:
        self._groups = groups
        self._next: tuple[UploadId, Stored] | None = UploadId(""), {}

    async def of(self, upload_id: UploadId) -> Stored:
        """Returns the upload's variants; may be empty. Must be called in the order of ids."""
        while self._next and self._next[0] < upload_id:
            self._next = await anext(self._groups, None)
        return self._next[1] if self._next and self._next[0] == upload_id else {}


async def _by_upload(
    store: ObjectStore, sizes: Sizes, visibility: Visibility, start: UploadId | None
) -> AsyncIterator[tuple[UploadId, Stored]]:
    """Yields uploads with their listed variants, in the order of ids. May begin up to 16 ids before `start`."""
    prefix = VARIANTS_PREFIXES[visibility]
    after = f"{prefix}{start[:-1]}" if start else ""  # less than any key of `start`, and not a folder
    last: UploadId | None = None
    stored: Stored = {}
    async for info in store.list(prefix, after=after):
        folder, _, name = info.key.removeprefix(prefix).partition("/")
        upload_id = last if folder == last else parse_upload_id(folder)
        if upload_id is None:
            continue
        if upload_id != last:
            if last:
                yield last, stored
            last, stored = upload_id, {}
        if variant := sizes.parse(name, visibility):
            stored[variant] = info
    if last:
        yield last, stored
