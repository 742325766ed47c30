"""Local files for downloads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
