"""DiskStore on invalid keys and damaged files."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.disk import DiskStore
from tests.contracts.stores import assert_unavailable, failures, keys
from tests.waiting import GUARD


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

    @pytest.mark.parametrize("name", ["data", "data/objects"])
    async def test_data_folder_that_is_a_file_raises(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")

        await assert_unavailable(DiskStore(tmp_path / "data" / "objects"), tmp_path / "target")

    async def test_lookups_do_not_hold_up_downloads_and_writes(self, disk: DiskStore, tmp_path: Path, key: str) -> None:
        """Anybody can cause look-ups, with unknown ids."""
        for _ in range(int(disk._lookups.total_tokens)):
            disk._lookups.acquire_on_behalf_of_nowait(object())

        async with asyncio.timeout(GUARD):
            await disk.put(key, b"x", content_type="image/png")
            await disk.download(key, tmp_path / "target")
            await disk.delete(key)

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

    async def test_unreadable_object_is_listed_and_does_not_hide_others(
        self, disk: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For instance a file that a backup restored as another user's."""
        for name in ("a", "b", "c"):
            await disk.put(f"originals/{name}", b"x", content_type="image/png")
        refuse(monkeypatch, Path, "open", tmp_path / "store" / "originals" / "b")

        assert [(info.key, info.content_type) async for info in disk.list("originals/")] == [
            ("originals/a", "image/png"),
            ("originals/b", ""),
            ("originals/c", "image/png"),
        ]

    async def test_unreadable_folder_fails_its_own_listing_alone(
        self, disk: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a", "b"):
            await disk.put(f"images/{name}/small.jpg", b"x", content_type="image/jpeg")
        refuse(monkeypatch, os, "scandir", str(tmp_path / "store" / "images" / "a"))

        assert await failures(keys(disk, "images/a/")) == [StoreUnavailable]
        assert await keys(disk, "images/") == ["images/b/small.jpg"]


def refuse(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, place: Path | str) -> None:
    """Lets a call for `place` fail, as for a user without permission: tests may run as root."""
    call = getattr(owner, name)

    def refusing(path: Any, *arguments: Any, **options: Any) -> Any:
        if path == place:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return call(path, *arguments, **options)

    monkeypatch.setattr(owner, name, refusing)
