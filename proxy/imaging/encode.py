"""Encodes 8-bit pixels. The files contain no metadata but the EXIF that the caller passes, and Display P3's profile."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import deflate
from PIL import Image, ImageFile, ImageStat, features

from proxy.imaging import vips
from proxy.imaging.alpha import drop_redundant_channels
from proxy.imaging.content import has_chroma_edges, is_drawing
from proxy.imaging.icc import display_p3_profile
from proxy.imaging.png import save_png
from proxy.imaging.target import Target
from proxy.model import ColorSpace, Format

# One row of a block's coefficients a line.
# fmt: off
ROBIDOUX = (
    16, 16, 16, 18, 25, 37, 56, 85,
    16, 17, 20, 27, 34, 40, 53, 75,
    16, 20, 24, 31, 43, 62, 91, 135,
    18, 27, 31, 40, 53, 74, 106, 156,
    25, 34, 43, 53, 69, 94, 131, 189,
    37, 40, 62, 74, 94, 124, 169, 238,
    56, 53, 91, 106, 131, 169, 226, 311,
    85, 75, 135, 156, 189, 238, 311, 418,
)
# fmt: on
"""N. Robidoux's quantisation table for ImageMagick, which mozjpeg uses by default (its table 3): at equal SSIMULACRA2
6.6 % fewer bytes than the standard table. Pillow scales it by the quality, as libjpeg does."""

AVIF_SPEED = 7
FAST_AVIF_SPEED = 8
"""For images of more than `MAX_SLOW_PIXELS`, and for searches for a quality, which encode eight times."""
MAX_SLOW_PIXELS = 800 * 800
_DRAWING = {"subsampling": "4:4:4", "advanced": {"tune-content": "screen"}}
"""Options of AVIF for drawings: palettes and copied blocks, which libaom's speed 8 leaves out."""
WEBP_METHOD = 4
LOSSLESS_METHODS = (WEBP_METHOD, 6)
"""Of copies: 6 takes up to three times as long for files of few bytes."""

_FEW_COLORS = 4096
_LOSSLESS_EFFORT, _MOST_EFFORT = 90, 100  # the latter takes up to three times as long for 1 %
_WORTH_LOSSLESS, _FEW_BYTES = 2, 4096
"""Lossless WebP is tried if zlib's level 1 takes at most this multiple of the lossy bytes; above, it seldom wins. It is
also tried if zlib takes few bytes: then it is fast, and a lossy file has at least a hundred bytes for a flat colour."""


def versions(format: Format | None = None) -> dict[str, str]:
    """Returns the versions of the libraries that decide the bytes of variants of `format`, or of all variants.

    A library that is not installed has an empty version. All decoders count, because the original may have any format;
    AVIF and deflate are only encoders.
    """
    names = ["pil", "libjpeg_turbo", "webp", "zlib", "zlib_ng", "littlecms2"]
    if format in (None, Format.AVIF):
        names.append("avif")
    others = {"zlib in Python": zlib.ZLIB_RUNTIME_VERSION, "vips": vips.version()}
    if format in (None, Format.PNG):
        others["deflate"] = deflate.__version__
    return {name: features.version(name) or "" for name in names} | others


def encode(image: Image.Image, target: Target, exif: bytes | None) -> bytes:
    """Encodes `image` (L, LA, RGB, RGBA) in the format of `target`, with `exif` if given.

    `image` and the target's background are in its colour space.
    """
    image.info = {}  # otherwise the encoders write the original's profile and comments
    if target.format is Format.JPG:
        image = flatten(image, target.background)
    file = BytesIO()
    options = metadata_of(image, target, exif)
    match target.format:
        case Format.JPG:
            tables = [ROBIDOUX, ROBIDOUX]
            return _encode_jpeg(image, options, quality=target.quality, qtables=tables, subsampling=_subsampling(image))
        case Format.PNG:
            return save_png(image, options)
        case Format.WEBP:
            return _encode_webp(_to_color(image), target, options)
        case Format.AVIF:
            filled = _fill_transparent(_to_color(image))
            fast = target.score is not None or image.width * image.height > MAX_SLOW_PIXELS
            drawn = not fast and is_drawing(filled.convert(image.mode))
            settings = _DRAWING if drawn else {"subsampling": _subsampling(filled)}
            speed = FAST_AVIF_SPEED if fast else AVIF_SPEED
            # One thread: the pool already uses every processor, and the bytes must not depend on the machine.
            filled.save(file, "AVIF", quality=target.quality, speed=speed, max_threads=1, **settings, **options)
    return file.getvalue()


