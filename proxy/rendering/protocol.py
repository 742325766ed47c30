"""The protocol between the server and its render workers: lines of JSON, and bytes whose length such a line announces.

No pickle: a worker that a hostile image has taken over must not make the server execute code.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from enum import Enum
from pathlib import Path
from typing import Any

from proxy import errors
from proxy.errors import RenderFailed, ServiceError
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured, Target

Message = Mapping[str, Any]

_ENUMS = {
    each.name: each.type for each in fields(Target) if isinstance(each.type, type) and issubclass(each.type, Enum)
}

_REFUSAL_TYPES = {
    kind.code: kind
    for kind in (errors.UnsupportedFormat, errors.Undecodable, errors.TooSmall, errors.TooManyPixels, errors.TooHeavy)
}


def encode_message(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def decode_message(line: bytes) -> dict[str, Any]:
    """Raises ValueError unless `line` is one JSON object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - every invalid line raises the same error
    return message


def render_request(
    path: Path, targets: Sequence[Target], limits: Limits, memory: int, *, asks: bool = False
) -> Message:
    """`memory`: bytes that the request may use. `asks`: the worker sends `next` before each target, and waits for
    `accepted`.
    """
    return inspect_request(path, limits, memory) | {"targets": [asdict(target) for target in targets], "asks": asks}


def inspect_request(path: Path, limits: Limits, memory: int) -> dict[str, Any]:
    return {"path": str(path), "limits": asdict(limits), "memory": memory}


def parse_targets(message: Message) -> list[Target]:
    return [
        Target(**target | {name: kind(target[name]) for name, kind in _ENUMS.items()}) for target in message["targets"]
    ]


def parse_measured(message: Message) -> Measured | None:
    """Returns the quality that the search measured; None if the quality was fixed."""
    measured = message.get("measured")
    return Measured(int(measured["quality"]), float(measured["score"])) if measured else None


def refusal_message(error: ServiceError) -> Message:
    return {"refused": error.code, "detail": str(error)}


def parse_refusal(message: Message) -> ServiceError:
    kind = _REFUSAL_TYPES.get(message["refused"])
    return kind(message["detail"]) if kind else RenderFailed()
