"""Folders that are not writable."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from proxy.storage import files
from proxy.storage.files import why_not_writable


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