def encode_with_tables(
    image: Image.Image, target: Target, exif: bytes | None, tables: Sequence[Sequence[int]], subsampling: int | str
) -> bytes:
    """Encodes a JPEG with these tables of quantisation, at the lesser of its progressive and its sequential size."""
    image.info = {}
    image = flatten(image, target.background)
    options = metadata_of(image, target, exif)
    kinds = [
        _encode_jpeg(image, options, progressive=kind, qtables=tables, subsampling=subsampling)
        for kind in (True, False)
    ]
    return min(kinds, key=len)


def encode_lossless_webp(image: Image.Image, target: Target, exif: bytes | None, method: int) -> bytes:
    """Encodes `image` without loss and with more effort, whatever a lossy file would take."""
    image.info = {}
    return _save_lossless(_to_color(image), metadata_of(image, target, exif), _MOST_EFFORT, method)


def profile_of(space: ColorSpace) -> bytes | None:
    """Returns the profile that a variant needs; sRGB is what viewers assume without one."""
    return display_p3_profile() if space is ColorSpace.DISPLAY_P3 else None


def metadata_of(image: Image.Image, target: Target, exif: bytes | None) -> Mapping[str, bytes]:
    """Returns EXIF and profile as options of Pillow's encoders. Grey has no profile: it is the same in sRGB and P3."""
    profile = profile_of(target.color_space) if image.mode in ("RGB", "RGBA") else None
    return {name: value for name, value in {"exif": exif, "icc_profile": profile}.items() if value}


def _encode_jpeg(
    image: Image.Image, metadata: Mapping[str, bytes], *, progressive: bool = True, **options: Any
) -> bytes:
    file = BytesIO()
    with _room_for(image):
        image.save(file, "JPEG", optimize=True, progressive=progressive, **options, **metadata)
    return file.getvalue()


@contextmanager
def _room_for(image: Image.Image) -> Iterator[None]:
    """Gives libjpeg room for the largest file. Pillow allows a byte a pixel, and noise in 4:4:4 takes 1.4 to 3.3."""
    before = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = max(before, 4 * image.width * image.height)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before


def flatten(image: Image.Image, background: str) -> Image.Image:
    """Composites an image with alpha over the colour `background`; returns any other image unchanged."""
    if image.mode not in ("LA", "RGBA"):
        return image
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return drop_redundant_channels(canvas)


def _encode_webp(image: Image.Image, target: Target, options: Mapping[str, bytes]) -> bytes:
    """Encodes lossy, or lossless if that is smaller, as for drawings and screenshots."""
    filled, lossy = _fill_transparent(image), BytesIO()
    filled.save(lossy, "WEBP", quality=target.quality, method=WEBP_METHOD, **options)
    worth = max(_FEW_BYTES, _WORTH_LOSSLESS * len(lossy.getvalue()))
    if filled.getcolors(_FEW_COLORS) is None or len(zlib.compress(filled.tobytes(), 1)) > worth:
        return lossy.getvalue()
    return min(lossy.getvalue(), _save_lossless(image, options), key=len)


def _save_lossless(
    image: Image.Image, options: Mapping[str, bytes], effort: int = _LOSSLESS_EFFORT, method: int = WEBP_METHOD
) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", lossless=True, quality=effort, method=method, **options)
    return file.getvalue()


def _subsampling(image: Image.Image) -> str:
    return "4:4:4" if image.mode in ("RGB", "RGBA") and has_chroma_edges(image) else "4:2:0"


def _to_color(image: Image.Image) -> Image.Image:
    """Converts grey to RGB: WebP and AVIF have no grey."""
    return image.convert({"L": "RGB", "LA": "RGBA"}.get(image.mode, image.mode))


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Sets fully transparent pixels to the mean visible colour: lossy codecs would bleed their black into the edges."""
    if image.mode != "RGBA":
        return image
    alpha = image.getchannel("A")
    visible = alpha.point([0] + [255] * 255)
    if visible.getbbox() is None:
        return image
    colors = image.convert("RGB")
    canvas = Image.new("RGB", image.size, tuple(round(value) for value in ImageStat.Stat(colors, visible).mean))
    canvas.paste(colors, mask=visible)
    canvas.putalpha(alpha)
    return canvas
