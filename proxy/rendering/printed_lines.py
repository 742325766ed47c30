"""Logs what a render worker prints, within bounds: it may be hostile."""

import asyncio
from contextlib import suppress

import structlog

log = structlog.get_logger()

READ_BYTES = 4096
"""Bytes that are read at a time, before a pause. A worker that prints more waits, until its deadline ends it."""
_MAX_LINES, _MAX_LINE = 40, 500  # lines and characters of them that are logged between two pauses
_PAUSE = 1.0  # seconds, after that much


async def log_printed(printed: asyncio.StreamReader, process: int) -> None:
    """Logs line by line, without control characters, a bounded number a second, until the stream ends."""
    with suppress(ConnectionError):
        while text := await printed.read(READ_BYTES):
            lines = text.decode(errors="replace").splitlines()
            for line in lines[:_MAX_LINES]:
                shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
                log.warning("render process output", process=process, line=shown[:_MAX_LINE])
            if len(lines) > _MAX_LINES:
                log.warning("render process output omitted", process=process, lines=len(lines) - _MAX_LINES)
            await asyncio.sleep(_PAUSE * max(len(text) / READ_BYTES, len(lines) / _MAX_LINES))
