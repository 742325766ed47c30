"""Local files for downloads, and their folder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a new file for writing; removes it if the block raises."""
    with path.open("xb") as file:
        try:
            yield file
            file.flush()  # raises here if the disk is full; on close, the file would be left behind
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def why_not_writable(folder: Path) -> str:
    """Tries to create the folder, if it is missing, and a file in it. Returns why that fails, for people; else "".

    A full disk is no reason: space may become free while the process runs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ""
        return (
            f"User {os.getuid()}, group {os.getgid()} cannot write to {folder} ({error.strerror}): "
            "let this user write there, or set DATA_DIR to another folder."
        )
