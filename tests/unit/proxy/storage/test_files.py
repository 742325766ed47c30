"""Files that are abandoned or do not fit onto the disk, and folders that are not writable."""

import errno
import os
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import NoReturn

import pytest

from proxy.storage import files
from proxy.storage.files import NewFile, why_not_writable


class FullDisk(FileIO):
    def write(self, _: object, /) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_file_that_fills_the_disk_on_closing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda path, mode: BufferedWriter(FullDisk(path, mode)))

    with pytest.raises(OSError, match="No space left"), NewFile(tmp_path / "new").opened() as file:
        file.write(b"waits in the buffer")

    assert list(tmp_path.iterdir()) == []


async def test_abandoned_file_that_cannot_be_removed_hides_no_other_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **_options: object) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = NewFile(tmp_path / "new")
    with file.opened():
        pass
    monkeypatch.setattr(Path, "unlink", refuse)

    await file.abandon()

    with pytest.raises(RuntimeError):
        file.raise_if_abandoned()


def test_missing_folder_is_created_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tmp"

    assert why_not_writable(folder) == ""
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.EROFS, "Read-only file system"), (errno.EACCES, "Permission denied")]
)
def test_folder_without_permission_is_named_with_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    monkeypatch.setattr(files, "TemporaryFile", failing(code))

    assert why_not_writable(tmp_path) == (
        f"User {os.getuid()}, group {os.getgid()} cannot write to {tmp_path} ({reason}): "
        "let this user write there, or set DATA_DIR to another folder."
    )


def test_full_disk_does_not_stop_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TemporaryFile", failing(errno.ENOSPC))

    assert why_not_writable(tmp_path) == ""


def failing(code: int) -> object:
    def fail(**_: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail
