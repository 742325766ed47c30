"""The render worker process: reads requests from a socket, its standard input, and answers them there, one by one.

Started as `python -m proxy.rendering.worker_main LIMIT_MB [--unlocked] [--searches] [--watermarks]`. It holds no secret
and no connection. Before the first request it locks itself (`sandbox`), unless it is told not to. `--searches`: it will
search for qualities, which takes more libraries. `--watermarks`: their files are the first message. The server kills it
past a deadline; the kernel refuses memory beyond its address space limit and beyond the reserve of its request.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import BinaryIO

from PIL import Image

from proxy.errors import Refused, TooHeavy
from proxy.imaging import vips
from proxy.imaging.header import read_header
from proxy.imaging.inspect import inspect
from proxy.imaging.limits import MORE_MEMORY_THAN_ESTIMATED, Limits
from proxy.imaging.original_file import FileInMemory, OpenedFile, OriginalFile
from proxy.imaging.pipeline import render
from proxy.imaging.watermark import NO_WATERMARKS, Watermarks, find_damaged
from proxy.rendering import rehearsal, sandbox
from proxy.rendering.memory_estimate import untouched_bytes
from proxy.rendering.memory_limits import limit_address_space, limit_growth, release_freed_memory, resident_bytes
from proxy.rendering.protocol import Message, Requests, encode_message, parse_targets, refusal_message

_NICENESS = 10
"""A worker gets a tenth of the server's share of a busy processor, so that rendering delays no cached response."""


def main() -> None:
    """Runs a render worker until the server ends. The first argument of the command: MiB of address space."""
    sandbox.close_descriptors()
    sandbox.hide_memory()
    os.nice(_NICENESS)
    limit_address_space(int(sys.argv[1]))
    # Pillow's limit only warns; `limits` refuses too large an image by its header, before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = None
    vips.load()
    at_start = resident_bytes()
    connection = socket.socket(fileno=os.dup(0))  # before the sandbox, because it asks for the socket's kind
    locks = [] if "--unlocked" in sys.argv else enter_sandbox(searches="--searches" in sys.argv)
    # The connection breaks if the server was killed; then the worker just ends. Standard output is the log's.
    with suppress(ConnectionError), connection, os.fdopen(os.dup(0), "wb") as answers:
        requests = Requests(connection)
        files = requests.receive_watermarks() if "--watermarks" in sys.argv else []
        watermarks = {hashlib.sha256(body).hexdigest(): FileInMemory(body) for body in files}
        serve(requests, answers, locks, at_start, watermarks)


def enter_sandbox(*, searches: bool) -> list[str]:
    """Sandboxes this process, after loading everything that decoders and encoders load lazily.

    Returns the mechanisms in force (`seccomp`, `landlock`), as the `ready` message reports them.
    """
    rehearsal.load_libraries(searches=searches)
    sandbox.drop_capabilities()  # this and the next before libvips starts threads
    has_landlock = sandbox.lock_files()
    rehearsal.rehearse(searches=searches)
    has_seccomp = sandbox.lock_system_calls()
    return ["seccomp"] * has_seccomp + ["landlock"] * has_landlock


def serve(
    requests: Requests,
    answers: BinaryIO,
    locks: Sequence[str],
    at_start: int,
    watermarks: Watermarks = NO_WATERMARKS,
) -> None:
    """Answers each request with messages, the last of them `done`. The bytes of a rendered file follow its message.

    `locks`: reported to the server. `at_start`: bytes of memory that an idle process needs. `watermarks`: those that
    requests may name. A damaged one is reported before the first request, so that it stops the server's start.
    """
    damaged = find_damaged(watermarks)
    release_freed_memory(at_start)
    answers.write(encode_message({"ready": True, "locks": locks, "damaged": damaged}))
    answers.flush()
    while request := requests.receive():
        descriptor = requests.take_original()
        try:
            original = OpenedFile(descriptor)
            with limit_growth(memory_limit(request, original)):
                answer(request, original, requests, answers, watermarks)
        except Refused as error:
            answers.write(encode_message(refusal_message(error)))
        except MemoryError:
            answers.write(encode_message(refusal_message(TooHeavy(MORE_MEMORY_THAN_ESTIMATED))))
        finally:
            os.close(descriptor)
        release_freed_memory(at_start)  # before `done`, which makes the reserved memory available to other requests
        answers.write(encode_message({"done": True}))
        answers.flush()


def memory_limit(request: Message, original: OriginalFile) -> int:
    """Returns the bytes that the process may grow by: the reserve of the request, and mappings that stay untouched."""
    header = read_header(original)
    reserve: int = request["memory"]
    return reserve + (untouched_bytes(header) if header else 0)


def answer(
    request: Message, original: OriginalFile, requests: Requests, answers: BinaryIO, watermarks: Watermarks
) -> None:
    """Answers one request: with an inspection, or with one rendered file after the other.

    If the request `asks`, waits before each target for the reply of the server in `requests`. Raises a Refused, or
    MemoryError beyond the limit.
    """
    limits = Limits(**request["limits"])
    if "targets" not in request:
        answers.write(encode_message(asdict(inspect(original, limits))))
        return

    def accept(index: int) -> bool:
        answers.write(encode_message({"next": index}))
        answers.flush()
        reply = requests.receive()
        return bool(reply and reply["accepted"])

    targets = parse_targets(request)
    for rendered in render(original, targets, limits, accept if request["asks"] else None, watermarks):
        head = {"index": rendered.index, "length": len(rendered.body), "timings": rendered.timings}
        if rendered.measured:
            head["measured"] = asdict(rendered.measured)
        answers.write(encode_message(head))
        answers.write(rendered.body)
        answers.flush()


if __name__ == "__main__":
    main()
