"""Temporary copies of originals."""

import asyncio
import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from proxy.errors import OriginalDamaged, StoreUnavailable, UnknownUpload
from proxy.keys import original_key
from proxy.model import UploadId, new_upload_id
from proxy.storage.disk import DiskStore
from proxy.storage.object_store import ObjectInfo
from proxy.variants.originals import TraitLookup, Traits, inspection_of, metadata_of, original_file
from tests.fakes import CountingStore, eventually, listing
from tests.pictures import animated
from tests.unit.proxy.rendering.worker_messages import INSPECTION


async def test_original_file_exists_until_the_block_ends(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    async with original_file(store, upload_id, temporary) as (path, _):
        assert path.parent == temporary
        assert path.read_bytes() == b"an original"

    assert listing(temporary) == []
    assert store.calls == [("download", original_key(upload_id))]


async def test_concurrent_downloads_are_separate_files(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    async with (
        original_file(store, upload_id, temporary) as (first, _),
        original_file(store, upload_id, temporary) as (second, _),
    ):
        assert first != second

    assert listing(temporary) == []


@pytest.mark.promise("E7")
async def test_original_file_is_removed_in_a_thread(
    store: CountingStore, upload_id: UploadId, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removers = []

    def unlink(_path: Path, *, missing_ok: bool) -> None:
        removers.append((threading.current_thread() is threading.main_thread(), missing_ok))

    monkeypatch.setattr(Path, "unlink", unlink)
    async with original_file(store, upload_id, temporary):
        pass

    assert removers == [(False, True)]


@pytest.mark.promise("A14")
async def test_cancelled_download_leaves_no_file(store: CountingStore, upload_id: UploadId, temporary: Path) -> None:
    gate = store.hold("download", done=True)

    async def read() -> None:
        async with original_file(store, upload_id, temporary):
            pass

    reading = asyncio.create_task(read())
    await gate.reached.wait()
    assert len(listing(temporary)) == 1
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    gate.open()
    await eventually(lambda: listing(temporary) == [])


@pytest.mark.promise("A14")
async def test_original_file_is_removed_if_the_block_fails(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    with pytest.raises(LookupError):
        async with original_file(store, upload_id, temporary):
            raise LookupError

    assert listing(temporary) == []


@pytest.mark.promise("C9")
async def test_missing_original_is_an_unknown_upload(store: CountingStore, temporary: Path) -> None:
    with pytest.raises(UnknownUpload):
        async with original_file(store, new_upload_id(), temporary):
            pass

    assert listing(temporary) == []


async def test_store_failure_is_not_an_unknown_upload(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    store.fail("download")

    with pytest.raises(StoreUnavailable):
        async with original_file(store, upload_id, temporary):
            pass

    assert listing(temporary) == []


@pytest.mark.promise("C9")
@pytest.mark.parametrize("stored", [b"an 0riginal", b"an origina", b""])
async def test_digest_mismatch_raises_original_damaged(
    store: CountingStore, upload_id: UploadId, temporary: Path, stored: bytes
) -> None:
    sha256 = hashlib.sha256(b"an original").hexdigest()
    key = original_key(upload_id)
    await store.inner.put(key, b"an original", content_type="image/jpeg", metadata={"sha256": sha256})
    async with original_file(store, upload_id, temporary) as (path, _):
        assert path.read_bytes() == b"an original"

    await store.inner.put(key, stored, content_type="image/jpeg", metadata={"sha256": sha256})
    with pytest.raises(OriginalDamaged, match="Restore it"):
        async with original_file(store, upload_id, temporary):
            pass

    assert listing(temporary) == []


async def test_malformed_file_is_a_damaged_original(tmp_path: Path, temporary: Path) -> None:
    disk, upload_id = DiskStore(tmp_path / "store"), new_upload_id()
    await disk.put(original_key(upload_id), b"an original", content_type="image/jpeg")
    (tmp_path / "store" / original_key(upload_id)).write_bytes(b"junk\n")

    with pytest.raises(OriginalDamaged):
        async with original_file(disk, upload_id, temporary):
            pass


LEGACY_PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08%c\0\0\0CRC!" + b"\0\0\0\0IDATCRC!"


@pytest.mark.parametrize(
    ("body", "content_type", "metadata", "expected", "calls"),
    [
        (b"", "image/png", {"alpha": "1"}, True, ["head"]),
        (b"", "image/webp", {"alpha": "0"}, False, ["head"]),
        (b"", "image/jpeg", {}, False, ["head"]),
        (LEGACY_PNG % b"\6", "image/png", {}, True, ["head", "download"]),
        (LEGACY_PNG % b"\2", "image/png", {}, False, ["head", "download"]),
    ],
    ids=["transparent", "opaque", "jpeg of an earlier version", "rgba of an earlier version", "rgb of one"],
)
async def test_alpha_is_read_once_from_metadata_or_the_header(
    *,
    store: CountingStore,
    temporary: Path,
    body: bytes,
    content_type: str,
    metadata: dict[str, str],
    expected: bool,
    calls: list[str],
) -> None:
    upload_id = new_upload_id()
    await store.inner.put(original_key(upload_id), body, content_type=content_type, metadata=metadata)
    lookup = TraitLookup(store, temporary)

    assert [(await lookup.find(upload_id)).alpha for _ in range(3)] == [expected] * 3
    assert [call for call, _ in store.calls] == calls
    assert listing(temporary) == []


async def test_concurrent_look_ups_of_alpha_read_once(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    lookup = TraitLookup(store, temporary)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(lookup.find(upload_id))

    assert store.count("head") == 1


async def test_alpha_of_an_unreadable_header_is_false_and_remembered(store: CountingStore, temporary: Path) -> None:
    upload_id = new_upload_id()
    flood = b"\xff\xd8" + b"\xff\xe1\0\2" * 1000
    await store.inner.put(original_key(upload_id), flood, content_type="image/png")
    lookup = TraitLookup(store, temporary)

    assert [await lookup.find(upload_id) for _ in range(2)] == [Traits(alpha=False, animated=False)] * 2
    assert store.count("download") == 1


async def test_alpha_without_an_original_is_false_and_not_remembered(store: CountingStore, temporary: Path) -> None:
    upload_id = new_upload_id()
    lookup = TraitLookup(store, temporary)
    assert await lookup.find(upload_id) == Traits(alpha=False, animated=False)

    await store.inner.put(original_key(upload_id), b"", content_type="image/png", metadata={"alpha": "1"})

    assert (await lookup.find(upload_id)).alpha


async def test_animation_counts_in_formats_that_are_played(store: CountingStore, temporary: Path) -> None:
    lookup, found = TraitLookup(store, temporary), {}
    for media_type, metadata in (
        ("image/gif", {"alpha": "0", "animated": "1"}),
        ("image/png", {"alpha": "0", "animated": "0"}),
        ("image/avif", {"alpha": "0", "animated": "1"}),
        ("image/webp", {}),  # of an earlier version
    ):
        upload_id = new_upload_id()
        body = b"" if metadata else animated(Image.new("RGB", (16, 16)), "WEBP")
        await store.inner.put(original_key(upload_id), body, content_type=media_type, metadata=metadata)
        found[media_type] = (await lookup.find(upload_id)).animated

    assert found == {"image/gif": True, "image/png": False, "image/avif": False, "image/webp": True}


def test_metadata_that_could_not_be_shown_is_unreadable() -> None:
    now = datetime.now(UTC)
    metadata = metadata_of(INSPECTION, "0" * 64, now)

    def read(**changes: str) -> object:
        return inspection_of(ObjectInfo("originals/x", 1, now, "image/jpeg", metadata=metadata | changes))

    assert read() == INSPECTION
    for changes in ({"width": "0"}, {"color": "red"}, {"thumbhash": "AAAA"}, {"thumbhash": "'"}):
        assert read(**changes) is None, changes
