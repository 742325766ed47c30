"""Valid messages of a render worker."""

import json
from base64 import b64encode
from typing import Any

from proxy.imaging.inspect import Inspection
from proxy.model import Fit, Format
from proxy.rendering import worker_answers as answers
from tests.unit.proxy.imaging.reference import target

JPEG = b"\xff\xd8\xff\xe0"
"""The first bytes of the original."""

INSPECTION = Inspection(
    "jpeg", 640, 427, b64encode(bytes(25)).decode(), "#a0b0c0", False, True, ["location", "serial"], []
)


FILE = {"index": 3, "length": 1000, "timings": {"decode": 0.25, "encode": 0}}


MEASURED = {**FILE, "measured": {"quality": 80, "score": 79.5}}


REFUSED = {"refused": "too_small", "detail": "The image is 99x120 pixels. Größe!"}


MB = 1 << 20


def parse(message: object, expected: Any = answers.TO_RENDERING) -> Any:
    return answers.parse(json.dumps(message).encode() + b"\n", expected)


def without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


SQUARE, OPEN = target(100, 100), target(200, None, fit=Fit.INSIDE)


BODIES = {
    Format.JPG: b"\xff\xd8\xff\xe0" + bytes(20),
    Format.PNG: b"\x89PNG\r\n\x1a\n" + bytes(20),
    Format.WEBP: b"RIFF\x1a\0\0\0WEBPVP8 " + bytes(20),
    Format.AVIF: b"\0\0\0\x1cftypavif" + bytes(20),
}
