"""Local files that adapters download to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is whole or not there."""
    with path.open("xb") as file:
        try:
            yield file
            file.flush()  # or a full disk would tell of itself in closing it, behind our back
        except BaseException:
            path.unlink(missing_ok=True)
            raise
