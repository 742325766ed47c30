"""DiskStore on invalid keys and damaged files."""

from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.disk import DiskStore
from tests.contracts.stores import assert_unavailable, failures


class TestDiskFails:
    @pytest.mark.promise("C1")
    @pytest.mark.parametrize("key", ["", "/etc/passwd", "a//b", "..", "a/../../b", "a/.", ".incoming/x", "a/"])
    async def test_invalid_key_is_rejected(self, disk: DiskStore, key: str, tmp_path: Path) -> None:
        calls = (
            disk.head(key),
            disk.get(key),
            disk.download(key, tmp_path / "target"),
            disk.put(key, b"x", content_type="image/png"),
            disk.delete(key),
        )
        assert await failures(*calls) == [ValueError] * len(calls)
        assert not (tmp_path / "target").exists()

    async def test_data_folder_that_is_a_file_raises(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        root.write_bytes(b"")

        await assert_unavailable(DiskStore(root), tmp_path / "target")

    @pytest.mark.promise("C10")
    @pytest.mark.parametrize(
        "damage", [b"", b"\xff\xd8\xff\xe0", b"\x00" * 40_000, b"17\n", b"{}\nx", b'{"else": 1}\nx']
    )
    async def test_damaged_file_raises(self, disk: DiskStore, tmp_path: Path, key: str, damage: bytes) -> None:
        await disk.put(key, b"x", content_type="image/png")
        (tmp_path / "store" / key).write_bytes(damage)

        reads = disk.head(key), disk.get(key), disk.download(key, tmp_path / "target")
        assert await failures(*reads) == [StoreUnavailable] * 3
        assert not (tmp_path / "target").exists()
        assert [info.key async for info in disk.list(key)] == [key]  # otherwise it could never be removed
