"""The contract of every ObjectStore: its lists of keys and of folders."""

import asyncio

import pytest

from proxy.keys import variants_prefix
from proxy.model import UploadId
from proxy.storage.object_store import ObjectStore
from tests.contracts.stores import OVER_A_PAGE, OVER_S3S_PAGE, keys, store_of
from tests.seaweedfs import SeaweedServer


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

    async def test_list_of_several_pages_may_be_deleted_meanwhile(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        await delete_while_listing(object_store, upload_id, OVER_A_PAGE)

    @pytest.mark.long  # a thousand objects: on a busy machine, their deletion passes the deadline of S3's answers
    async def test_list_of_several_full_s3_pages_may_be_deleted_meanwhile(
        self, seaweed: None, seaweedfs: SeaweedServer, upload_id: UploadId
    ) -> None:
        store = store_of(seaweedfs)
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


class TestFolders:
    async def test_folders_lists_each_folder_once_in_order(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        base = f"images/{upload_id}/"
        for name in ("b/1.png", "b/2.png", "a/1.png", "c.png", "d/e/f.png"):
            await object_store.put(base + name, b"x", content_type="image/png")

        assert [name async for name in object_store.folders(base)] == ["a", "b", "d"]

    async def test_folders_of_an_unknown_prefix_are_none(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        assert [name async for name in object_store.folders(f"images/{upload_id}/")] == []

    async def test_folders_lists_more_than_a_page(self, object_store: ObjectStore, upload_id: UploadId) -> None:
        base = f"images/{upload_id}/"
        names = [f"{number:04}" for number in range(OVER_A_PAGE)]
        await asyncio.gather(*(object_store.put(f"{base}{name}/x", b"", content_type="image/png") for name in names))

        assert [name async for name in object_store.folders(base)] == names
