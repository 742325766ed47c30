"""Images and targets of a quality search, and its results."""

from dataclasses import replace
from typing import Any

from PIL import Image

from proxy.imaging.auto_quality.search import encode_with_search
from proxy.imaging.encode import encode
from proxy.imaging.target import Measured, Target
from proxy.model import Format
from tests.photographs import photograph
from tests.unit.proxy.imaging.reference import target

LOSSY = [Format.JPG, Format.WEBP, Format.AVIF]


def wanting(score: float, format: Format, size: tuple[int, int] = (128, 120), **options: Any) -> Target:
    return replace(target(*size, format, **options), score=score)


def sized(name: str, width: int = 128, height: int = 120) -> Image.Image:
    return photograph(name).resize((width, height), Image.Resampling.LANCZOS)


def found(image: Image.Image, wanted: Target) -> tuple[bytes, Measured]:
    file, measured = encode_with_search(image.copy(), wanted, None)
    assert measured is not None
    return file, measured


def at(image: Image.Image, wanted: Target, quality: int) -> bytes:
    return encode(image.copy(), replace(wanted, quality=quality), None)
