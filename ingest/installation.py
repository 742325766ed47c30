"""The installation id, a UUID that the database and the object store share.

With the wrong database, every original looks like an orphan; with the wrong store, every upload looks deleted. So each
process compares both ids before its first write.
"""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

from ingest.catalog.installation_table import InstallationTable, StoredId
from ingest.ingest_errors import InstallationMismatch
from proxy.errors import StoreUnavailable
from proxy.keys import INSTALLATION_KEY, ORIGINALS_PREFIX, TRASH_PREFIX
from proxy.storage.object_store import ObjectExists, ObjectNotFound, ObjectStore
from proxy.variants.single_flight import SingleFlight


@dataclass(frozen=True, slots=True)
class InstallationIds:
    """The installation ids that database and object store have; None for a side that has none."""

    database: str | None
    store: str | None

    @property
    def mismatch(self) -> str | None:
        """Says which side belongs to which installation; None if both have the same id or neither has an id."""
        if self.database == self.store:
            return None
        return (
            f"The database {_describe(self.database)}, but the object store {_describe(self.store)}: "
            "correct DATABASE_URL, S3_BUCKET or DATA_DIR, or run `darkroom rebind` if they belong together."
        )


class Installation:
    """Verifies that database and object store belong together. Remembers success for the life of the process."""

    def __init__(self, store: ObjectStore, table: InstallationTable) -> None:
        self._store = store
        self._table = table
        self._verified_id: str | None = None
        self._flights: SingleFlight[str, str] = SingleFlight()

    async def verify(self) -> str:
        """Returns the installation id if database and store agree on it. To be called before a write.

        If both sides lack an id, as at the first start, gives them one.

        Concurrent calls share one check. Raises InstallationMismatch, StoreUnavailable or CatalogUnavailable.
        """
        if self._verified_id is None:
            self._verified_id, _ = await self._flights.do("verify", self._verify)
        return self._verified_id

    async def check(self) -> InstallationIds:
        """Verifies like `verify`, but writes no ids: for commands that change nothing. Returns both ids."""
        await self._table.check()
        ids = await self.read()
        if ids.mismatch and ((ids.database and ids.store) or await self._has_uploads()):
            raise InstallationMismatch(ids.mismatch)
        return ids

    async def read(self) -> InstallationIds:
        """Returns both ids. Raises StoreUnavailable or CatalogUnavailable."""
        known = await self._table.read()
        return InstallationIds(known.id if known else None, await self._read_store())

    async def rebind(self) -> str:
        """Writes the store's id to the database and returns it. Raises StoreUnavailable or CatalogUnavailable.

        If the store has no id, both get the database's, or a new one if the database has none either.
        """
        ids = await self.read()
        installation_id = ids.store or ids.database or str(uuid4())
        await self._table.replace(StoredId(installation_id, bound=False))
        installation_id = await self._offer(installation_id)
        await self._table.replace(StoredId(installation_id, bound=True))
        self._verified_id = installation_id
        return installation_id

    async def _verify(self) -> str:
        await self._table.check()
        # Servers may start at the same time. The database decides whose id counts, because its insert is always atomic,
        # so it gets its id before the store does. If the store has an id that the database lacked a moment ago, another
        # server has just started: the database is read again.
        known = await self._table.read()
        in_store = await self._read_store()
        if known is None and in_store is None:
            known = await self._table.create(StoredId(str(uuid4()), bound=False))
            in_store = await self._read_store()
        elif known is None:
            known = await self._table.read()
        if known is None and not await self._has_uploads():
            known = await self._table.create(StoredId(in_store or "", bound=True))
        if known is not None and in_store is None and (not known.bound or not await self._has_uploads()):
            in_store = await self._offer(known.id)
        if mismatch := InstallationIds(known.id if known else None, in_store).mismatch:
            raise InstallationMismatch(mismatch)
        if known is not None and not known.bound:
            await self._table.mark_bound()
        return known.id if known else ""

    async def _read_store(self) -> str | None:
        try:
            stored = await self._store.get(INSTALLATION_KEY)
        except ObjectNotFound:
            return None
        try:
            return str(UUID(stored.body.decode()))
        except ValueError:
            raise StoreUnavailable(
                f"The object `{INSTALLATION_KEY}` in the object store is no UUID: restore it, or delete it and run "
                "`darkroom rebind`."
            ) from None

    async def _offer(self, installation_id: str) -> str:
        """Stores the id unless the store has one already. Returns what is stored now."""
        with suppress(ObjectExists):  # of another process, or of this put's own first attempt
            await self._store.put(INSTALLATION_KEY, installation_id.encode(), content_type="text/plain", if_absent=True)
        return await self._read_store() or installation_id

    async def _has_uploads(self) -> bool:
        """Whether store or database have any upload. If not, nothing can be lost by giving both sides an id."""
        for prefix in (ORIGINALS_PREFIX, TRASH_PREFIX):
            async for _ in self._store.list(prefix):
                return True
        return await self._table.has_uploads()


def _describe(installation_id: str | None) -> str:
    return f"belongs to installation {installation_id}" if installation_id else "has no installation id"
