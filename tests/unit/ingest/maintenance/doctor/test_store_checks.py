"""The store checks find each fault and leave nothing behind."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.maintenance.doctor import store_checks as checks
from ingest.maintenance.doctor.findings import Verdict
from proxy.errors import StoreUnavailable
from proxy.keys import FIELDS_PREFIX, ORIGINALS_PREFIX, VARIANTS_PREFIXES
from proxy.model import Sizes, parse_upload_id
from proxy.storage.object_store import ObjectInfo, ObjectNotFound
from tests.fakes import CountingStore
from tests.memory_store import MemoryStore
from tests.unit.ingest.examples import SIZES

ALL = [checks.round_trip, checks.listing, checks.conditional_writes]


class Unconditional(MemoryStore):
    """Ignores `If-None-Match`, as some servers do."""

    async def put(self, key: str, body: bytes | Path, **options: Any) -> None:
        await super().put(key, body, **options | {"if_absent": False})


class Forgetful(MemoryStore):
    """Drops metadata."""

    async def put(
        self, key: str, body: bytes | Path, *, content_type: str, if_absent: bool = False, **_: object
    ) -> None:
        await super().put(key, body, content_type=content_type, if_absent=if_absent)


class Undying(MemoryStore):
    """Deletes nothing."""

    async def delete(self, *keys: str) -> None:
        pass


class Absent(MemoryStore):
    """Accepts everything and stores nothing."""

    async def put(self, key: str, body: bytes | Path, **_: object) -> None:
        pass


class Unlisted(MemoryStore):
    """S3 without s3:ListBucket: a missing key and a listing get 403."""

    async def head(self, key: str) -> ObjectInfo:
        try:
            return await super().head(key)
        except ObjectNotFound:
            raise StoreUnavailable("The object store refuses these credentials.") from None

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        raise StoreUnavailable("The object store refuses these credentials.")
        yield


class SecretlyUnlisted(Unlisted):
    """Allows listings, but answers 403 for a missing key."""

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        return MemoryStore.list(self, prefix, after=after)


@pytest.mark.parametrize("check", ALL)
async def test_correct_store_is_ok_and_left_empty(check: object) -> None:
    store = MemoryStore()

    assert (await check(store)).verdict is Verdict.OK
    assert [info async for info in store.list("")] == []


async def test_round_trip_uses_every_prefix() -> None:
    store = CountingStore()

    await checks.round_trip(store)

    for method in ("put", "get", "delete", "head"):
        prefixes = [key.split("/")[0] + "/" for name, key in store.calls if name == method]
        assert [*dict.fromkeys(prefixes)] == [ORIGINALS_PREFIX, *VARIANTS_PREFIXES.values(), FIELDS_PREFIX]


async def test_leftovers_of_a_killed_doctor_are_orphans_and_no_variants() -> None:
    store = Undying()
    for check in ALL:
        await check(store)

    left = [info.key async for info in store.list("")]
    assert left
    for key in left:
        prefix, upload_id, *name = key.split("/")
        assert prefix + "/" in (ORIGINALS_PREFIX, *VARIANTS_PREFIXES.values(), FIELDS_PREFIX)
        assert parse_upload_id(upload_id)
        assert not any(Sizes(*SIZES.values()).parse(each) for each in name)


async def test_store_that_loses_metadata_fails() -> None:
    judged = await checks.round_trip(Forgetful())

    assert judged.verdict is Verdict.FAILED
    assert "metadata" in judged.remark


async def test_store_that_refuses_deletes_fails_only_the_round_trip() -> None:
    store = CountingStore()
    store.fail("delete", 1_000_000)

    judged = [await check(store) for check in ALL]

    assert [one.verdict for one in judged] == [Verdict.FAILED, Verdict.OK, Verdict.OK]
    assert "does not delete under originals/" in judged[0].remark
    assert "told to fail" in judged[0].remark
    assert "s3:DeleteObject" in judged[0].remark
    assert await checks.clock(store)


async def test_store_that_keeps_deleted_objects_fails() -> None:
    judged = await checks.round_trip(Undying())

    assert judged.verdict is Verdict.FAILED
    assert "deleted" in judged.remark


@pytest.mark.parametrize("check", [checks.round_trip, checks.clock])
async def test_store_that_lacks_a_stored_object_raises(check: object) -> None:
    with pytest.raises(StoreUnavailable, match="lacks an object that was just stored"):
        await check(Absent())


@pytest.mark.parametrize("store", [Unlisted(), SecretlyUnlisted()])
async def test_store_without_list_permission_fails_with_advice(store: MemoryStore) -> None:
    judged = await checks.listing(store)

    assert judged.verdict is Verdict.FAILED
    assert "refuses these credentials" in judged.remark
    assert "s3:ListBucket" in judged.remark
    assert "403 and not 404" in judged.remark


async def test_store_without_conditional_writes_warns() -> None:
    store = Unconditional()

    judged = await checks.conditional_writes(store)

    assert judged.verdict is Verdict.WARNING
    assert "leases alone" in judged.remark
    assert [info async for info in store.list("")] == []


@pytest.mark.parametrize("check", ALL)
async def test_unavailable_store_raises(check: object) -> None:
    store = CountingStore()
    store.fail("put", 1)

    with pytest.raises(StoreUnavailable, match="told to fail"):
        await check(store)


async def test_clock_returns_time_of_a_new_object() -> None:
    store = MemoryStore()
    before = datetime.now(UTC)

    there = await checks.clock(store)

    assert before <= there <= datetime.now(UTC)
    assert [info async for info in store.list("")] == []
