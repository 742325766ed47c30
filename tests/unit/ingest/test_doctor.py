"""The doctor finds what is wrong with each part, says what to mend, and leaves nothing behind."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ingest.catalog.database import Database
from ingest.doctor import Doctor, Finding
from proxy.storage.memory import MemoryStore
from tests.fakes import CountingStore
from tests.unit.ingest.fakes import RecordingQueue

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Unconditional(MemoryStore):
    """As some servers are: `If-None-Match` says nothing to it."""

    async def put(
        self,
        key: str,
        body: bytes | Path,
        *,
        content_type: str,
        cache_control: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        await super().put(key, body, content_type=content_type, cache_control=cache_control, metadata=metadata)


class Forgetful(MemoryStore):
    """Drops metadata."""

    async def put(
        self, key: str, body: bytes | Path, *, content_type: str, if_absent: bool = False, **_: object
    ) -> None:
        await super().put(key, body, content_type=content_type, if_absent=if_absent)


async def examined(
    database: Database, temporary: Path, store: MemoryStore | CountingStore | None = None
) -> dict[str, Finding]:
    doctor = Doctor(store or MemoryStore(), database, RecordingQueue(), temporary)
    return {finding.name: finding async for finding in doctor.examine()}


async def test_a_sound_installation_has_nothing_to_mend(database: Database, temporary: Path) -> None:
    store = MemoryStore()

    findings = await examined(database, temporary, store)

    assert list(findings) == ["object store", "conditional writes", "database", "queue", "temporary files"]
    assert all(finding.well for finding in findings.values())
    assert findings["conditional writes"].remark == "honoured"
    assert [info async for info in store.list("")] == []
    assert list(temporary.iterdir()) == []


async def test_a_store_without_conditional_writes_is_right_but_named(database: Database, temporary: Path) -> None:
    finding = (await examined(database, temporary, Unconditional()))["conditional writes"]

    assert finding.well
    assert "ignored" in finding.remark
    assert "leases" in finding.remark


async def test_a_store_that_loses_metadata_is_to_be_mended(database: Database, temporary: Path) -> None:
    finding = (await examined(database, temporary, Forgetful()))["object store"]

    assert not finding.well
    assert "metadata" in finding.remark


async def test_a_store_that_is_away_says_so_and_the_rest_is_examined_all_the_same(
    database: Database, temporary: Path
) -> None:
    store = CountingStore()
    store.fail("put", 2)

    findings = await examined(database, temporary, store)

    assert [name for name, finding in findings.items() if not finding.well] == ["object store", "conditional writes"]


async def test_a_database_that_was_not_migrated_is_told_the_command(tmp_path: Path, temporary: Path) -> None:
    empty = Database(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")

    finding = (await examined(empty, temporary))["database"]
    await empty.close()

    assert not finding.well
    assert "darkroom migrate" in finding.remark


async def test_a_folder_that_cannot_be_written_to_is_named(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    finding = (await examined(database, tmp_path / "file"))["temporary files"]

    assert not finding.well
    assert str(tmp_path / "file") in finding.remark
