"""The installation id in SQL: a table of one row."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from ingest.catalog.database import Database
from ingest.catalog.tables import installation, upload_jobs

_SLOT = 1


@dataclass(frozen=True, slots=True)
class StoredId:
    """An installation id in the database.

    `bound`: whether the object store has the id too. The first start writes it to the database first, with False.
    """

    id: str
    bound: bool


class InstallationTable:
    """Reads and writes the installation id. Every method raises CatalogUnavailable if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> None:
        """Raises CatalogUnavailable if this version cannot use the tables."""
        await self._database.check()

    async def read(self) -> StoredId | None:
        """Returns the installation id; None before the first start."""
        query = select(installation.c.id, installation.c.bound)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).first()
        return row and StoredId(row.id, row.bound)

    async def create(self, new: StoredId) -> StoredId:
        """Stores `new`, unless there is an id already. Returns what is stored now."""
        try:
            async with self._database.transaction() as connection:
                try:
                    await connection.execute(insert(installation).values(slot=_SLOT, id=new.id, bound=new.bound))
                except IntegrityError as error:
                    raise _Taken from error
        except _Taken:  # by another process that started at the same time
            return await self.read() or new
        return new

    async def mark_bound(self) -> None:
        """Records that the object store has the id, too."""
        async with self._database.transaction() as connection:
            await connection.execute(update(installation).values(bound=True))

    async def replace(self, new: StoredId) -> None:
        """Stores `new`, in place of any other id."""
        async with self._database.transaction() as connection:
            await connection.execute(installation.delete())
            await connection.execute(insert(installation).values(slot=_SLOT, id=new.id, bound=new.bound))

    async def has_uploads(self) -> bool:
        """Whether there is any upload, including those in progress."""
        async with self._database.transaction() as connection:
            return (await connection.execute(select(upload_jobs.c.upload_id).limit(1))).first() is not None


class _Taken(Exception):
    pass
