"""Images of every kind, made in memory."""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Samples = NDArray[np.integer[Any]]


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def jpeg(image: Image.Image, **options: Any) -> bytes:
    """Encodes nearly without loss, so that all differences come from the tested code."""
    return save(image, "JPEG", **{"quality": 97, "subsampling": "4:4:4"} | options)


def png(image: Image.Image, **options: Any) -> bytes:
    return save(image, "PNG", **options)


def webp(image: Image.Image, **options: Any) -> bytes:
    return save(image, "WEBP", **{"lossless": True, "exact": True, "method": 0} | options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, color_type: int = 2) -> bytes:
    """Returns a PNG's signature and header only."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def raw_png(samples: Samples, depth: int, *chunks: bytes) -> bytes:
    """Returns a PNG of any depth, unlike Pillow. `samples` is height x width, or height x width x channels."""
    height, width = samples.shape[:2]
    channels = samples.reshape(height, width, -1).shape[2]
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    if depth == 16:
        rows = samples.reshape(height, -1).astype(">u2").view(np.uint8)
    else:
        bits = np.unpackbits(samples.reshape(height, -1, 1).astype(np.uint8), axis=2)[:, :, 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    unfiltered = np.insert(rows, 0, 0, axis=1).tobytes()
    pixels = chunk(b"IDAT", zlib.compress(unfiltered))
    return png_header(width, height, depth, color_type) + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def ycck_jpeg(inks: Image.Image) -> bytes:
    """Returns Photoshop's CMYK: inverted inks, CMY stored as YCbCr. Pillow cannot write YCCK, so its file is
    relabelled.
    """
    cyan, magenta, yellow, black = inks.split()
    luma, blue, red = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    as_stored = [band.point(lambda value: 255 - value) for band in (luma, blue, red)]
    file = bytearray(jpeg(Image.merge("CMYK", (*as_stored, black))))
    file[file.index(b"Adobe") + 11] = 2  # the transform
    return bytes(file)


def unmarked_cmyk_jpeg(inks: Image.Image) -> bytes:
    """Returns inverted CMYK without the Photoshop marker. Browsers treat it as inverted too."""
    file = jpeg(inks)
    start = file.index(b"Adobe") - 4
    return file[:start] + file[start + 16 :]


def flat_webp(width: int, height: int) -> bytes:
    """Returns one colour, lossless, in 40 bytes: a small file with another size in its header."""
    file = bytearray(webp(Image.new("RGBA", (16, 16), (200, 30, 30, 128))))
    start = file.index(b"VP8L") + 9
    bits = int.from_bytes(file[start : start + 4], "little") & ~0xFFFFFFF
    file[start : start + 4] = (bits | (width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return bytes(file)


def jpeg_of_scans(image: Image.Image, scans: int) -> bytes:
    """Returns a progressive JPEG whose last scan is repeated until it has `scans`."""
    file = jpeg(image, progressive=True)
    last = file[file.rindex(b"\xff\xda") : -2]
    return file[:-2] + last * (scans - file.count(b"\xff\xda")) + b"\xff\xd9"


def animated(image: Image.Image, format: str) -> bytes:
    """Returns three frames: `image` first, then a red and a blue one."""
    others = [Image.new(image.mode, image.size, color) for color in ("red", "blue")]
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    return save(image, format, save_all=True, append_images=others, duration=100, **options)


def disc(color: tuple[int, int, int], side: int = 400) -> Image.Image:
    """Returns a smooth-edged disc of one colour on transparent black, as drawing programs export it."""
    big = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(big).ellipse([side * 0.4, side * 0.4, side * 3.6, side * 3.6], fill=255)
    alpha = big.resize((side, side), Image.Resampling.BOX)
    visible = alpha.point(lambda value: 255 if value else 0)
    picture = Image.new("RGBA", alpha.size)
    picture.paste((*color, 255), mask=visible)
    picture.putalpha(alpha)
    return picture


def raw_tiff(samples: Samples, tags: dict[int, tuple[int, ...]] | None = None, *, order: str = "<") -> bytes:
    """Returns a TIFF in one strip, of 8 or 16 bits as `samples` are. `tags`: others, as 32-bit numbers."""
    height, width = samples.shape[:2]
    channels = samples.reshape(height, width, -1).shape[2]
    deflate = zlib.compress(samples.astype(f"{order}u{samples.itemsize}").tobytes(), 1)
    entries = {
        256: (width,),
        257: (height,),
        258: (8 * samples.itemsize,) * channels,
        259: (8,),
        262: (2 if channels >= 3 else 1,),
        273: (8,),
        277: (channels,),
        278: (height,),
        279: (len(deflate),),
        **({338: (2,)} if channels in (2, 4) else {}),
        **(tags or {}),
    }
    start = 8 + len(deflate) + len(deflate) % 2
    longer, directory = b"", b""
    for tag, values in sorted(entries.items()):
        data = struct.pack(f"{order}{len(values)}I", *values)
        if len(data) > 4:
            at = start + 6 + 12 * len(entries) + len(longer)
            longer, data = longer + data, struct.pack(f"{order}I", at)
        directory += struct.pack(f"{order}HHI", tag, 4, len(values)) + data
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    count = struct.pack(f"{order}H", len(entries))
    return head + deflate + bytes(len(deflate) % 2) + count + directory + bytes(4) + longer
