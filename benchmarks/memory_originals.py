"""The originals of `benchmarks.memory`: one of each kind that decoders treat apart, made for any side in pixels."""

import struct
import zlib
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from PIL import Image

from proxy.imaging import heic
from tests.photographs import photograph
from tests.pictures import animated, chunk, flat_webp, png_header, raw_tiff, save

Maker = Callable[[int], bytes]


@cache
def texture() -> Image.Image:
    """Returns a photograph of 1000 pixels a side that fades to transparent."""
    picture = photograph("astronaut.png").convert("RGB").resize((1000, 1000))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def encoded(mode: str, format: str, **options: object) -> Maker:
    def make(side: int) -> bytes:
        if format == "HEIF":
            heic.load()
        return save(mosaic(mode, side), format, **options)

    return make


def mosaic(mode: str, side: int) -> Image.Image:
    tile = texture().convert(mode)
    picture = Image.new(mode, (side, side))
    for left in range(0, side, tile.width):
        for top in range(0, side, tile.height):
            picture.paste(tile, (left, top))
    return picture


def png(depth: int, color: int, *chunks: bytes, interlaced: bool = False) -> Maker:
    """Returns a maker of PNG files with identical rows of noise, which take as much memory to decode as any image."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]

    def make(side: int) -> bytes:
        compressor = zlib.compressobj(1)
        packed = [
            compressor.compress(b"\0" + _noise((width * channels * depth + 7) // 8))
            for width, height in (_passes(side) if interlaced else [(side, side)])
            for _ in range(height)
        ]
        header = bytearray(png_header(side, side, depth, color))
        if interlaced:
            header[28] = 1
            header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
        body = b"".join([*packed, compressor.flush()])
        return b"".join([header, *chunks, chunk(b"IDAT", body), chunk(b"IEND", b"")])

    return make


def _passes(side: int) -> Iterable[tuple[int, int]]:
    """Returns the columns and rows of each pass of Adam7."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    return [(-(-(side - left) // across), -(-(side - top) // down)) for left, top, across, down in steps]


@cache
def _noise(length: int) -> bytes:
    return bytes(number * number * 40_503 >> 8 & 255 for number in range(length))


def tiff(depth: int, channels: int) -> Maker:
    """Returns a maker of TIFF files in one strip of noise, the worst case for the decoder."""

    def make(side: int) -> bytes:
        row = np.frombuffer(_noise(side * channels * depth // 8), f"u{depth // 8}")
        return raw_tiff(np.broadcast_to(row, (side, row.size)).reshape(side, side, channels))

    return make


def partial_gif(side: int) -> bytes:
    """Returns a GIF whose image lies in the middle of a larger screen."""
    file = bytearray(save(mosaic("P", side // 2), "GIF", transparency=3))
    file[6:10] = struct.pack("<HH", side, side)
    at = file.index(b",", 13 + (3 << (file[10] & 7) + 1))
    file[at + 1 : at + 5] = struct.pack("<HH", side // 4, side // 4)
    return bytes(file)


PALETTE = chunk(b"PLTE", bytes(range(256)) * 3)
LOSSY = {"quality": 60, "method": 0}
FAST = {"quality": 40, "speed": 10, "max_threads": 2}
LOSSLESS = {"lossless": True, "quality": 0, "method": 0}

ORIGINALS: dict[str, Maker] = {
    "JPEG 4:2:0": encoded("RGB", "JPEG", subsampling="4:2:0"),
    "JPEG 4:4:4": encoded("RGB", "JPEG", subsampling="4:4:4"),
    "JPEG grey": encoded("L", "JPEG"),
    "JPEG CMYK": encoded("CMYK", "JPEG"),
    "progressive JPEG 4:2:0": encoded("RGB", "JPEG", subsampling="4:2:0", progressive=True),
    "progressive JPEG 4:4:4": encoded("RGB", "JPEG", subsampling="4:4:4", progressive=True),
    "progressive JPEG grey": encoded("L", "JPEG", progressive=True),
    "progressive JPEG CMYK": encoded("CMYK", "JPEG", progressive=True),
    "PNG 1 bit": png(1, 0),
    "PNG grey": png(8, 0),
    "PNG grey, a colour transparent": png(8, 0, chunk(b"tRNS", b"\0\1")),
    "PNG grey, interlaced": png(8, 0, interlaced=True),
    "PNG grey, 16 bits": png(16, 0),
    "PNG grey, 16 bits, a colour transparent": png(16, 0, chunk(b"tRNS", b"\0\1")),
    "PNG palette": png(8, 3, PALETTE),
    "PNG palette, transparent": png(8, 3, PALETTE, chunk(b"tRNS", bytes(range(256)))),
    "PNG RGB": png(8, 2),
    "PNG RGB, interlaced": png(8, 2, interlaced=True),
    "PNG RGB, 16 bits, a colour transparent": png(16, 2, chunk(b"tRNS", b"\0\1\0\1\0\1")),
    "PNG RGB, 16 bits": png(16, 2),
    "PNG RGB, a colour transparent": png(8, 2, chunk(b"tRNS", b"\0\1\0\1\0\1")),
    "PNG grey and alpha": png(8, 4),
    "PNG RGBA": png(8, 6),
    "PNG RGBA, interlaced": png(8, 6, interlaced=True),
    "PNG RGBA, 16 bits": png(16, 6),
    "WebP lossy": encoded("RGB", "WEBP", **LOSSY),
    "WebP lossy, transparent": encoded("RGBA", "WEBP", **LOSSY),
    "WebP lossless": encoded("RGB", "WEBP", **LOSSLESS),
    "WebP lossless, transparent": encoded("RGBA", "WEBP", **LOSSLESS),
    "WebP animated": lambda side: animated(mosaic("RGB", side), "WEBP"),
    "AVIF 4:2:0": encoded("RGB", "AVIF", **FAST),
    "AVIF 4:4:4": encoded("RGB", "AVIF", subsampling="4:4:4", **FAST),
    "AVIF, transparent": encoded("RGBA", "AVIF", **FAST),
    "HEIC 4:2:0": encoded("RGB", "HEIF", quality=40),
    "HEIC, transparent": encoded("RGBA", "HEIF", quality=40),
    "GIF": encoded("P", "GIF"),
    "GIF, transparent, smaller than its screen": partial_gif,
    "TIFF 1 bit, fax": encoded("1", "TIFF", compression="group4"),
    "TIFF grey": tiff(8, 1),
    "TIFF grey, 16 bits": tiff(16, 1),
    "TIFF RGB": tiff(8, 3),
    "TIFF RGB, 16 bits": tiff(16, 3),
    "TIFF RGB, LZW": encoded("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF RGB, JPEG": encoded("RGB", "TIFF", compression="jpeg"),
    "TIFF RGB, uncompressed": encoded("RGB", "TIFF"),
    "TIFF RGBA": tiff(8, 4),
    "TIFF RGBA, 16 bits": tiff(16, 4),
    "TIFF palette": encoded("P", "TIFF", compression="tiff_lzw"),
    "TIFF CMYK": encoded("CMYK", "TIFF", compression="tiff_lzw"),
    "WebP lossless, one colour": lambda side: flat_webp(side, side),
}
