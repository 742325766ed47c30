"""Starts the process of a render worker, which inherits nothing but two sockets."""

import asyncio
import socket
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from proxy.errors import RenderFailed
from proxy.rendering import memory_limits
from proxy.rendering import worker_answers as answers
from proxy.rendering.printed_lines import READ_BYTES

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """`connection`: the socket of requests and answers; `answers` reads it. `output`: what the process prints."""

    process: asyncio.subprocess.Process
    connection: socket.socket
    answers: Stream
    output: Stream


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end, also while the caller is cancelled; then raises CancelledError. `work` needs a bound."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


async def start_process(arguments: Sequence[str]) -> StartedProcess:
    """Starts Python with these arguments. Raises RenderFailed. A caller that is cancelled leaves no process behind."""
    starting = asyncio.create_task(_start(arguments))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await uninterrupted(_abandon(starting))
        raise


async def _abandon(starting: "asyncio.Task[StartedProcess]") -> None:
    with suppress(RenderFailed):
        started = await starting
        with suppress(ProcessLookupError):
            started.process.kill()
        started.answers[1].close()
        started.output[1].close()
        await started.process.wait()


async def _start(arguments: Sequence[str]) -> StartedProcess:
    connection, theirs = socket.socketpair()
    printed, their_output = socket.socketpair()
    with theirs, their_output:
        # -P: never import from the working directory. env: a decoder needs no credentials.
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *arguments),
                stdin=theirs.fileno(),
                stdout=their_output.fileno(),
                stderr=their_output.fileno(),
                env=memory_limits.ENVIRONMENT,
            )
        except OSError as error:
            connection.close()
            printed.close()
            raise RenderFailed("No render worker could be started. Try again.") from error
    connection.setblocking(False)
    printed.setblocking(False)
    stream = await asyncio.open_unix_connection(sock=connection, limit=answers.MAX_LINE)
    output = await asyncio.open_unix_connection(sock=printed, limit=READ_BYTES)
    return StartedProcess(process, connection, stream, output)
