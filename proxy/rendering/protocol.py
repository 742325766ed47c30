"""The protocol between the server and its render workers: lines of JSON, and bytes whose length such a line announces.

A socket carries both directions, and a request's original as an open descriptor. No pickle: a worker that a hostile
image has taken over must not make the server execute code. `worker_answers` is the server's strict parser.
"""

import json
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from enum import Enum
from itertools import accumulate
from typing import Any

from proxy.errors import ServiceError
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.model import Watermark, WatermarkPosition

Message = Mapping[str, Any]
_MAX_RECEIVED = 1 << 16  # bytes at a time

_ENUMS = {
    each.name: each.type for each in fields(Target) if isinstance(each.type, type) and issubclass(each.type, Enum)
}


def encode_message(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def decode_message(line: bytes) -> dict[str, Any]:
    """Returns the message in `line`. Raises ValueError unless it is one JSON object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - every invalid line raises the same error
    return message


def watermarks_message(bodies: Sequence[bytes]) -> bytes:
    """The first message to a worker, if sizes have watermarks: the lengths of their files, and the files themselves.

    Every later request names them by their digests, so that it stays short.
    """
    return encode_message({"watermarks": [len(body) for body in bodies]}) + b"".join(bodies)


def render_request(targets: Sequence[Target], limits: Limits, memory: int, *, asks: bool = False) -> Message:
    """Returns the request to render `targets`. `memory`: bytes that it may use.

    `asks`: the worker sends `next` before each target, and waits for `accepted`.
    """
    return inspect_request(limits, memory) | {"targets": [asdict(target) for target in targets], "asks": asks}


def inspect_request(limits: Limits, memory: int) -> dict[str, Any]:
    """Returns the request to inspect an original. `memory`: bytes that it may use."""
    return {"limits": asdict(limits), "memory": memory}


def parse_targets(message: Message) -> list[Target]:
    """Returns the targets of a render request."""
    return [
        Target(
            **target
            | {name: kind(target[name]) for name, kind in _ENUMS.items()}
            | {"watermark": _parse_watermark(target["watermark"])}
        )
        for target in message["targets"]
    ]


def _parse_watermark(message: Message | None) -> Watermark | None:
    return Watermark(**{**message, "position": WatermarkPosition(message["position"])}) if message else None


def refusal_message(error: ServiceError) -> Message:
    return {"refused": error.code, "detail": str(error)}


class Requests:
    """The server's messages, as the worker receives them from `connection`, with the descriptors of the originals."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._descriptors: deque[int] = deque()

    def receive(self) -> dict[str, Any] | None:
        """Waits for the next message; None if the server has ended."""
        while b"\n" not in self._received:
            if not self._receive_more():
                return None
        line, _, self._received = self._received.partition(b"\n")
        return decode_message(line)

    def receive_watermarks(self) -> list[bytes]:
        """Waits for the message `watermarks_message`; returns the files. Raises ConnectionError if the server ends."""
        message = self.receive()
        lengths: list[int] = message["watermarks"] if message else []
        while message and len(self._received) < sum(lengths):
            if not self._receive_more():
                message = None
        if not message:
            raise ConnectionError("the server has ended")
        ends = list(accumulate(lengths))
        files = [self._received[end - length : end] for length, end in zip(lengths, ends, strict=True)]
        self._received = self._received[sum(lengths) :]
        return files

    def _receive_more(self) -> bool:
        received, descriptors, _, _ = socket.recv_fds(self._connection, _MAX_RECEIVED, 1)
        self._received += received
        self._descriptors.extend(descriptors)
        return bool(received)

    def take_original(self) -> int:
        """Returns the descriptor of the original that came with the last request; the caller closes it."""
        return self._descriptors.popleft()
