"""The nouns of the origin: UploadId, Format, Size, Variant. Parsing and nothing else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from uuid import uuid4

UploadId = NewType("UploadId", str)
"""A canonical lower-case UUID: the only client-made text that ever becomes part of a key or a path."""

UPLOAD_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
DENSITIES = (1, 2, 3)
_UPLOAD_ID = re.compile(UPLOAD_ID, re.ASCII)
_VARIANT_NAME = re.compile(r"(?P<size>[a-z][a-z0-9-]*)(?:@(?P<density>[23])x)?\.(?P<format>[a-z]+)", re.ASCII)


def new_upload_id() -> UploadId:
    return UploadId(str(uuid4()))


def parse_upload_id(text: str) -> UploadId | None:
    return UploadId(text) if _UPLOAD_ID.fullmatch(text) else None


class Format(StrEnum):
    """An output format; its value is the extension in the URL."""

    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def media_type(self) -> str:
        return "image/jpeg" if self is Format.JPG else f"image/{self.value}"


class Fit(StrEnum):
    COVER = "cover"
    """Exactly width x height: scaled to cover the box, then cropped about the centre."""
    INSIDE = "inside"
    """The whole picture within width x height, or within the one that is given; never enlarged."""


@dataclass(frozen=True, slots=True)
class Size:
    """A named box in CSS pixels. `cover` has both sides; `inside` may leave one open (None).

    `auto_quality`: each picture gets the quality that it needs, in the formats that have one.
    """

    name: str
    width: int | None
    height: int | None
    fit: Fit
    auto_quality: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition: a size at a pixel density in a format."""

    size: Size
    format: Format
    density: int = 1

    @property
    def size_name(self) -> str:
        return self.size.name if self.density == 1 else f"{self.size.name}@{self.density}x"

    @property
    def name(self) -> str:
        """The last segment of its URL and of its key: `medium@2x.webp`."""
        return f"{self.size_name}.{self.format}"

    @property
    def width(self) -> int | None:
        return self.size.width and self.size.width * self.density

    @property
    def height(self) -> int | None:
        return self.size.height and self.size.height * self.density


class Sizes(Mapping[str, Size]):
    """The configured sizes, and the grammar of variant names over them."""

    def __init__(self, *sizes: Size) -> None:
        self._sizes = {size.name: size for size in sizes}

    def __getitem__(self, name: str) -> Size:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def parse(self, name: str) -> Variant | None:
        """`medium@2x.webp` as a Variant; None for anything not spelled exactly so, or not configured."""
        match = _VARIANT_NAME.fullmatch(name)
        if not match or match["size"] not in self._sizes or match["format"] not in set(Format):
            return None
        return Variant(self._sizes[match["size"]], Format(match["format"]), int(match["density"] or 1))

    @property
    def standard(self) -> tuple[Variant, ...]:
        """What a warm-up makes: every size in every format, at density 1."""
        return tuple(Variant(size, format) for size in self.values() for format in Format)
