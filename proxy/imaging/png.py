"""Encodes PNG with settings by kind of image: small files in little time. Figures: docs/decisions/0003-pipeline.md."""

import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import cast

from PIL import Image

from proxy.imaging.containers import MAX_CHUNKS, png_chunks, read_body
from proxy.imaging.content import bands, strips
from proxy.imaging.png_writer import MOST_EFFORT, make_chunk, pixel_chunk, write_png

Color = tuple[int, int, int, int]
Metadata = Mapping[str, bytes]
"""By the names of Pillow's options: `exif`, `icc_profile`."""

_BITS = (1, 2, 4, 8)
_SMALL = 1 << 16  # pixels, up to which a palette may take more bytes than it saves; a soft shadow's may at any size
_SAMPLE_STRIPS = 4

_SMOOTH_EFFORT = 7  # of libdeflate, for filtered rows; 8 takes twice as long for 2 %
_COLOR_TYPES = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}  # ISO 15948, 11.2.2


def save_png(image: Image.Image, metadata: Metadata) -> bytes:
    """Encodes `image` (L, LA, RGB, RGBA) as a lossless PNG, in as few bits a pixel as its colours allow."""
    few = [*_encode_few_colors(image, metadata)]
    if few and image.width * image.height > _SMALL and image.mode in ("L", "RGB"):
        return min(few, key=len)
    return min([*few, _encode_channels(image, metadata)], key=len)


def save_thoroughly(image: Image.Image, metadata: Metadata) -> bytes:
    """Encodes with a filter for each row and the most effort: several times as long, seldom smaller than `save_png`."""
    return _encode_filtered(image, metadata, MOST_EFFORT)


