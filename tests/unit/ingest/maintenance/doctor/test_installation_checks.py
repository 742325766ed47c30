"""The doctor says which installation both sides belong to, and what a deletion leaves in a versioned bucket."""

import pytest

from ingest.catalog.database import Database
from ingest.catalog.installation_table import InstallationTable
from ingest.ingest_errors import InstallationMismatch
from ingest.installation import Installation
from ingest.maintenance.doctor.findings import Verdict, ok, skipped
from ingest.maintenance.doctor.installation_checks import installation_ids, versions
from proxy.errors import StoreUnavailable
from proxy.keys import INSTALLATION_KEY
from tests.fakes import CountingStore
from tests.memory_store import MemoryStore

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = "f7d9f9a2-8d0b-45a3-9dcb-6a1a0c0d4002"


class Versioned(MemoryStore):
    """A bucket with versioning, or one that refuses to answer."""

    def __init__(self, *, refuses: tuple[str, ...] = (), reason: str = "AccessDenied") -> None:
        super().__init__()
        self._refuses, self._reason = refuses, reason

    async def is_versioned(self) -> bool:
        self._answer("is_versioned")
        return True

    async def delete_versions(self, *prefixes: str) -> None:
        self._answer("delete_versions")
        await super().delete_versions(*prefixes)

    def _answer(self, method: str) -> None:
        if method in self._refuses:
            raise StoreUnavailable("The object store refuses these credentials.", reason=self._reason)


async def test_ids_of_both_sides_are_shown(database: Database, store: CountingStore) -> None:
    installation = Installation(store, InstallationTable(database))
    assert await installation_ids(installation) == ok("the first start gives database and object store an id")
    await installation.verify()

    shown = await installation_ids(installation)

    in_store = (await store.get(INSTALLATION_KEY)).body.decode()
    assert shown == ok(f"database and object store belong to installation {in_store}")


async def test_pair_that_does_not_match_fails_with_both_ids(database: Database, store: CountingStore) -> None:
    installation = Installation(store, InstallationTable(database))
    await installation.verify()
    ours = (await store.get(INSTALLATION_KEY)).body.decode()
    await store.put(INSTALLATION_KEY, OTHER.encode(), content_type="text/plain")

    with pytest.raises(InstallationMismatch, match=f"{ours}, but the object store belongs to installation {OTHER}"):
        await installation_ids(installation)


async def test_database_without_tables_is_left_to_its_own_check(database: Database, store: CountingStore) -> None:
    await database.migrate("base")

    found = await installation_ids(Installation(store, InstallationTable(database)))

    assert found == skipped("the database or the object store cannot be read yet")


async def test_store_without_versions_is_ok() -> None:
    assert (await versions(MemoryStore(), delete_versions=True)).verdict is Verdict.OK


async def test_versions_that_stay_readable_are_a_warning() -> None:
    found = await versions(Versioned(), delete_versions=False)

    assert found.verdict is Verdict.WARNING
    assert "DELETE_VERSIONS=true" in found.remark


async def test_deletion_of_versions_is_tried() -> None:
    assert await versions(Versioned(), delete_versions=True) == ok("a deletion removes all versions")


async def test_missing_right_to_delete_versions_fails() -> None:
    store = Versioned(refuses=("delete_versions",))

    found = await versions(store, delete_versions=True)

    assert found.verdict is Verdict.FAILED
    assert "s3:DeleteObjectVersion" in found.remark
    assert [info async for info in store.list("")] == []


async def test_missing_right_to_ask_is_a_warning() -> None:
    found = await versions(Versioned(refuses=("is_versioned",)), delete_versions=True)

    assert found.verdict is Verdict.WARNING
    assert "s3:GetBucketVersioning" in found.remark


@pytest.mark.parametrize("reason", ["NoSuchBucket", "ExpiredToken", "RequestTimeTooSkewed", "PermanentRedirect"])
async def test_store_that_refuses_every_call_needs_no_right_to_ask(reason: str) -> None:
    with pytest.raises(StoreUnavailable):
        await versions(Versioned(refuses=("is_versioned",), reason=reason), delete_versions=False)
