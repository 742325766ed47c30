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
from typing import Any

from proxy.errors import ServiceError
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target

Message = Mapping[str, Any]
_MAX_RECEIVED = 1 << 16  # bytes at a time

_ENUMS = {
    each.name: each.type for each in fields(Target) if isinstance(each.type, type) and issubclass(each.type, Enum)
}


def encode_message(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def decode_message(line: bytes) -> dict[str, Any]:
    """Raises ValueError unless `line` is one JSON object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - every invalid line raises the same error
    return message


def render_request(targets: Sequence[Target], limits: Limits, memory: int, *, asks: bool = False) -> Message:
    """`memory`: bytes that the request may use. `asks`: the worker sends `next` before each target, and waits for
    `accepted`.
    """
    return inspect_request(limits, memory) | {"targets": [asdict(target) for target in targets], "asks": asks}


def inspect_request(limits: Limits, memory: int) -> dict[str, Any]:
    return {"limits": asdict(limits), "memory": memory}


def parse_targets(message: Message) -> list[Target]:
    return [
        Target(**target | {name: kind(target[name]) for name, kind in _ENUMS.items()}) for target in message["targets"]
    ]


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
            received, descriptors, _, _ = socket.recv_fds(self._connection, _MAX_RECEIVED, 1)
            if not received:
                return None
            self._received += received
            self._descriptors.extend(descriptors)
        line, _, self._received = self._received.partition(b"\n")
        return decode_message(line)

    def take_original(self) -> int:
        """Returns the descriptor of the original that came with the last request; the caller closes it."""
        return self._descriptors.popleft()
