"""Database and object store share an installation id; a pair that does not match is refused and left as it is."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.catalog.installation_table import InstallationTable, StoredId
from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable, InstallationMismatch
from ingest.installation import Installation, InstallationIds
from proxy.errors import StoreUnavailable
from proxy.keys import INSTALLATION_KEY, original_key, trash_key
from proxy.model import new_upload_id
from tests.fakes import CountingStore

pytestmark = pytest.mark.asyncio(loop_scope="session")

OURS, THEIRS = "0b6a6b39-5a66-4d3e-8f0e-3ff0f7b4a001", "f7d9f9a2-8d0b-45a3-9dcb-6a1a0c0d4002"


class Pair:
    """A database and a store."""

    def __init__(self, database: Database, store: CountingStore) -> None:
        self.database, self.store = database, store
        self.table = InstallationTable(database)

    def installation(self) -> Installation:
        """As a new process has it."""
        return Installation(self.store, self.table)

    async def put(self, installation_id: str) -> None:
        await self.store.put(INSTALLATION_KEY, installation_id.encode(), content_type="text/plain")

    async def add_row(self) -> None:
        await JobRepository(self.database).begin(new_upload_id())

    async def add_original(self) -> None:
        await self.store.put(original_key(new_upload_id()), b"x", content_type="image/png")

    async def ids(self) -> tuple[StoredId | None, str | None]:
        return await self.table.read(), (await self.installation().read()).store

    async def assert_refused(self, *ids: str) -> str:
        """Twice, as every process would be; nothing changes."""
        before = await self.ids()
        for _ in range(2):
            with pytest.raises(InstallationMismatch) as refused:
                await self.installation().verify()
            with pytest.raises(InstallationMismatch, match=re.escape(str(refused.value))):
                await self.installation().check()
        assert await self.ids() == before
        assert all(each in str(refused.value) for each in ids)
        return str(refused.value)


@pytest_asyncio.fixture(loop_scope="session")
async def pair(database: Database, store: CountingStore) -> AsyncIterator[Pair]:
    yield Pair(database, store)


async def test_first_start_gives_both_sides_one_id(pair: Pair) -> None:
    await pair.installation().verify()

    in_database, in_store = await pair.ids()
    assert in_database == StoredId(in_store, bound=True)
    await pair.installation().verify()
    assert await pair.ids() == (in_database, in_store)


async def test_installation_of_an_earlier_version_gets_its_id(pair: Pair) -> None:
    await pair.add_row()
    await pair.add_original()

    await pair.installation().verify()

    in_database, in_store = await pair.ids()
    assert in_store is not None
    assert in_database == StoredId(in_store, bound=True)


async def test_check_gives_no_ids(pair: Pair) -> None:
    assert await pair.installation().check() == InstallationIds(None, None)
    assert await pair.ids() == (None, None)


async def test_servers_that_start_together_agree(pair: Pair, tmp_path: Path) -> None:
    await pair.add_row()
    others = [Database(pair.database.engine.url) for _ in range(3)]
    processes = [Installation(pair.store, InstallationTable(database)) for database in others]

    await asyncio.gather(*(process.verify() for process in processes))

    in_database, in_store = await pair.ids()
    assert in_database == StoredId(in_store, bound=True)
    for database in others:
        await database.close()


async def test_server_that_looked_before_another_started_has_the_same_id(pair: Pair) -> None:
    await pair.add_row()
    gate = pair.store.hold("get")
    late = asyncio.create_task(pair.installation().verify())
    await gate.reached.wait()  # it has seen that the database has no id

    await Installation(pair.store.inner, pair.table).verify()
    gate.open()

    await late
    in_database, in_store = await pair.ids()
    assert in_database == StoredId(in_store, bound=True)


async def test_first_start_that_was_killed_half_way_is_completed(pair: Pair) -> None:
    await pair.add_row()
    await pair.table.create(StoredId(OURS, bound=False))

    await pair.installation().verify()

    assert await pair.ids() == (StoredId(OURS, bound=True), OURS)


async def test_different_ids_are_refused_with_both_named(pair: Pair) -> None:
    await pair.table.create(StoredId(OURS, bound=True))
    await pair.put(THEIRS)

    reason = await pair.assert_refused(OURS, THEIRS)

    assert reason.startswith(
        f"The database belongs to installation {OURS}, but the object store belongs to installation {THEIRS}: "
    )


@pytest.mark.parametrize("uploads", [Pair.add_row, Pair.add_original])
async def test_database_without_id_beside_a_store_with_one_is_refused(pair: Pair, uploads: object) -> None:
    """A backup from before the id, or another database."""
    await uploads(pair)
    await pair.put(THEIRS)

    reason = await pair.assert_refused(THEIRS)

    assert reason.startswith("The database has no installation id, but the object store belongs to")


@pytest.mark.parametrize("uploads", [Pair.add_row, Pair.add_original])
async def test_store_without_id_beside_a_database_with_one_is_refused(pair: Pair, uploads: object) -> None:
    await uploads(pair)
    await pair.table.create(StoredId(OURS, bound=True))

    await pair.assert_refused(OURS)


async def test_store_with_only_trash_beside_a_database_without_id_is_refused(pair: Pair) -> None:
    await pair.store.put(trash_key(new_upload_id()), b"x", content_type="image/png")
    await pair.put(THEIRS)

    await pair.assert_refused(THEIRS)


async def test_pair_without_any_upload_is_completed(pair: Pair) -> None:
    """A new database beside an emptied bucket: nothing can be lost."""
    await pair.put(THEIRS)

    await pair.installation().verify()

    assert await pair.ids() == (StoredId(THEIRS, bound=True), THEIRS)


async def test_success_is_remembered_and_concurrent_calls_share_one_look(pair: Pair) -> None:
    installation = pair.installation()

    await asyncio.gather(*(installation.verify() for _ in range(5)))
    await installation.verify()

    assert pair.store.count("get", INSTALLATION_KEY) == 3  # before, between and after both writes
    assert pair.store.count("put", INSTALLATION_KEY) == 1


async def test_outage_is_not_remembered(pair: Pair) -> None:
    installation = pair.installation()
    pair.store.fail("get")
    with pytest.raises(StoreUnavailable):
        await installation.verify()

    await installation.verify()

    assert (await pair.ids())[1] is not None


async def test_database_of_an_earlier_revision_raises_catalog_unavailable(pair: Pair) -> None:
    await pair.database.migrate("base")

    with pytest.raises(CatalogUnavailable, match="darkroom migrate"):
        await pair.installation().verify()

    assert await pair.store.keys() == []


async def test_id_that_is_no_uuid_is_named(pair: Pair) -> None:
    await pair.put("mine")

    with pytest.raises(StoreUnavailable, match=r"`installation` in the object store is no UUID"):
        await pair.installation().verify()


@pytest.mark.parametrize("in_database", [None, OURS])
async def test_rebind_gives_the_stores_id_to_the_database(pair: Pair, in_database: str | None) -> None:
    await pair.add_original()
    await pair.put(THEIRS)
    if in_database:
        await pair.table.create(StoredId(in_database, bound=True))

    assert await pair.installation().rebind() == THEIRS

    assert await pair.ids() == (StoredId(THEIRS, bound=True), THEIRS)
    await pair.installation().verify()


async def test_rebind_gives_the_id_of_the_database_to_a_store_without_id(pair: Pair) -> None:
    await pair.add_original()
    await pair.table.create(StoredId(OURS, bound=True))

    assert await pair.installation().rebind() == OURS

    await pair.installation().verify()
