"""Lists for each upload its entries in database and object store: a merge of sorted streams, in constant memory."""

from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Generic, TypeVar

from ingest.catalog.upload_reader import UploadReader
from ingest.catalog.upload_rows import UploadRow
from proxy.keys import FIELDS_PREFIX, ORIGINALS_PREFIX, TRASH_PREFIX, VARIANTS_PREFIXES
from proxy.model import UploadId, Visibility, parse_upload_id
from proxy.storage.object_store import ObjectInfo, ObjectStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InventoryEntry:
    """One upload. `original`, `trashed` and `fields` are entries of listings, without metadata.

    `variants`: the visibilities below whose prefix there are some.
    """

    upload_id: UploadId
    row: UploadRow | None
    original: ObjectInfo | None
    trashed: ObjectInfo | None
    fields: ObjectInfo | None
    variants: AbstractSet[Visibility]


async def inventory(store: ObjectStore, repository: UploadReader) -> AsyncIterator[InventoryEntry]:
    """Yields every upload that database or store know, by id. Each listing is read once, page by page.

    The sides are read at slightly different times, so check again before acting on a difference. Raises
    StoreUnavailable or CatalogUnavailable.
    """
    rows = _Stream(_by_id(repository.rows(), lambda row: row.upload_id))
    originals = _Stream(_by_id(store.list(ORIGINALS_PREFIX), lambda info: info.key.removeprefix(ORIGINALS_PREFIX)))
    trash = _Stream(_by_id(store.list(TRASH_PREFIX), lambda info: info.key.removeprefix(TRASH_PREFIX)))
    fields = _Stream(_by_id(store.list(FIELDS_PREFIX), lambda info: info.key.removeprefix(FIELDS_PREFIX)))
    variants = {
        visibility: _Stream(_by_id(store.folders(prefix), lambda name: name))
        for visibility, prefix in VARIANTS_PREFIXES.items()
    }
    streams: list[_Stream[UploadRow] | _Stream[ObjectInfo] | _Stream[str]]
    streams = [rows, originals, trash, fields, *variants.values()]
    for stream in streams:
        await stream.advance()
    while heads := [stream.upload_id for stream in streams if stream.upload_id is not None]:
        upload_id = min(heads)
        yield InventoryEntry(
            upload_id,
            rows.at(upload_id),
            originals.at(upload_id),
            trash.at(upload_id),
            fields.at(upload_id),
            {visibility for visibility, stream in variants.items() if stream.at(upload_id)},
        )
        for stream in streams:
            if stream.upload_id == upload_id:
                await stream.advance()


async def _by_id(items: AsyncIterator[T], name_of: Callable[[T], str]) -> AsyncIterator[tuple[UploadId, T]]:
    """Yields items with their upload ids. Skips other names: they are not Darkroom's."""
    async for item in items:
        if upload_id := parse_upload_id(name_of(item)):
            yield upload_id, item


class _Stream(Generic[T]):
    """The next item of one sorted stream. `upload_id` is None at its end."""

    def __init__(self, items: AsyncIterator[tuple[UploadId, T]]) -> None:
        self._items = items
        self._item: T | None = None
        self.upload_id: UploadId | None = None

    async def advance(self) -> None:
        head = await anext(self._items, None)  # a tuple as the default would raise SystemError in CPython 3.11
        self.upload_id, self._item = head or (None, None)

    def at(self, upload_id: UploadId) -> T | None:
        return self._item if self.upload_id == upload_id else None
