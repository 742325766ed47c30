"""From an original to its variants, in named steps.

    open_picture   header only; limits judged                      (probe)
    decode         at a reduced scale where the format can          (JPEG)
    read_exif      learn the orientation
    expand         palettes, 16 bits and colour keys to plain channels   (channels)
    resize         one Lanczos pass over the visible part, alpha premultiplied
    to_srgb, without_useless_channels, turn_upright: on the small picture, where it is cheap
    encode, at a quality that is given or searched for              (codecs, tuning)

A single variant and all of them take the same way, so a warmed variant and a requested one are the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from PIL import Image

from proxy.imaging.channels import expand, without_useless_channels
from proxy.imaging.codecs import encode
from proxy.imaging.color import to_srgb
from proxy.imaging.geometry import decode_size, decode_tier, place
from proxy.imaging.probe import Limits, open_picture
from proxy.imaging.target import Measured, Target

REDUCING_GAP = 2.0
"""How much of a strong reduction a box filter may do before Lanczos: invisible at 2 (Pillow documents 3 as exact)."""

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(slots=True)
class Rendered:
    """One finished file. `timings` are seconds by stage (decode, resize, encode), of this file's own share.

    `measured` is None where the quality was given.
    """

    index: int
    body: bytes
    width: int
    height: int
    timings: dict[str, float] = field(default_factory=dict)
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """A decoded original. `format` is jpeg, png or webp.

    `size` is that of the file, in stored orientation; `pixels` may be a scaled-down decode.
    """

    format: str
    pixels: Image.Image
    size: tuple[int, int]
    orientation: int
    profile: bytes | None
    exif: Image.Exif

    @property
    def sideways(self) -> bool:
        return self.orientation >= 5

    @property
    def upright_size(self) -> tuple[int, int]:
        return self.size[::-1] if self.sideways else self.size

    def turn_upright(self, image: Image.Image) -> Image.Image:
        transpose = _TRANSPOSE.get(self.orientation)
        return image if transpose is None else image.transpose(transpose)

    def exif_bytes(self) -> bytes | None:
        """What is left of the EXIF once the picture is upright; None where there is none or it cannot be written."""
        try:
            return self.exif.tobytes() if len(self.exif) else None
        except Exception:  # whatever its values made the writer raise
            return None


def render(path: Path, targets: Sequence[Target], limits: Limits) -> Iterator[Rendered]:
    """Every target of the picture at `path`, each as soon as it is ready; the picture is decoded once for each tier.

    Raises UnsupportedFormat, Undecodable, TooSmall or TooManyPixels.
    """
    tier = shape = None
    for index, target in sorted(enumerate(targets), key=lambda item: _shape(item[1])):
        timings: dict[str, float] = {}
        if tier != (tier := decode_tier(target.width, target.height)):
            with timed(timings, "decode"):
                original = decode(path, tier, limits)
        if shape != (shape := _shape(target)):
            with timed(timings, "resize"):
                picture = resize(original, target)
        with timed(timings, "encode"):
            exif = original.exif_bytes() if target.keep_exif else None
            body, measured = encode_as_wanted(picture, target, exif)
        yield Rendered(index, body, picture.width, picture.height, timings, measured)


def decode(path: Path, tier: int, limits: Limits) -> Original:
    """The picture at `path` with at least the pixels that `tier` needs. Animated input: its first frame."""
    with open_picture(path, limits) as image:
        size = image.size
        stored = raw_mode(image)
        image.draft(None, decode_size(size, tier))
        image.load()
        exif, orientation = read_exif(image)  # after load: PNG may keep it behind the pixels
        format = "jpeg" if image.format == "MPO" else str(image.format).lower()
        return Original(format, expand(image, stored), size, orientation, image.info.get("icc_profile"), exif)


def raw_mode(image: Image.Image) -> str:
    """How the file's samples are packed, before it is loaded: what a colour key is written in."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0].args) if tiles else ""


def read_exif(image: Image.Image) -> tuple[Image.Exif, int]:
    """EXIF without its orientation, and the orientation (1 to 8). Broken EXIF is ignored, as viewers do."""
    try:
        exif = image.getexif()
        orientation = exif.pop(_ORIENTATION, 1)
    except Exception:  # whatever its bytes made the parser raise
        return Image.Exif(), 1
    return exif, orientation if isinstance(orientation, int) and orientation in _TRANSPOSE else 1


def resize(original: Original, target: Target) -> Image.Image:
    """The target's pixels, upright, in 8-bit sRGB or grey."""
    width, height = (target.height, target.width) if original.sideways else (target.width, target.height)
    placement = place(original.size, width, height, target.fit)
    pixels = original.pixels
    across, down = pixels.width / original.size[0], pixels.height / original.size[1]
    left, top, right, bottom = placement.box
    box = (left * across, top * down, min(right * across, pixels.width), min(bottom * down, pixels.height))
    small = pixels.resize(
        (placement.width, placement.height), Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP
    )
    small = without_useless_channels(to_srgb(small, original.profile))
    return original.turn_upright(small)


def encode_as_wanted(picture: Image.Image, target: Target, exif: bytes | None) -> tuple[bytes, Measured | None]:
    """The file, and what was measured where its quality was searched for."""
    if target.score is None:
        return encode(picture, target, exif), None
    # numpy takes a tenth of a second to import, and 20 MB: only render processes that search pay for it.
    from proxy.imaging.tuning import tuned  # noqa: PLC0415

    return tuned(picture, target, exif)


def _shape(target: Target) -> tuple[int, int, int, str]:
    """Targets of one shape share their pixels; they are sorted by it, largest tier last."""
    width, height = target.width or 0, target.height or 0
    return decode_tier(target.width, target.height), width, height, target.fit


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = perf_counter()
    yield
    timings[stage] = perf_counter() - start
