"""Encodes PNG with settings by kind of image: small files in little time. Figures: docs/decisions/0003-pipeline.md."""

import zlib
from collections.abc import Callable
from io import BytesIO

from PIL import Image

_FEW_COLORS = 4096  # every photograph measured had more
_WORTH_MATCHING = 0.85  # of the bytes of run-length coding; photographs stay above
_SAMPLE_ROWS, _SAMPLE_STRIPS = 16, 4
_LEVEL = 6  # of zlib; 9 takes three to ten times as long for 1 to 3 %
_COLOR_TYPES = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}  # ISO 15948, 11.2.2
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def save_png(image: Image.Image, exif: bytes | None) -> bytes:
    """Encodes `image` (L, LA, RGB, RGBA) as a lossless PNG."""
    palette = _as_palette(image)
    if palette is not None:
        return _pillow(palette, exif)
    if image.mode != "L" and image.getcolors(_FEW_COLORS) is not None:
        return min(_encode_unfiltered(image, exif), _encode_filtered(image, exif), key=len)
    return _choose_encoder(image)(image, exif)


def _encode_runs(image: Image.Image, exif: bytes | None = None) -> bytes:
    """Encodes photographs with zlib's Z_RLE, which finds only runs.

    Filtered rows of photographs repeat little else, and finding other matches takes five times as long.
    """
    return _pillow(image, exif, compress_type=3)


def _encode_filtered(image: Image.Image, exif: bytes | None = None) -> bytes:
    """Encodes smooth gradients with zlib's Z_FILTERED."""
    return _pillow(image, exif, compress_type=1, compress_level=_LEVEL, optimize=False)


def _encode_unfiltered(image: Image.Image, exif: bytes | None = None) -> bytes:
    """Encodes text and drawings without row filters, because their rows repeat as they are.

    The file is written here, because Pillow always filters rows.
    """
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


def _choose_encoder(image: Image.Image) -> Callable[[Image.Image, bytes | None], bytes]:
    """Returns the encoder that suits a sample of the rows."""
    sample = _sample(image)
    if sample.getcolors(sample.width * sample.height // 4) is None:
        return _encode_runs  # more colours than a quarter of the pixels: a photograph
    sizes = {encode: len(encode(sample, None)) for encode in (_encode_unfiltered, _encode_filtered)}
    best = min(sizes, key=lambda encode: sizes[encode])
    return best if sizes[best] < _WORTH_MATCHING * len(_encode_runs(sample)) else _encode_runs


def _sample(image: Image.Image) -> Image.Image:
    """Returns strips of rows from all over the image; the whole image if it is small."""
    if image.height <= _SAMPLE_ROWS * _SAMPLE_STRIPS:
        return image
    sample = Image.new(image.mode, (image.width, _SAMPLE_ROWS * _SAMPLE_STRIPS))
    for strip in range(_SAMPLE_STRIPS):
        top = (2 * strip + 1) * (image.height - _SAMPLE_ROWS) // (2 * _SAMPLE_STRIPS)
        sample.paste(image.crop((0, top, image.width, top + _SAMPLE_ROWS)), (0, strip * _SAMPLE_ROWS))
    return sample


def _as_palette(image: Image.Image) -> Image.Image | None:
    """Converts to a palette of at most 256 colours; None if that would change a pixel."""
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