def _encode_channels(image: Image.Image, metadata: Metadata) -> bytes:
    """Encodes with 8 bits for each channel, as suits a sample of the rows."""
    sample = _sample(image)
    if sample.getcolors(sample.width * sample.height // 4) is None:
        return _encode_runs(image, metadata)  # more colours than a quarter of the pixels: a photograph
    sizes = {
        _encode_unfiltered: len(_encode_unfiltered(sample, {}, _SMOOTH_EFFORT)),
        _encode_filtered: len(_encode_filtered(sample, {}, _SMOOTH_EFFORT)),
        _encode_runs: len(_encode_runs(sample, {})),
    }
    return min(sizes, key=sizes.__getitem__)(image, metadata)


def _encode_few_colors(image: Image.Image, metadata: Metadata) -> Iterator[bytes]:
    """Encodes at most 256 colours in 1 to 8 bits a pixel, as grey levels and as a palette; yields what is possible."""
    colors = image.convert("RGBA").getcolors(256)
    if colors is None:
        return
    # Transparent colours first, which shortens tRNS; then frequent ones, which zlib prefers by some per cent.
    counted = sorted((cast("Color", color)[3] == 255, -count, cast("Color", color)) for count, color in colors)
    palette = [color for *_, color in counted]
    palette_bits = next(bits for bits in _BITS if len(palette) <= 1 << bits)
    grey_bits = _grey_bits(palette) if image.mode == "L" else 16
    if grey_bits < 8:
        step = 255 // ((1 << grey_bits) - 1)
        levels = image.point([level // step for level in range(256)])
        yield _write(image.size, (grey_bits, 0), _pack(levels.tobytes(), image.size, grey_bits), metadata)
    if palette_bits < grey_bits:
        rows = _pack(_indices(image, palette), image.size, palette_bits)
        yield _write(image.size, (palette_bits, 3), rows, metadata, palette=palette)


def _grey_bits(palette: Sequence[Color]) -> int:
    """Returns the fewest bits in which a PNG can store these grey levels."""
    return next(bits for bits in _BITS if all(level % (255 // ((1 << bits) - 1)) == 0 for level, *_ in palette))


def _indices(image: Image.Image, palette: Sequence[Color]) -> bytes:
    """Returns the number of each pixel's colour. Pillow's own conversion may take a similar colour."""
    numbers = {int.from_bytes(bytes(color), sys.byteorder): number for number, color in enumerate(palette)}
    pixels = (memoryview(band.convert("RGBA").tobytes()).cast("I") for band in bands(image))
    return b"".join(bytes(map(numbers.__getitem__, band)) for band in pixels)


def _pack(numbers: bytes, size: tuple[int, int], bits: int) -> bytes:
    """Returns the rows of an image of small numbers, packed to `bits` a pixel."""
    packed = Image.frombytes("P", size, numbers).tobytes("raw", "P" if bits == 8 else f"P;{bits}")
    return _rows(packed, (size[0] * bits + 7) // 8)


def _rows(data: bytes, stride: int) -> bytes:
    """Returns rows of `stride` bytes, each behind a byte that says that it has no filter."""
    return b"".join(b"\0" + data[start : start + stride] for start in range(0, len(data), stride))


def _encode_runs(image: Image.Image, metadata: Metadata) -> bytes:
    """Encodes photographs with zlib's Z_RLE, which finds only runs.

    Filtered rows of photographs repeat little else: other matches cost more bits than they save, whatever the effort.
    """
    return _pillow(image, metadata, compress_type=3, optimize=True)


def _encode_filtered(image: Image.Image, metadata: Metadata, effort: int = _SMOOTH_EFFORT) -> bytes:
    """Encodes smooth gradients: Pillow filters the rows, libdeflate compresses them."""
    file, stored = BytesIO(_pillow(image, {}, compress_level=0)), zlib.decompressobj()
    parts = (part for part in png_chunks(file, MAX_CHUNKS) if part.kind == b"IDAT")
    rows = b"".join(stored.decompress(read_body(file, part, part.length)) for part in parts)
    file.close()
    return _write(image.size, _kind(image), rows, metadata, effort=effort)


def _encode_unfiltered(image: Image.Image, metadata: Metadata, effort: int | None = None) -> bytes:
    """Encodes text and drawings without row filters, because their rows repeat as they are."""
    rows = _rows(image.tobytes(), image.width * len(image.getbands()))
    return _write(image.size, _kind(image), rows, metadata, effort=effort)


def _kind(image: Image.Image) -> tuple[int, int]:
    return 8, _COLOR_TYPES[image.mode]


def _write(
    size: tuple[int, int],
    kind: tuple[int, int],
    rows: bytes,
    metadata: Metadata,
    *,
    palette: Sequence[Color] = (),
    effort: int | None = None,
) -> bytes:
    """Writes a file of `rows`, each behind its filter's byte. Pillow cannot leave rows unfiltered, nor use libdeflate.

    `kind`: the bits of a sample, and the colour type. `effort`: of `pixel_chunk`.
    """
    width, height = size
    chunks = [make_chunk(b"IHDR", width.to_bytes(4) + height.to_bytes(4) + bytes([*kind, 0, 0, 0]))]
    if profile := metadata.get("icc_profile"):
        chunks.append(make_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile, 9)))
    if exif := metadata.get("exif"):
        chunks.append(make_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if palette:
        chunks.append(make_chunk(b"PLTE", b"".join(bytes(color[:3]) for color in palette)))
    if alphas := bytes(alpha for *_, alpha in palette).rstrip(b"\xff"):  # entries beyond the chunk are opaque
        chunks.append(make_chunk(b"tRNS", alphas))
    return write_png([*chunks, pixel_chunk(rows, effort)])


def _sample(image: Image.Image) -> Image.Image:
    """Returns strips of rows from all over the image, as one image."""
    parts = [*strips(image, _SAMPLE_STRIPS)]
    sample = Image.new(image.mode, (image.width, sum(part.height for part in parts)))
    for number, part in enumerate(parts):
        sample.paste(part, (0, number * part.height))
    return sample


def _pillow(image: Image.Image, metadata: Metadata, **options: int) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", **options, **metadata)
    return file.getvalue()
