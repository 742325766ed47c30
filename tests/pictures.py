"""Pictures to feed to the origin: real photographs, and what is made of them to have every kind there is.

The photographs come with scikit-image, a development dependency; the rest is made from them here, in memory. At the
end: ICC profiles written by hand, so that a test can compute what must come of a colour.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw

Samples = NDArray[np.integer[Any]]
Matrix = NDArray[np.float64]

COLOR_PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
GREY_PHOTOGRAPHS = ("camera.png", "moon.png")

SERIAL_NUMBER = "SN-4711-0815"
GPS_DATE = "1999:12:31"
COMMENT = "shot through the window"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" aux:SerialNumber="SN-4711-0815"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def photograph_path(name: str) -> Path:
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data" / name


def photograph_bytes(name: str) -> bytes:
    return photograph_path(name).read_bytes()


def photograph(name: str) -> Image.Image:
    """Decoded, and without what its file said beside the pixels."""
    with Image.open(photograph_path(name)) as image:
        image.load()
    image.info = {}
    return image.copy()


# Files


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def jpeg(image: Image.Image, **options: Any) -> bytes:
    """Nearly lossless, so that what a test sees is the program's doing."""
    return save(image, "JPEG", **{"quality": 97, "subsampling": "4:4:4"} | options)


def png(image: Image.Image, **options: Any) -> bytes:
    return save(image, "PNG", **options)


def webp(image: Image.Image, **options: Any) -> bytes:
    return save(image, "WEBP", **{"lossless": True, "exact": True, "method": 0} | options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, color_type: int = 2) -> bytes:
    """A PNG's signature and header, and nothing after them."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def raw_png(samples: Samples, depth: int, *chunks: bytes) -> bytes:
    """A PNG of any depth, which Pillow cannot write; `samples` is height x width, or height x width x channels."""
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
    """Photoshop's CMYK: inks inverted, CMY as YCbCr. Pillow writes no YCCK, so what it writes is relabelled."""
    cyan, magenta, yellow, black = inks.split()
    luma, blue, red = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    as_stored = [band.point(lambda value: 255 - value) for band in (luma, blue, red)]
    file = bytearray(jpeg(Image.merge("CMYK", (*as_stored, black))))
    file[file.index(b"Adobe") + 11] = 2  # the transform
    return bytes(file)


def unmarked_cmyk_jpeg(inks: Image.Image) -> bytes:
    """CMYK whose Photoshop marker was lost on the way. Browsers take it for inverted all the same."""
    file = jpeg(inks)
    start = file.index(b"Adobe") - 4
    return file[:start] + file[start + 16 :]


