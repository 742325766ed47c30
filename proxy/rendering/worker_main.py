"""A render process: takes one request after another on standard input, answers on standard output.

Started as `python -m proxy.rendering.worker_main LIMIT_MB`. It holds no secret and no connection. The parent kills it
when it is late, and the kernel refuses it memory beyond its limit and beyond what its request was charged.
"""

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from proxy.errors import Refused, TooHeavy
from proxy.imaging import vips
from proxy.imaging.header import read_header
from proxy.imaging.inspect import inspect
from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.rendering.memory_estimate import untouched
from proxy.rendering.protocol import Message, pack, parse_targets, refusal, unpack
from proxy.rendering.sandbox import give_back, limit_address_space, limited_growth, resident

_NICENESS = 10
"""A tenth of what the server gets while both want a processor: answers from memory do not wait for pixels."""


def main() -> None:
    os.nice(_NICENESS)
    limit_address_space(int(sys.argv[1]))
    # Pillow's own limit warns where ours refuses; the header is judged in `probe`, before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = None
    vips.load()
    # Its server may be killed: then there is nobody to answer, or to tell.
    with suppress(BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not end up between the answers
        serve(sys.stdin.buffer, answers)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers each request with messages (a rendered one is followed by its bytes), the last of them `done`."""
    at_start = resident()
    answers.write(pack({"ready": True}))
    answers.flush()
    for line in requests:
        try:
            request = unpack(line)
            with limited_growth(allowed(request)):
                answer(request, answers)
        except Refused as error:
            answers.write(pack(refusal(error)))
        except MemoryError:
            answers.write(
                pack(refusal(TooHeavy("The picture takes more memory than its header lets expect. Scale it down.")))
            )
        give_back(at_start)  # before it says so: what it was charged is somebody else's as soon as it is done
        answers.write(pack({"done": True}))
        answers.flush()


def allowed(request: Message) -> int:
    """Bytes that the kernel is to let it have: what it was charged, and what it maps without touching it."""
    header = read_header(Path(request["path"]))
    charged: int = request["memory"]
    return charged + (untouched(header) if header else 0)


def answer(request: Message, answers: BinaryIO) -> None:
    path, limits = Path(request["path"]), Limits(**request["limits"])
    if "targets" not in request:
        answers.write(pack(asdict(inspect(path, limits))))
        return
    for rendered in render(path, parse_targets(request), limits):
        head = {"index": rendered.index, "length": len(rendered.body), "timings": rendered.timings}
        if rendered.measured:
            head["measured"] = asdict(rendered.measured)
        answers.write(pack(head))
        answers.write(rendered.body)
        answers.flush()


if __name__ == "__main__":
    main()
