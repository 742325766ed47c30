"""What a render process and its parent say to each other: lines of JSON, and bytes whose length a line announced.

No pickle: a decoder that a hostile picture has taken over must not be able to make its parent run anything.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from proxy import errors
from proxy.errors import RenderFailed, ServiceError
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured, Target
from proxy.model import Fit, Format

Message = Mapping[str, Any]

_REFUSALS = {
    kind.code: kind
    for kind in (errors.UnsupportedFormat, errors.Undecodable, errors.TooSmall, errors.TooManyPixels, errors.TooHeavy)
}


def pack(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def unpack(line: bytes) -> dict[str, Any]:
    """Raises ValueError for anything but one JSON object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of complaint for one kind of fault
    return message


def render_request(path: Path, targets: Sequence[Target], limits: Limits, memory: int) -> Message:
    """`memory`: bytes that it may take."""
    return inspect_request(path, limits, memory) | {"targets": [asdict(target) for target in targets]}


def inspect_request(path: Path, limits: Limits, memory: int) -> dict[str, Any]:
    return {"path": str(path), "limits": asdict(limits), "memory": memory}


def parse_targets(message: Message) -> list[Target]:
    return [
        Target(**target | {"fit": Fit(target["fit"]), "format": Format(target["format"])})
        for target in message["targets"]
    ]


def parse_measured(message: Message) -> Measured | None:
    """Of a rendered file's head; None where the quality was given."""
    measured = message.get("measured")
    return Measured(int(measured["quality"]), float(measured["score"])) if measured else None


def refusal(error: ServiceError) -> Message:
    return {"refused": error.code, "detail": str(error)}


def parse_refusal(message: Message) -> ServiceError:
    kind = _REFUSALS.get(message["refused"])
    return kind(message["detail"]) if kind else RenderFailed()
