"""Old temporary files and folders are removed."""

import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path, PosixPath

import pytest

from ingest.maintenance.garbage_collector import Garbage, GarbageKind
from proxy.errors import ServiceError
from proxy.model import new_upload_id
from tests.unit.ingest.maintenance.garbage_scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_only_old_temporary_files_are_removed(scene: Scene) -> None:
    folder = scene.temporary / new_upload_id()
    folder.mkdir(parents=True)
    (folder / "original.jpg").write_bytes(b"half")
    young = scene.temporary / "original-young"
    young.write_bytes(b"half")
    two_hours_ago = folder.stat().st_mtime - 7200
    os.utime(folder, (two_hours_ago, two_hours_ago))

    found = await scene.find(timedelta(hours=1))
    assert found == [Garbage(GarbageKind.TEMPORARY, str(folder))]
    for garbage in found:
        await scene.collector().remove(garbage)

    assert list(scene.temporary.iterdir()) == [young]


async def test_folder_is_removed_as_far_as_possible_and_the_rest_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another user, or an immutable one."""
    folder = scene.temporary / "derivation"
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_bytes(b"half")
    remove = os.unlink

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None and Path(f"/proc/self/fd/{dir_fd}").readlink() == folder / "b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        remove(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)

    with pytest.raises(ServiceError, match=r"^Permission denied: .*derivation/b/file\. Remove it as its owner\.$"):
        await scene.collector().remove(Garbage(GarbageKind.TEMPORARY, str(folder)))

    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "b" / "file"]


async def test_link_to_a_folder_is_removed_and_the_folder_stays(scene: Scene, tmp_path: Path) -> None:
    scene.temporary.mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = scene.temporary / "link"
    link.symlink_to(tmp_path / "elsewhere")

    assert await scene.collector().remove(Garbage(GarbageKind.TEMPORARY, str(link)))

    assert not link.is_symlink()
    assert (tmp_path / "elsewhere").is_dir()


async def test_unreadable_folder_is_a_refusal(scene: Scene) -> None:
    class Closed(PosixPath):
        def is_dir(self) -> bool:
            return True

        def iterdir(self) -> Iterator[Path]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    with pytest.raises(ServiceError, match=r"^Permission denied: /tmp/closed\."):
        [garbage async for garbage in scene.collector().find_files(Closed("/tmp/closed"))]


async def test_file_removed_meanwhile_is_ignored(scene: Scene) -> None:
    kept, gone = scene.temporary / "kept", scene.temporary / "gone"
    scene.temporary.mkdir()
    kept.write_bytes(b"half")

    class Listed(PosixPath):
        """A folder whose listing is out of date."""

        def iterdir(self) -> Iterator[Path]:
            return iter([gone, kept])

    collector = scene.collector(-timedelta(minutes=1))

    found = [garbage async for garbage in collector.find_files(Listed(scene.temporary))]

    assert found == [Garbage(GarbageKind.TEMPORARY, str(kept))]
