"""More than a thousand hostile files from one seed, with their allowed results, each made when it is sent.

Results are `ACCEPTED` and the codes of docs/errors.md. For random damage, any refusal that names a fault of the file is
correct; for known damage, there is one correct result.
"""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from tests import pictures
from tests.camera import XMP, camera_exif
from tests.hostile import containers, polyglots
from tests.icc_profiles import DISPLAY_P3, press_profile
from tests.photographs import photograph
from tests.pictures import chunk, jpeg, png, png_header, save, webp

ACCEPTED = "accepted"
UNSUPPORTED, UNDECODABLE = frozenset({"unsupported_format"}), frozenset({"undecodable"})
TAKEN = frozenset({ACCEPTED})
ANY = frozenset({ACCEPTED, "undecodable", "unsupported_format", "too_small", "too_many_pixels", "too_heavy"})
"""The allowed results of random damage, which can also leave a valid image of another size."""

FLIPS = 30  # damaged files of each kind
PHOTOGRAPH = photograph("coffee.png").resize((240, 160))
PLAIN = Image.linear_gradient("L").resize((100, 100)).convert("RGB")


@dataclass(frozen=True, slots=True)
class Case:
    """A file as it is uploaded, and its allowed results."""

    kind: str
    name: str
    content: bytes
    outcomes: frozenset[str]
    filename: str = "photo.jpg"
    media_type: str = "image/jpeg"


def corpus(seed: int = 20) -> Iterator[Case]:
    chance = random.Random(seed)
    yield from truncated()
    yield from flipped(chance)
    yield from invented(chance)
    yield from named()
    yield from claimed()
    for kind, files in (polyglots.GROUPS | containers.GROUPS).items():
        for name, content, outcomes in files():
            yield Case(kind, name, content, frozenset({outcomes} if isinstance(outcomes, str) else outcomes))


def wholes() -> dict[str, bytes]:
    metadata = {"exif": camera_exif(6), "icc_profile": DISPLAY_P3}
    return {
        "baseline JPEG": jpeg(PHOTOGRAPH, **metadata),
        "progressive JPEG": jpeg(PHOTOGRAPH, progressive=True, **metadata),
        "CMYK JPEG": jpeg(PHOTOGRAPH.convert("CMYK"), icc_profile=press_profile()),
        "PNG": png(PHOTOGRAPH, **metadata),
        "palette PNG": png(PHOTOGRAPH.quantize(60), **metadata),
        "APNG": pictures.animated(PHOTOGRAPH, "PNG"),
        "lossless WebP": webp(PHOTOGRAPH, **metadata),
        "lossy WebP": webp(PHOTOGRAPH, lossless=False, xmp=XMP, **metadata),
        "transparent WebP": webp(pictures.disc((200, 30, 30), 200), lossless=False),
        "animated WebP": pictures.animated(PHOTOGRAPH, "WEBP"),
    }


def truncated() -> Iterator[Case]:
    """Files cut at every length. Without the end marker only, a file may be accepted: all pixels are there."""
    files = {
        "JPEG": (jpeg(PLAIN.convert("L"), quality=30, progressive=True), 3, 2),
        "PNG": (png(PLAIN.convert("L")), 8, 16),
        "lossless WebP": (webp(pictures.disc((200, 30, 30), 100).quantize(4)), 12, 1),
        "lossy WebP": (webp(PLAIN, lossless=False, quality=20), 12, 1),
    }
    for name, (whole, signature, end) in files.items():
        for length in range(len(whole)):
            outcomes = UNDECODABLE
            if length < signature:
                outcomes = UNSUPPORTED if length else frozenset({"missing_image"})
            elif length >= len(whole) - end:
                outcomes = UNDECODABLE | TAKEN
            yield Case("truncated", f"{name} of {length} bytes", whole[:length], outcomes)


def flipped(chance: random.Random) -> Iterator[Case]:
    """Flipped bits, mostly in the first bytes, all of which have a meaning."""
    for name, whole in wholes().items():
        for number in range(FLIPS):
            damaged = bytearray(whole)
            for _ in range(chance.choice([1, 1, 2, 8])):
                reach = min(chance.choice([64, 1024, len(damaged)]), len(damaged))
                damaged[chance.randrange(reach)] ^= 1 << chance.randrange(8)
            yield Case("bits flipped", f"{name} {number}", bytes(damaged), ANY)


