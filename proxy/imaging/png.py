"""PNG by kind of picture: small, within what a person waits for. Figures: docs/decisions/0003-pipeline.md."""

import zlib
from collections.abc import Callable
from io import BytesIO

from PIL import Image

_FEW_COLORS = 4096  # no photograph measured had as few
_WORTH_SEARCHING = 0.85  # of the bytes that runs alone give; photographs stay above
_SAMPLE_ROWS, _SAMPLE_STRIPS = 16, 4
_LEVEL = 6  # of zlib; 9 takes three to ten times as long for 1 to 3 %
_COLOR_TYPES = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}  # ISO 15948, 11.2.2
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def save_png(image: Image.Image, exif: bytes | None) -> bytes:
    """`image` (L, LA, RGB, RGBA) as a PNG of the same pixels."""
    palette = _as_palette(image)
    if palette is not None:
        return _pillow(palette, exif)
    if image.mode != "L" and image.getcolors(_FEW_COLORS) is not None:
        return min(_unfiltered(image, exif), _filtered(image, exif), key=len)
    return _way_by_sample(image)(image, exif)


def _runs(image: Image.Image, exif: bytes | None = None) -> bytes:
    """Runs alone (Z_RLE): a photograph's filtered rows have little else, and a search takes five times as long."""
    return _pillow(image, exif, compress_type=3)


def _filtered(image: Image.Image, exif: bytes | None = None) -> bytes:
    """Z_FILTERED, for smooth gradients."""
    return _pillow(image, exif, compress_type=1, compress_level=_LEVEL, optimize=False)


def _unfiltered(image: Image.Image, exif: bytes | None = None) -> bytes:
    """For text and drawings, whose rows repeat as they are. Pillow cannot but filter them."""
    pixels, stride = image.tobytes(), image.width * len(image.getbands())
    rows = b"".join(b"\0" + pixels[start : start + stride] for start in range(0, len(pixels), stride))
    size = image.width.to_bytes(4) + image.height.to_bytes(4)
    header = size + bytes([8, _COLOR_TYPES[image.mode], 0, 0, 0])
    metadata = _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")) if exif else b""
    return (
        _SIGNATURE
        + _chunk(b"IHDR", header)
        + metadata
        + _chunk(b"IDAT", zlib.compress(rows, _LEVEL))
        + _chunk(b"IEND", b"")
    )


def _way_by_sample(image: Image.Image) -> Callable[[Image.Image, bytes | None], bytes]:
    """What suits some rows from all over the picture."""
    sample = _sample(image)
    if sample.getcolors(sample.width * sample.height // 4) is None:
        return _runs  # every fourth pixel is of another colour: a photograph
    sizes = {way: len(way(sample, None)) for way in (_unfiltered, _filtered)}
    best = min(sizes, key=lambda way: sizes[way])
    return best if sizes[best] < _WORTH_SEARCHING * len(_runs(sample)) else _runs


def _sample(image: Image.Image) -> Image.Image:
    """Strips of rows from all over the picture; all of it, if there are few."""
    if image.height <= _SAMPLE_ROWS * _SAMPLE_STRIPS:
        return image
    sample = Image.new(image.mode, (image.width, _SAMPLE_ROWS * _SAMPLE_STRIPS))
    for strip in range(_SAMPLE_STRIPS):
        top = (2 * strip + 1) * (image.height - _SAMPLE_ROWS) // (2 * _SAMPLE_STRIPS)
        sample.paste(image.crop((0, top, image.width, top + _SAMPLE_ROWS)), (0, strip * _SAMPLE_ROWS))
    return sample


def _as_palette(image: Image.Image) -> Image.Image | None:
    """The same pixels by a palette of at most 256 colours; None where that would change one."""
    if image.mode != "RGB" or image.getcolors(256) is None:
        return None
    palette = image.quantize(256, dither=Image.Dither.NONE)
    return palette if palette.convert("RGB").tobytes() == image.tobytes() else None


def _pillow(image: Image.Image, exif: bytes | None, *, optimize: bool = True, **options: int) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", optimize=optimize, **options, **({"exif": exif} if exif else {}))
    return file.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
