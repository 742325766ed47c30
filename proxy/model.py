"""Value types of the proxy and their parsing: UploadId, Focus, Visibility, formats, Watermark, Size, Variant."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from uuid import uuid4

UploadId = NewType("UploadId", str)
"""A canonical lower-case UUID. No other text from a client becomes part of a key or a path."""

UPLOAD_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
DENSITIES = (1, 2, 3)
ANIMATED = "animated"
"""The effect of sizes that show animations whole. It is none on other originals."""
_UPLOAD_ID = re.compile(UPLOAD_ID, re.ASCII)
_VARIANT_NAME = re.compile(r"(?P<size>[a-z][a-z0-9-]*)(?:@(?P<density>[23])x)?\.(?P<format>[a-z]+)", re.ASCII)


Focus = NewType("Focus", str)
"""The point that crops keep in sight: `x,y`, shares of the upright image's sides, as `parse_focus` returns them."""

FOCUS_PATTERN = r"[01]([.][0-9]{1,20})?,[01]([.][0-9]{1,20})?"
_FOCUS = re.compile(FOCUS_PATTERN, re.ASCII)


def new_upload_id() -> UploadId:
    return UploadId(str(uuid4()))


def parse_upload_id(text: str) -> UploadId | None:
    """Returns `text` as an upload id; None unless it is a lower-case UUID."""
    return UploadId(text) if _UPLOAD_ID.fullmatch(text) else None


def parse_focus(text: str) -> Focus | None:
    """Parses `x,y`, each from 0 to 1; None if `text` is anything else. Equal points become equal texts.

    Rounds to four digits: about a pixel of the largest original.
    """
    if not _FOCUS.fullmatch(text):
        return None
    shares = [float(share) for share in text.split(",")]
    return Focus(",".join(f"{round(share, 4):g}" for share in shares)) if max(shares) <= 1 else None


def focus_point(focus: Focus) -> tuple[float, float]:
    """Returns x and y, shares of the upright image's width and height."""
    x, y = map(float, focus.split(","))
    return x, y


class Visibility(StrEnum):
    """The access to the variants of an upload."""

    PUBLIC = "public"
    """By the URL alone."""
    PRIVATE = "private"
    """By a token for the upload, or through an edge that allows it."""


class SourceFormat(StrEnum):
    """A format of originals, as `ACCEPT` names it."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"
    TIFF = "tiff"
    HEIC = "heic"

    @property
    def label(self) -> str:
        """The name for people."""
        return "WebP" if self is SourceFormat.WEBP else self.upper()

    @property
    def media_type(self) -> str:
        return f"image/{self}"

    @property
    def can_play(self) -> bool:
        """Whether sizes with `animated` show animations of this format whole, in WebP."""
        return self in (SourceFormat.GIF, SourceFormat.PNG, SourceFormat.WEBP)


def list_labels(formats: Iterable[SourceFormat]) -> str:
    """Returns the names as a sentence lists them, such as `JPEG, PNG or WebP`."""
    *others, last = [format.label for format in SourceFormat if format in set(formats)]
    return f"{', '.join(others)} or {last}" if others else last


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
    """Exactly width x height: scaled to cover the box, then cropped around a `Position`."""
    INSIDE = "inside"
    """The whole image within width x height, or within the one side that is given; never enlarged."""
    PAD = "pad"
    """Exactly width x height: the whole image in the middle of a background, opaque in every format."""


class ColorSpace(StrEnum):
    """The colours of variants, by CSS's names."""

    SRGB = "srgb"
    DISPLAY_P3 = "display-p3"
    """For originals with colours beyond sRGB. Variants of other originals are in sRGB."""


class Position(StrEnum):
    """The point that `cover` crops around."""

    CENTER = "center"
    FOCUS = "focus"
    """The focus of the upload; the centre if it has none."""
    ATTENTION = "attention"
    """The most striking part, as libvips finds it."""


class WatermarkPosition(StrEnum):
    """The place of a watermark in a variant, inside a margin."""

    CENTER = "center"
    TOP = "top"
    BOTTOM = "bottom"
    LEFT = "left"
    RIGHT = "right"
    TOP_LEFT = "top-left"
    TOP_RIGHT = "top-right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM_RIGHT = "bottom-right"


@dataclass(frozen=True, slots=True)
class Watermark:
    """An image that a size draws over its variants.

    `digest`: SHA-256 of its file, in hexadecimal. `pixels`: of the file, for the memory estimate. `width`: in shares of
    the variant's.
    """

    digest: str
    pixels: int
    position: WatermarkPosition = WatermarkPosition.BOTTOM_RIGHT
    opacity: float = 1.0
    width: float = 0.25

    @property
    def effect(self) -> str:
        """Names the look in `Size.effects`. Equal in all sizes that draw the same watermark in the same way."""
        return f"watermark {self.digest[:8]} {self.position} {self.width:g} {self.opacity:g}"


