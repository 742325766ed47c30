"""Keeps variants of the original's own size and format from taking more bytes than the original.

The encoders' settings suit pixels that were scaled. At full size they would spend bytes on the artefacts of a lossy
original, and undo the work of an optimiser. Figures: docs/decisions/0033-encoders.md.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

from PIL import Image, JpegImagePlugin

from proxy.imaging.alpha import to_plain_channels
from proxy.imaging.decode import Original
from proxy.imaging.encode import LOSSLESS_METHODS, encode, encode_lossless_webp, encode_with_tables, metadata_of
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits, open_image
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.png import save_thoroughly
from proxy.imaging.png_pixels import compress_rows_again, pixel_chunks
from proxy.imaging.target import Target
from proxy.model import ColorSpace, Format

MAX_TRIED_AGAIN = 1 << 20
"""Pixels up to which a file is encoded again: larger variants take too long: at this size, a try takes a
tenth of a second, and two for the worst rows found."""

_LOWER_QUALITIES = {Format.WEBP: (15, 30, 45, 60, 75, 100), Format.AVIF: (25, 50)}
"""Steps by which the quality is lowered. Each try takes time: AVIF of a drawing, a second."""

_COARSER = (1.0, 1.1, 1.3)  # multiples of the original's tables: with 1, JPEG takes 0.8 to 1.06 of its bytes
_ANY_SIDES = Limits(1, 1 << 16)


def no_larger_copy(
    body: bytes, image: Image.Image, target: Target, *, path: OriginalFile, original: Original, exif: bytes | None
) -> bytes:
    """Returns `body`, the encoded `image`, or a smaller file if `image` is the original in its own size and format."""
    is_copy = image.size == original.upright_size and target.format.media_type == f"image/{original.format}"
    too_many = image.width * image.height > MAX_TRIED_AGAIN
    if not is_copy or too_many or target.score is not None or target.watermark is not None:
        return body
    if target.sharpen is not None or len(body) <= (at_most := _size(path)):
        return body
    if target.format is Format.PNG:
        return min([body, *_lossless_encodings(path, image, target, exif)], key=len)
    tries = _lossy_encodings(path, image, target, exif)
    return next((smaller for smaller in tries if len(smaller) <= at_most), body)


def _size(path: OriginalFile) -> int:
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def _lossless_encodings(path: OriginalFile, image: Image.Image, target: Target, exif: bytes | None) -> Iterator[bytes]:
    """Yields PNGs made with more effort: with filters of rows, and with those of the original if they show `image`."""
    yield save_thoroughly(image, metadata_of(image, target, exif))
    header = read_header(path)
    if exif is not None or target.color_space is not ColorSpace.SRGB or header is None or header.kind.endswith("16"):
        return
    stored = pixel_chunks(path)
    with Image.open(BytesIO(stored.getvalue()), formats=("PNG",)) as opened:
        raw_mode = str(opened.tile[0].args)
        opened.load()
        used = {color for _, color in opened.getcolors() or ()} if opened.mode == "P" else ()
        pixels = to_plain_channels(opened, raw_mode)
    same = pixels.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()
    if same and (again := compress_rows_again(stored, used)):
        yield again


def _lossy_encodings(path: OriginalFile, image: Image.Image, target: Target, exif: bytes | None) -> Iterator[bytes]:
    """Yields files that are expected to be smaller than at the target's quality, the best one first."""
    header = read_header(path)
    if header is None or target.quality is None:
        return
    if header.kind.startswith("webp lossless"):
        for method in LOSSLESS_METHODS:
            yield encode_lossless_webp(image, target, exif, method)
        return
    if target.format is Format.JPG:
        yield from _with_the_originals_tables(path, image, target, exif)
        return
    for step in _LOWER_QUALITIES[target.format]:
        yield encode(image, replace(target, quality=max(0, target.quality - step)), exif)


def _with_the_originals_tables(
    path: OriginalFile, image: Image.Image, target: Target, exif: bytes | None
) -> Iterator[bytes]:
    """Yields JPEGs that are quantised as the original is, so that nearly nothing more is lost."""
    with open_image(path, _ANY_SIDES) as opened:
        assert isinstance(opened, JpegImagePlugin.JpegImageFile)
        tables = [opened.quantization[number] for number in sorted(opened.quantization)]
        subsampling = JpegImagePlugin.get_sampling(opened)
        if opened.mode == "CMYK" or not tables:
            return
    for factor in _COARSER:
        coarser = [[max(1, min(255, round(factor * value))) for value in table] for table in tables[:2]]
        yield encode_with_tables(image, target, exif, coarser, "4:2:0" if subsampling < 0 else subsampling)