def invented(chance: random.Random) -> Iterator[Case]:
    """Segments and chunks of random bytes in valid files: ignored, or a reason to refuse."""
    kinds = (b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"PLTE", b"sBIT")
    whole_jpeg, whole_png = jpeg(PLAIN), png(PLAIN)
    for number in range(120):
        body = chance.randbytes(chance.choice([0, 1, 8, 40, 1000]))
        marker = chance.choice([*range(0xE0, 0xF0), 0xFE, 0xDB, 0xC4, 0xDD])
        segment = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        yield Case("invented", f"segment {marker:x} {number}", whole_jpeg[:2] + segment + whole_jpeg[2:], ANY)
        kind = chance.choice(kinds)
        content = whole_png[:33] + chunk(kind, body) + whole_png[33:]
        yield Case("invented", f"chunk {kind.decode()} {number}", content, ANY)


def named() -> Iterator[Case]:
    """File names and declared types are irrelevant: the content decides."""
    names = (
        "x.php",
        "x.php.jpg",
        "x.jpg.php",
        "x.svg",
        "x.html",
        "x",
        ".htaccess",
        "x.jpg\0.php",
        "CON",
        "a" * 4000,
    )
    paths = (
        "../../etc/passwd",
        "..\\..\\x.jpg",
        "/etc/passwd",
        "C:\\x.jpg",
        "%2e%2e%2fx",
        '"><script>alert(1)</script>',
    )
    types = ("text/html", "image/svg+xml", "application/x-php", "image/gif", "", "x" * 300)
    for index, filename in enumerate((*names, *paths, "\u202egpj.exe", "$(id).jpg", "x.jpg;.php", "{{7*7}}.png")):
        content = (jpeg, png, webp)[index % 3](PLAIN)
        yield Case("named", filename[:40], content, TAKEN, filename, types[index % len(types)])
    for format in (
        "GIF",
        "BMP",
        "TIFF",
        "ICO",
        "PPM",
        "TGA",
        "AVIF",
        "JPEG2000",
        "PDF",
        "DDS",
        "SGI",
        "PCX",
        "MSP",
        "EPS",
    ):
        mode = "1" if format == "MSP" else "RGB"
        for filename, media_type in (("x.png", "image/png"), ("x.jpg", "image/jpeg"), ("x.webp", "image/webp")):
            content = save(PHOTOGRAPH.convert(mode), format)
            yield Case("another format renamed", f"{format} as {filename}", content, UNSUPPORTED, filename, media_type)


def claimed() -> Iterator[Case]:
    """Headers with huge sizes and hardly any data."""
    many, small = frozenset({"too_many_pixels"}), frozenset({"too_small"})
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    for width, height in ((100_000, 100_000), (10_001, 100), (100, 10_001), (2**31 - 1, 2**31 - 1)):
        yield Case("claimed size", f"PNG {width}x{height}", png_header(width, height) + pixels, many)
    for width, height in ((10_001, 100), (16_384, 16_384), (100, 16_384)):
        outcomes = many if width * height < 10**8 else many | UNDECODABLE  # libwebp rejects the last one
        yield Case("claimed size", f"WebP {width}x{height}", pictures.flat_webp(width, height), outcomes)
    for width, height in ((65_500, 65_500), (10_001, 200)):
        yield Case("claimed size", f"JPEG {width}x{height}", containers.resized_jpeg(width, height), many)
    for width, height in ((1, 1), (5000, 1), (1, 5000), (99, 5000), (100, 99)):
        for write in (jpeg, png, webp):
            yield Case(
                "claimed size", f"{write.__name__} {width}x{height}", write(Image.new("RGB", (width, height))), small
            )
    for width, height in ((0, 0), (0, 200), (200, 0), (2**32 - 1, 200)):
        yield Case(
            "claimed size", f"PNG {width}x{height}", png_header(width, height) + pixels, UNDECODABLE | small | many
        )
        if width < 65536:
            yield Case(
                "claimed size", f"JPEG {width}x{height}", containers.resized_jpeg(width, height), UNDECODABLE | small
            )
    yield Case("claimed size", "PNG 10000x10000 without pixels", png_header(10_000, 10_000) + pixels, UNDECODABLE)
    # libjpeg fills the missing part before an end marker with grey, as browsers do.
    grey = containers.resized_jpeg(10_000, 10_000)
    yield Case("claimed size", "JPEG 10000x10000 without pixels", grey, TAKEN | UNDECODABLE)
    yield Case(
        "claimed size", "WebP 10000x10000 of 46 bytes", pictures.flat_webp(10_000, 10_000), TAKEN | {"too_heavy"}
    )
    noise = webp(PHOTOGRAPH.resize((600, 400)))
    grown = noise[:21] + struct.pack("<I", 9999 | 9999 << 14) + noise[25:]
    yield Case("claimed size", "WebP 10000x10000 with pixels of 600x400", grown, UNDECODABLE | {"too_heavy"})