@dataclass(frozen=True, slots=True)
class Size:
    """A named size in CSS pixels. With `inside`, one side may be None.

    `formats`: in the order of `Format`, with JPEG or PNG at least. `auto_quality`: searches for each variant's quality,
    in formats that have one. `quality`: fixed qualities by format, instead of those of the settings. `warm`: the
    formats that warm-ups derive; None chooses them by the original. `enlarge`: whether `cover` and `pad` enlarge small
    originals. `position`: only of `cover`. `background`: `#rrggbb`, in lower case. `blur`: standard deviation in CSS
    pixels. `sharpen`: the share of the detail that is added. `animated`: shows animations whole in WebP; other formats,
    and all of another size, show the first frame. `watermark`: drawn over every variant.
    """

    name: str
    width: int | None
    height: int | None
    fit: Fit
    formats: tuple[Format, ...] = tuple(Format)
    auto_quality: bool = False
    quality: tuple[tuple[Format, int], ...] = ()
    warm: tuple[Format, ...] | None = None
    enlarge: bool = True
    position: Position = Position.CENTER
    background: str = "#ffffff"
    grayscale: bool = False
    blur: float | None = None
    sharpen: float | None = None
    animated: bool = False
    watermark: Watermark | None = None

    @property
    def is_never_enlarged(self) -> bool:
        """Whether small originals give a smaller variant, which may repeat their pixels."""
        return self.fit is Fit.INSIDE or (self.fit is Fit.COVER and not self.enlarge)

    @property
    def is_opaque(self) -> bool:
        """Whether variants of transparent originals are opaque too, in every format."""
        return self.fit is Fit.PAD

    def fallback(self, alpha: bool) -> Format:
        """Returns JPEG, or PNG if the variants of an original with or without `alpha` are transparent.

        If the size has only one of the two, returns that one.
        """
        wanted, other = (Format.PNG, Format.JPG) if alpha and not self.is_opaque else (Format.JPG, Format.PNG)
        return wanted if wanted in self.formats else other

    @property
    def effects(self) -> list[str]:
        """The effects that change the content: a srcset must not mix sizes with different ones."""
        pad = f"pad {self.background}" if self.fit is Fit.PAD else None
        blur = None if self.blur is None else f"blur {self.blur:g}"
        position = None if self.position is Position.CENTER else f"position {self.position}"
        watermark = self.watermark and self.watermark.effect
        effects = (position, pad, self.grayscale and "grayscale", blur, watermark, self.animated and ANIMATED)
        return [effect for effect in effects if effect]


@dataclass(frozen=True, slots=True)
class Variant:
    """A size at a pixel density in a format. `visibility`: of its upload; it decides where the variant is."""

    size: Size
    format: Format
    density: int = 1
    visibility: Visibility = Visibility.PUBLIC

    @property
    def size_name(self) -> str:
        """The name of the size with the density, such as `medium@2x`."""
        return self.size.name if self.density == 1 else f"{self.size.name}@{self.density}x"

    @property
    def name(self) -> str:
        """The last segment of the URL and of the key, such as `medium@2x.webp`."""
        return f"{self.size_name}.{self.format}"

    @property
    def width(self) -> int | None:
        """The width of the box in pixels, density included; None if the size has only a height."""
        return self.size.width and self.size.width * self.density

    @property
    def height(self) -> int | None:
        """The height of the box in pixels, density included; None if the size has only a width."""
        return self.size.height and self.size.height * self.density


class Sizes(Mapping[str, Size]):
    """The configured sizes by name; parses variant names."""

    def __init__(self, *sizes: Size) -> None:
        self._sizes = {size.name: size for size in sizes}

    def __getitem__(self, name: str) -> Size:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def parse(self, name: str, visibility: Visibility = Visibility.PUBLIC) -> Variant | None:
        """Parses a name such as `medium@2x.webp`; None if it is malformed, or no size has this name and this format."""
        match = _VARIANT_NAME.fullmatch(name)
        size = self._sizes.get(match["size"]) if match else None
        if not match or size is None or match["format"] not in size.formats:
            return None
        return Variant(size, Format(match["format"]), int(match["density"] or 1), visibility)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every size in each of its formats, at density 1."""
        return tuple(Variant(size, format) for size in self.values() for format in size.formats)

    def standard(self, alpha: bool | None, *, animated: bool = False) -> tuple[Variant, ...]:
        """Returns the variants of a warm-up, at density 1: those that pages use, unless a size says otherwise.

        `alpha`: whether the original is transparent; None, if unknown, counts as both. `animated`: whether animated
        sizes show it as an animation, so that pages do not use their AVIF.
        """

        def is_standard(size: Size, format: Format) -> bool:
            if size.warm is not None:
                return format in size.warm
            if format in (Format.JPG, Format.PNG) and (alpha is not None or size.is_opaque):
                return format is size.fallback(bool(alpha))
            return not (format is Format.AVIF and animated and size.animated)

        return tuple(variant for variant in self.variants if is_standard(variant.size, variant.format))
