"""Starts the process of a render worker, which inherits only two sockets."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack, suppress
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

    process: "subprocess.Popen[bytes]"
    connection: socket.socket
    answers: Stream
    output: Stream


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end even if the caller is cancelled; then raises CancelledError. `work` must have a deadline.

    An event loop that ends cancels `work` too, perhaps before it has begun.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


async def has_ended(process: "subprocess.Popen[bytes]", timeout: float | None) -> bool:
    """Whether the process ends within `timeout` seconds. Polls: a watcher would need a thread or a descriptor."""
    pause = 0.001
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while process.poll() is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
    return process.poll() is not None


async def start_process(arguments: Sequence[str], first_message: bytes = b"") -> StartedProcess:
    """Starts Python with these arguments. Raises RenderFailed. A caller that is cancelled leaves no process behind.

    `first_message`: sent in the background, because it may be longer than what the socket holds. The process reads all
    of it before it answers, so that nothing else is sent meanwhile.

    Waits for nothing after the start, so that no cancellation can part the process from its owner. The start blocks the
    event loop, for less time than uvloop's own (docs/decisions/0004-render-pool.md).
    """
    with ExitStack() as ours, ExitStack() as theirs:
        try:
            connection, stream, its_connection = await _open_stream(answers.MAX_LINE, ours, theirs)
            _, output, its_output = await _open_stream(READ_BYTES, ours, theirs)
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - see above; the arguments are the server's own
                # -P: never import from the working directory. env: a decoder needs no credentials.
                [sys.executable, "-P", *arguments],
                stdin=its_connection.fileno(),
                stdout=its_output.fileno(),
                stderr=its_output.fileno(),
                env=memory_limits.ENVIRONMENT,
            )
        except OSError as error:  # such as too many open files
            raise RenderFailed("No render worker could be started. Try again.") from error
        ours.pop_all()
        stream[1].write(first_message)
        return StartedProcess(process, connection, stream, output)


async def _open_stream(limit: int, ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, Stream, socket.socket]:
    """Returns a socket, its stream, which `ours` closes, and the socket's other end, which `theirs` closes."""
    connection, other_end = socket.socketpair()
    theirs.enter_context(other_end)
    connection.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=limit)
    ours.callback(writer.close)
    return connection, (reader, writer), other_end
