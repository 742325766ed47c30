"""The contract of every ObjectStore."""

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.keys import original_key, trash_key, variants_prefix
from proxy.model import UploadId, new_upload_id
from proxy.storage.disk import DiskStore
from proxy.storage.object_store import ObjectExists, ObjectNotFound, ObjectStore
from proxy.storage.retrying_store import RetryingStore
from tests.contracts.stores import failures, keys
from tests.http_client import http
from tests.memory_store import MemoryStore

BODIES = {"empty": b"", "one byte": b"\x00", "3 MB": random.Random(3).randbytes(3_000_000)}


class TestRoundTrip:
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    @pytest.mark.parametrize("from_file", [False, True], ids=["bytes", "file"])
    async def test_bytes_round_trip(
        self, object_store: ObjectStore, key: str, tmp_path: Path, body: bytes, from_file: bool
    ) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(body)

        await object_store.put(key, source if from_file else body, content_type="image/png")

        stored = await object_store.get(key)
        assert stored.body == body
        assert stored.info.size == len(body)
        assert await object_store.head(key) == stored.info
        assert await object_store.download(key, target) == stored.info
        assert target.read_bytes() == body

    async def test_headers_and_metadata_round_trip(self, object_store: ObjectStore, key: str) -> None:
        metadata = {"recipe": "a1b2c3", "source-sha256": "0" * 64}

        await object_store.put(
            key, b"x", content_type="image/webp", cache_control="public, max-age=60", metadata=metadata
        )

        info = await object_store.head(key)
        assert info.key == key
        assert info.content_type == "image/webp"
        assert info.cache_control == "public, max-age=60"
        assert info.metadata == metadata

    async def test_omitted_headers_and_metadata_stay_empty(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"x", content_type="image/jpeg")

        info = await object_store.head(key)
        assert info.cache_control is None
        assert info.metadata == {}

    async def test_last_modified_is_now_with_its_zone(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"x", content_type="image/jpeg")

        listed = [info async for info in object_store.list(key)]
        for info in (await object_store.head(key), (await object_store.get(key)).info, *listed):
            assert info.last_modified.tzinfo is not None
            assert abs(datetime.now(UTC) - info.last_modified) < timedelta(minutes=1)

    async def test_put_replaces_bytes_headers_and_metadata(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"old and longer", content_type="image/png", metadata={"old": "1"})

        await object_store.put(key, b"new", content_type="image/jpeg", metadata={"new": "1"})

        stored = await object_store.get(key)
        assert stored.body == b"new"
        assert stored.info.content_type == "image/jpeg"
        assert stored.info.metadata == {"new": "1"}

    # Not for MemoryStore, which never yields to the event loop.
    @pytest.mark.promise("E7")
    @pytest.mark.parametrize("object_store", ["disk", "s3-moto", "s3-seaweedfs"], indirect=True)
    async def test_event_loop_is_not_blocked(self, object_store: ObjectStore, key: str, tmp_path: Path) -> None:
        body = random.Random(8).randbytes(8_000_000)

        assert await ticks_during(object_store.put(key, body, content_type="image/png"))
        assert await ticks_during(object_store.get(key))
        assert await ticks_during(object_store.download(key, tmp_path / "target"))
        assert await ticks_during(object_store.head(key))


async def ticks_during(work: Awaitable[object]) -> int:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await work
    ticker.cancel()
    return ticks


class TestPutIfAbsent:
    async def test_put_if_absent_stores_a_missing_object(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"first", content_type="image/png", if_absent=True)

        assert (await object_store.get(key)).body == b"first"

    @pytest.mark.parametrize("from_file", [False, True], ids=["bytes", "file"])
    async def test_put_if_absent_keeps_an_existing_object(
        self, object_store: ObjectStore, key: str, tmp_path: Path, from_file: bool
    ) -> None:
        await object_store.put(key, b"first", content_type="image/png", metadata={"by": "first"})
        before = await object_store.get(key)
        source = tmp_path / "source"
        source.write_bytes(BODIES["3 MB"])

        with pytest.raises(ObjectExists):
            await object_store.put(
                key, source if from_file else BODIES["3 MB"], content_type="image/jpeg", if_absent=True
            )

        assert await object_store.get(key) == before

    # Not for moto, whose conditional put is not atomic: slowed down, it let nine of 24 succeed.
    @pytest.mark.promise("C4")
    @pytest.mark.parametrize("object_store", ["disk", "memory", "s3-seaweedfs"], indirect=True)
    async def test_one_of_concurrent_puts_wins(self, object_store: ObjectStore, key: str) -> None:
        bodies = [bytes([racer]) * 10_000 for racer in range(24)]

        results = await asyncio.gather(
            *(object_store.put(key, body, content_type="image/png", if_absent=True) for body in bodies),
            return_exceptions=True,
        )

        (winner,) = (body for body, result in zip(bodies, results, strict=True) if result is None)
        assert [type(result) for result in results if result is not None] == [ObjectExists] * 23
        assert (await object_store.get(key)).body == winner


