"""Temporary copies of originals."""

import hashlib
from pathlib import Path

import pytest

from proxy.errors import OriginalDamaged, StoreUnavailable, UnknownUpload
from proxy.keys import original_key
from proxy.model import UploadId, new_upload_id
from proxy.storage.disk import DiskStore
from proxy.variants.originals import original_file
from tests.fakes import CountingStore, listing


async def test_original_file_exists_until_the_block_ends(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    async with original_file(store, upload_id, temporary) as path:
        assert path.parent == temporary
        assert path.read_bytes() == b"an original"

    assert listing(temporary) == []
    assert store.calls == [("download", original_key(upload_id))]


async def test_concurrent_downloads_are_separate_files(
    store: CountingStore, upload_id: UploadId, temporary: Path
) -> None:
    async with (
        original_file(store, upload_id, temporary) as first,
        original_file(store, upload_id, temporary) as second,
    ):
        assert first != second

    assert listing(temporary) == []


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
    async with original_file(store, upload_id, temporary) as path:
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
