"""The contract of every ObjectStore."""

import asyncio
import copy
import random
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.keys import original_key, trash_key, variants_prefix
from proxy.model import UploadId, new_upload_id
from proxy.storage.object_store import ObjectExists, ObjectNotFound, ObjectStore
from proxy.storage.s3 import S3Store
from tests.contracts.stores import OVER_A_PAGE, OVER_S3S_PAGE, failures, keys, seaweed_store
from tests.seaweedfs import SeaweedServer

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

    async def test_prefix_is_not_a_key(self, object_store: ObjectStore, upload_id: UploadId) -> None:
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


class TestList:
    async def test_list_has_sizes_and_ordered_keys(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        sizes = {f"images/{upload_id}/{name}": size for name, size in (("b@2x.png", 2), ("a.webp", 0), ("b.png", 7))}
        for each, size in sizes.items():
            await object_store.put(each, bytes(size), content_type="image/png")

        found = [(info.key, info.size) async for info in object_store.list(variants_prefix(upload_id))]

        assert found == sorted(sizes.items())

    async def test_list_prefix_may_end_anywhere(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        begins_alike = [UploadId(f"{upload_id[:-4]}{end}") for end in ("0a0a", "0b0b", "ffff")]
        for each in begins_alike:
            await object_store.put(f"images/{each}/small.png", b"x", content_type="image/png")
            await object_store.put(f"images/{each}/large.png", b"x", content_type="image/png")

        assert await keys(object_store, f"images/{upload_id[:-4]}0") == [
            f"images/{each}/{name}.png" for each in begins_alike[:2] for name in ("large", "small")
        ]

    async def test_list_begins_behind_a_key(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        stem = f"images/{upload_id[:-4]}"
        stored = [f"{stem}{end}/{name}.png" for end in ("0a0a", "0b0b", "ffff") for name in ("large", "small")]
        for each in stored:
            await object_store.put(each, b"x", content_type="image/png")

        for after, left in (
            *((key, stored[number + 1 :]) for number, key in enumerate(stored)),
            (f"{stem}0b0", stored[2:]),
            (f"{stem}0c", stored[4:]),
            ("images", stored),
            ("jmages", []),
        ):
            assert [info.key async for info in object_store.list(stem, after=after)] == left

    async def test_list_of_an_id_excludes_longer_ids(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        await object_store.put(f"images/{upload_id}/small.png", b"x", content_type="image/png")
        await object_store.put(f"images/{upload_id}0/small.png", b"x", content_type="image/png")

        assert await keys(object_store, variants_prefix(upload_id)) == [f"images/{upload_id}/small.png"]

    async def test_list_of_several_pages_deleted_meanwhile(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        await delete_while_listing(object_store, upload_id, OVER_A_PAGE)

    @pytest.mark.slow
    async def test_list_of_several_full_s3_pages_deleted_meanwhile(
        self, seaweed: None, seaweedfs: SeaweedServer, upload_id: UploadId
    ) -> None:
        store = seaweed_store(seaweedfs)
        await delete_while_listing(store, upload_id, OVER_S3S_PAGE)
        await store.close()


async def delete_while_listing(store: ObjectStore, upload_id: UploadId, number: int) -> None:
    names = [f"images/{upload_id}/{number:04}.png" for number in range(number)]
    await asyncio.gather(*(store.put(name, b"x", content_type="image/png") for name in names))
    found = []

    async for info in store.list(variants_prefix(upload_id)):
        found.append(info.key)
        if len(found) % (number // 2) == 0:
            await store.delete(*found)

    assert found == names
    await store.delete(*names)
    assert await keys(store, variants_prefix(upload_id)) == []


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

    async def test_copy_overwrites(self, object_store: ObjectStore, upload_id: UploadId) -> None:
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


class TestFolders:
    async def test_folders_below_a_prefix_in_order_once_each(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        base = f"images/{upload_id}/"
        for name in ("b/1.png", "b/2.png", "a/1.png", "c.png", "d/e/f.png"):
            await object_store.put(base + name, b"x", content_type="image/png")

        assert [name async for name in object_store.folders(base)] == ["a", "b", "d"]

    async def test_no_folders_below_an_unknown_prefix(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        assert [name async for name in object_store.folders(f"images/{upload_id}/")] == []

    async def test_more_folders_than_a_page(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        base = f"images/{upload_id}/"
        names = [f"{number:04}" for number in range(OVER_A_PAGE)]
        await asyncio.gather(*(object_store.put(f"{base}{name}/x", b"", content_type="image/png") for name in names))

        assert [name async for name in object_store.folders(base)] == names


class TestVersions:
    async def test_delete_versions_removes_everything_below_the_prefixes_only(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        other = new_upload_id()
        for each in (upload_id, other):
            await object_store.put(original_key(each), b"x", content_type="image/png")
            await object_store.put(f"{variants_prefix(each)}small.png", b"x", content_type="image/png")

        for _ in range(2):
            await object_store.delete_versions(original_key(upload_id), variants_prefix(upload_id))

        assert await keys(object_store, original_key(upload_id)) == []
        assert await keys(object_store, variants_prefix(upload_id)) == []
        assert await keys(object_store, original_key(other)) == [original_key(other)]

    async def test_store_of_the_tests_keeps_no_versions(self, object_store: ObjectStore) -> None:
        assert not await object_store.is_versioned()


@pytest.mark.parametrize("object_store", ["s3-moto", "s3-seaweedfs"], indirect=True)
async def test_delete_versions_empties_a_versioned_bucket(object_store: S3Store, upload_id: UploadId) -> None:
    bucket = f"versioned-{upload_id}"
    client = object_store._client
    region = {"LocationConstraint": "eu-central-1"} if client.meta.region_name == "eu-central-1" else None
    client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": region} if region else {}))
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    object_store = copy.copy(object_store)
    object_store._bucket = bucket
    key, other = original_key(upload_id), original_key(new_upload_id())
    for each in (key, other):
        for body in (b"first", b"second"):
            await object_store.put(each, body, content_type="image/png")
        await object_store.delete(each)
    assert await object_store.is_versioned()

    await object_store.delete_versions(key)

    left = client.list_object_versions(Bucket=bucket)
    assert {entry["Key"] for entry in (*left.get("Versions", []), *left.get("DeleteMarkers", []))} == {other}
    assert len(left["Versions"]) == 2