class TestMissing:
    async def test_missing_object_raises(self, object_store: ObjectStore, key: str, tmp_path: Path) -> None:
        target = tmp_path / "target"

        assert (
            await failures(object_store.head(key), object_store.get(key), object_store.download(key, target))
            == [ObjectNotFound] * 3
        )
        assert not target.exists()

    async def test_head_and_get_of_a_prefix_raise_object_not_found(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        key, prefix = f"images/{upload_id}/medium.webp", f"images/{upload_id}"
        await object_store.put(key, b"x", content_type="image/webp")

        assert await failures(object_store.head(prefix), object_store.get(prefix)) == [ObjectNotFound] * 2

    async def test_listing_without_matches_is_empty(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        assert await keys(object_store, variants_prefix(upload_id)) == []


class TestDelete:
    async def test_delete_is_idempotent(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"x", content_type="image/png")

        for _ in range(2):
            await object_store.delete(key)

        with pytest.raises(ObjectNotFound):
            await object_store.get(key)

    async def test_delete_without_keys_does_nothing(self, object_store: ObjectStore) -> None:
        await object_store.delete()

    async def test_delete_removes_only_the_given_keys(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        one, two, three = (f"images/{upload_id}/{name}" for name in ("one.png", "two.png", "three.png"))
        for each in (one, two, three):
            await object_store.put(each, b"x", content_type="image/png")

        await object_store.delete(one, f"images/{upload_id}/never.png", two)

        assert await keys(object_store, variants_prefix(upload_id)) == [three]

    async def test_deleted_key_can_be_stored_again(self, object_store: ObjectStore, key: str) -> None:
        await object_store.put(key, b"old", content_type="image/png")
        await object_store.delete(key)

        await object_store.put(key, b"new", content_type="image/png", if_absent=True)

        assert (await object_store.get(key)).body == b"new"


class TestCopy:
    async def test_copy_keeps_bytes_headers_and_metadata(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        source, target = original_key(upload_id), trash_key(upload_id)
        metadata = {"sha256": "0" * 64, "thumbhash": "1QcSHQ=="}
        await object_store.put(
            source, b"bytes", content_type="image/webp", cache_control="max-age=60", metadata=metadata
        )

        await object_store.copy(source, target)

        copied, original = await object_store.get(target), await object_store.get(source)
        assert copied.body == original.body == b"bytes"
        assert replace(copied.info, key=source, last_modified=original.info.last_modified) == original.info
        assert copied.info.last_modified >= original.info.last_modified

    async def test_copy_overwrites_the_target(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        source, target = original_key(upload_id), trash_key(upload_id)
        await object_store.put(source, b"new", content_type="image/webp")
        await object_store.put(target, b"old and longer", content_type="image/png")

        await object_store.copy(source, target)

        assert (await object_store.get(target)).body == b"new"

    async def test_copy_of_a_missing_object_raises_and_stores_nothing(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        with pytest.raises(ObjectNotFound):
            await object_store.copy(original_key(upload_id), trash_key(upload_id))

        assert await keys(object_store, trash_key(upload_id)) == []


class TestSetMetadata:
    async def test_metadata_are_replaced_and_the_rest_stays(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        key = original_key(upload_id)
        await object_store.put(
            key, b"bytes", content_type="image/webp", cache_control="max-age=60", metadata={"a": "1", "b": "2"}
        )
        before = await object_store.get(key)

        await object_store.set_metadata(key, {"b": "3", "focus": "0.3,0.7"})

        after = await object_store.get(key)
        assert after.body == b"bytes"
        assert after.info.last_modified >= before.info.last_modified
        assert after.info == replace(
            before.info, metadata={"b": "3", "focus": "0.3,0.7"}, last_modified=after.info.last_modified
        )

    async def test_metadata_of_a_missing_object_raise_and_store_nothing(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        with pytest.raises(ObjectNotFound):
            await object_store.set_metadata(original_key(upload_id), {"a": "1"})

        assert await keys(object_store, original_key(upload_id)) == []


async def test_temporary_url_is_of_this_object_alone(object_store: ObjectStore) -> None:
    """Without a look at the object. Files have no URLs."""
    upload_id = new_upload_id()
    for each in (upload_id, new_upload_id()):
        await object_store.put(original_key(each), b"an original", content_type="image/png")

    url = await object_store.temporary_url(original_key(upload_id), 60, "a.png")

    if isinstance(object_store, DiskStore | MemoryStore | RetryingStore):
        assert url is None
        return
    assert url is not None
    assert original_key(upload_id) in url
    assert "X-Amz-Expires=60" in url
    if "amazonaws.com" in url:  # moto's, which has no server
        return
    answer = http.get(url)
    assert (answer.status_code, answer.content) == (200, b"an original")
    assert answer.headers["content-disposition"] == 'attachment; filename="a.png"'
    assert answer.headers["content-type"] == "image/png"