def flat_webp(width: int, height: int) -> bytes:
    """One colour, lossless: 40 bytes, whatever its size, for a small one's header is rewritten."""
    file = bytearray(webp(Image.new("RGBA", (16, 16), (200, 30, 30, 128))))
    start = file.index(b"VP8L") + 9
    bits = int.from_bytes(file[start : start + 4], "little") & ~0xFFFFFFF
    file[start : start + 4] = (bits | (width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return bytes(file)


def jpeg_of_scans(image: Image.Image, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are `scans`."""
    file = jpeg(image, progressive=True)
    last = file[file.rindex(b"\xff\xda") : -2]
    return file[:-2] + last * (scans - file.count(b"\xff\xda")) + b"\xff\xd9"


def animated(image: Image.Image, format: str) -> bytes:
    """Three frames: `image` first, then a red and a blue one."""
    others = [Image.new(image.mode, image.size, color) for color in ("red", "blue")]
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    return save(image, format, save_all=True, append_images=others, duration=100, **options)


# Orientation and metadata

_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def oriented(upright: Image.Image, orientation: int, format: str = "JPEG") -> bytes:
    """A file that shows `upright` to whoever heeds its EXIF orientation (1 to 8)."""
    stored = upright.transpose(_STORED[orientation]) if orientation in _STORED else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return {"JPEG": jpeg, "PNG": png, "WEBP": webp}[format](stored, exif=exif)


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Darkroom"
    exif[ExifTags.Base.Model] = "Obscura 2"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.BodySerialNumber: SERIAL_NUMBER,
        ExifTags.Base.ISOSpeedRatings: 400,
    }
    exif[ExifTags.IFD.GPSInfo] = {
        ExifTags.GPS.GPSLatitudeRef: "N",
        ExifTags.GPS.GPSLatitude: (52.0, 31.0, 12.0),
        ExifTags.GPS.GPSDateStamp: GPS_DATE,
    }
    return exif


def exif_with_text_orientation(text: bytes) -> bytes:
    """EXIF whose one entry is an orientation that is text, as in known attacks on what prints it."""
    entry = struct.pack(">HHII", ExifTags.Base.Orientation, 2, len(text) + 1, 26)
    return b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0" + text + b"\0"


@cache
def camera_jpeg(orientation: int = 1) -> bytes:
    """12 megapixels of detail as a phone saves them: Display P3, EXIF with place and serial number, XMP, a comment."""
    mosaic = Image.new("RGB", (4032, 3024))
    tiles = [photograph(name) for name in COLOR_PHOTOGRAPHS]
    for row, top in enumerate(range(0, mosaic.height, 427)):
        for column, left in enumerate(range(0, mosaic.width, 600)):
            mosaic.paste(tiles[(row * 3 + column) % len(tiles)], (left, top))
    return jpeg(
        mosaic,
        quality=90,
        subsampling="4:2:0",
        exif=camera_exif(orientation),
        xmp=XMP,
        icc_profile=DISPLAY_P3,
        comment=COMMENT,
    )


# Transparency


def disc(color: tuple[int, int, int], side: int = 400) -> Image.Image:
    """A smooth-edged disc of one colour on transparent black, as programs for drawing export it."""
    big = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(big).ellipse([side * 0.4, side * 0.4, side * 3.6, side * 3.6], fill=255)
    alpha = big.resize((side, side), Image.Resampling.BOX)
    visible = alpha.point(lambda value: 255 if value else 0)
    picture = Image.new("RGBA", alpha.size)
    picture.paste((*color, 255), mask=visible)
    picture.putalpha(alpha)
    return picture


# ICC profiles

D50 = np.array([0.9642, 1.0, 0.8249])
D65_XY = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

SRGB_XY = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
DISPLAY_P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB_XY = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
ADOBE_GAMMA = 563 / 256


def srgb_decode(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def srgb_encode(value: NDArray[np.float64]) -> NDArray[np.float64]:
    value = np.clip(value, 0, 1)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


def to_xyz_d50(primaries: Sequence[tuple[float, float]]) -> Matrix:
    """Linear RGB with these primaries and a D65 white to XYZ as a profile has it, adapted to D50 by Bradford."""
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    x, y = D65_XY
    white = np.array([x / y, 1, (1 - x - y) / y])
    native = xyz * np.linalg.solve(xyz, white)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ D50) / (_BRADFORD @ white)) @ _BRADFORD
    return np.asarray(adaptation @ native, np.float64)


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def srgb_curve() -> bytes:
    table = np.round(srgb_decode(np.linspace(0, 1, 1024)) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()


def profile(kind: bytes, space: bytes, connection: bytes, description: str, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2."""
    name = description.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz_tag(D50),
    } | tags
    directory, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        directory += signature + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head = b"\0\0\0\0\x02\x40\0\0" + kind + space + connection + date + b"acsp" + bytes(28) + xyz_tag(D50)[8:]
    return struct.pack(">I", start + len(body)) + head.ljust(124, b"\0") + directory + body


def xyz_tag(xyz: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in xyz))


def rgb_profile(description: str, primaries: Sequence[tuple[float, float]], curve: bytes) -> bytes:
    columns = to_xyz_d50(primaries).T
    tags = {name: xyz_tag(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return profile(b"mntr", b"RGB ", b"XYZ ", description, tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(description: str, curve: bytes) -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", description, {b"kTRC": curve})


INKS_LAB = {
    (0, 0, 0): (100.0, 0.0, 0.0),
    (1, 0, 0): (60.0, -30.0, -35.0),
    (0, 1, 0): (50.0, 60.0, -5.0),
    (0, 0, 1): (88.0, -6.0, 75.0),
    (1, 1, 0): (30.0, 18.0, -40.0),
    (1, 0, 1): (52.0, -45.0, 25.0),
    (0, 1, 1): (48.0, 58.0, 40.0),
    (1, 1, 1): (22.0, 0.0, 0.0),
}
"""CIELAB (D50) of full cyan, magenta and yellow over one another: a dull press, whose inks all lie within sRGB."""


def press_profile(black_lightness: float = 0.0, paper: NDArray[np.float64] = D50) -> bytes:
    """A CMYK profile that mixes `INKS_LAB` linearly; black ink covers all, as well as it can."""
    nodes = b""
    for index in range(16):
        cyan, magenta, yellow, black = (index >> bit & 1 for bit in (3, 2, 1, 0))
        lightness, a, b = (black_lightness, 0.0, 0.0) if black else INKS_LAB[cyan, magenta, yellow]
        nodes += struct.pack(">3H", round(lightness * 652.8), round((a + 128) * 256), round((b + 128) * 256))
    identity = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    ramps = struct.pack(">2H", 0, 65535)
    table = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + struct.pack(">2H", 2, 2) + ramps * 4 + nodes + ramps * 3
    return profile(b"scnr", b"CMYK", b"Lab ", "A dull press", {b"A2B0": table, b"A2B1": table, b"wtpt": xyz_tag(paper)})


DISPLAY_P3 = rgb_profile("Display P3", DISPLAY_P3_XY, srgb_curve())
ADOBE_RGB = rgb_profile("Adobe RGB (1998)", ADOBE_RGB_XY, gamma_curve(ADOBE_GAMMA))
GREY_GAMMA_22 = grey_profile("Dot Gamma 2.2", gamma_curve(2.2))
