"""Starts the process of a render worker, which inherits nothing but two sockets."""

import asyncio
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

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


async def start_process(arguments: Sequence[str]) -> StartedProcess:
    """Starts Python with these arguments. Raises RenderFailed."""
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
        except BaseException as error:
            connection.close()
            printed.close()
            if isinstance(error, OSError):
                raise RenderFailed("No render worker could be started. Try again.") from error
            raise
    connection.setblocking(False)
    printed.setblocking(False)
    stream = await asyncio.open_unix_connection(sock=connection, limit=answers.MAX_LINE)
    try:
        output = await asyncio.open_unix_connection(sock=printed, limit=READ_BYTES)
    except BaseException:  # the caller is cancelled
        stream[1].close()
        process.kill()
        raise
    return StartedProcess(process, connection, stream, output)
