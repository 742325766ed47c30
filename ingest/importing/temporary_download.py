"""The file that a source is downloaded to while it is imported."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.to_thread

from proxy.errors import Unavailable


@asynccontextmanager
async def temporary_file(folder: Path) -> AsyncIterator[Path]:
    """Yields the path of a file that does not exist yet, and removes it at the end. Raises Unavailable.

    `darkroom gc` removes what a killed process leaves.
    """
    own = folder / f"import-{uuid4().hex}"
    try:
        await anyio.Path(own).mkdir(parents=True)
    except OSError as error:
        raise Unavailable(f"Temporary files cannot be written: {error.strerror}.") from error
    try:
        yield own / "original"
    finally:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(own, ignore_errors=True))
