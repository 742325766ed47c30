"""Containers with extreme contents: many chunks, decompression bombs, profiles, EXIF, frames, odd markers."""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from proxy.imaging.containers import MAX_CHUNKS
from proxy.imaging.header import MAX_MARKERS
from proxy.imaging.limits import MAX_SCANS
from tests import pictures
from tests.camera import exif_with_text_orientation
from tests.icc_profiles import DISPLAY_P3, press_profile
from tests.photographs import photograph
from tests.pictures import chunk, jpeg, jpeg_of_scans, png, webp

Files = Iterator[tuple[str, bytes, str | tuple[str, ...]]]
"""Names, contents, and the allowed results."""

PLAIN = Image.linear_gradient("L").resize((120, 110)).convert("RGB")


def floods() -> Files:
    """As many segments or chunks as fit into ten megabytes. Pillow alone spends minutes on some of them."""
    whole_png, whole_jpeg = png(PLAIN), jpeg(PLAIN)
    deep = pictures.raw_png(np.full((110, 120, 3), 40_000), 16)
    pixels = deep.index(b"IDAT") - 4
    text, empty = chunk(b"tEXt", b""), chunk(b"IDAT", b"")
    yield "PNG of 800,000 chunks before its pixels", whole_png[:33] + text * 800_000 + whole_png[33:], "undecodable"
    yield "PNG of 800,000 chunks behind them", whole_png[:-12] + text * 800_000 + whole_png[-12:], "undecodable"
    yield "PNG of 700,000 pieces", whole_png[:33] + empty * 700_000 + whole_png[33:], "undecodable"
    yield "deep PNG of 700,000 pieces", deep[:pixels] + empty * 700_000 + deep[pixels:], "undecodable"
    yield "deep PNG of as many as may be", deep[:pixels] + empty * (MAX_CHUNKS - 3) + deep[pixels:], "accepted"
    yield "JPEG of 9 MB of fill bytes", whole_jpeg[:2] + b"\xff" * 9_000_000 + whole_jpeg[2:], "undecodable"
    yield "JPEG of two million comments", _before(whole_jpeg, b"\xff\xfe\0\2" * 2_000_000), "undecodable"
    yield "JPEG of as many EXIF as may be", _before(whole_jpeg, _exif(20_000) * (MAX_MARKERS - 10)), "accepted"
    yield "JPEG of restarts at its end", whole_jpeg[:-2] + b"\xff\xd0" * 4_000_000 + b"\xff\xd9", "accepted"
    yield "JPEG of too many scans", jpeg_of_scans(photograph("coffee.png"), MAX_SCANS + 1), "undecodable"
    yield "JPEG of as many scans as may be", jpeg_of_scans(PLAIN, MAX_SCANS), "accepted"
    yield "large JPEG of 40 scans", jpeg_of_scans(Image.new("L", (10_000, 5_000)), 40), "undecodable"
    yield "WebP of a million chunks", _riff(_canvas(0), (b"ABCD", b""), times=1_000_000), "undecodable"
    yield "WebP of 100,000 frames of 10000x10000", _frames(100_000, 10_000), ("accepted", "too_heavy")


def bombs() -> Files:
    """A hundred megabytes, compressed to a hundred kilobytes, in each compressed part of a file."""
    whole = png(PLAIN)
    packed = zlib.compress(bytes(100_000_000), 9)
    yield "zTXt", _inside(whole, b"zTXt", b"Comment\0\0" + packed), "undecodable"
    yield "iTXt", _inside(whole, b"iTXt", b"Comment\0\1\0\0\0" + packed), "undecodable"
    yield "iCCP", _inside(whole, b"iCCP", b"profile\0\0" + packed), "undecodable"
    yield (
        "IDAT longer than its picture",
        whole[:33] + chunk(b"IDAT", packed) + chunk(b"IEND", b""),
        ("accepted", "undecodable"),
    )
    yield (
        "400 zTXt of a megabyte",
        _inside(whole, b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9), 400),
        "undecodable",
    )


def metadata() -> Files:
    """Huge or invalid EXIF and profiles, which are ignored, as viewers do."""
    whole = png(PLAIN)
    entries = b"MM\0\x2a\0\0\0\x08\xff\xff" + struct.pack(">HHII", 0x9286, 1, 4_000_000, 100) * 65_535
    yield "JPEG with EXIF of 9 MB", _before(jpeg(PLAIN), _exif(65_500) * 140), "accepted"
    yield "PNG with EXIF of 9 MB", _inside(whole, b"eXIf", b"MM\0\x2a\0\0\0\x08" + bytes(9_000_000)), "accepted"
    yield "PNG with EXIF of 65,535 entries", _inside(whole, b"eXIf", entries + bytes(4_000_000)), "accepted"
    yield "PNG with EXIF that refers to itself", _inside(whole, b"eXIf", _circular()), "accepted"
    profiles = {
        "empty": b"",
        "short": b"\0" * 20,
        "cut": DISPLAY_P3[:200],
        "noise": b"\xff" * 3000,
        "of inks": press_profile(),
        "of a length that is a lie": b"\xff\xff\xff\xff" + DISPLAY_P3[4:],
        "of tags outside": DISPLAY_P3[:132] + b"\xff" * 100 + DISPLAY_P3[232:],
    }
    for name, profile in profiles.items():
        for write in (jpeg, png, webp):
            yield f"{write.__name__} with a profile {name}", write(PLAIN, icc_profile=profile), "accepted"
    large = DISPLAY_P3 + bytes(3_000_000)
    yield "JPEG with a profile of 3 MB", jpeg(PLAIN, icc_profile=large), "accepted"
    yield "PNG with a profile of 3 MB", png(PLAIN, icc_profile=large), "undecodable"  # Pillow unpacks one of them
    for text in (b"6", b"<?php echo 1;", b"\xff" * 100):
        exif = exif_with_text_orientation(text)
        yield f"JPEG with the orientation {text[:9]!r}", jpeg(PLAIN, exif=exif), "accepted"


def frames() -> Files:
    """Several images in one file: the first counts."""
    whole = png(PLAIN)
    others = [PLAIN.rotate(angle) for angle in (90, 180)]
    yield "MPO", pictures.save(PLAIN, "MPO", save_all=True, append_images=others), "accepted"
    yield "APNG", pictures.animated(PLAIN, "PNG"), "accepted"
    yield "animated WebP", pictures.animated(PLAIN, "WEBP"), "accepted"
    yield "APNG that claims 2**31 frames", _inside(whole, b"acTL", (2**31).to_bytes(4) + bytes(4)), "accepted"
    yield "WebP of 20,000 frames", _frames(20_000, 120), "accepted"
    yield "WebP of frames outside its canvas", _frames(3, 14), ("undecodable", "too_small")


def inks() -> Files:
    """CMYK, whose meaning depends on one byte of a marker, which programs write, omit or get wrong."""
    photo = photograph("coffee.png").resize((160, 110)).convert("CMYK")
    whole = jpeg(photo)
    at = whole.index(b"Adobe")
    for value in (0, 1, 2, 3, 128, 255):
        yield f"transform {value}", whole[: at + 11] + bytes([value]) + whole[at + 12 :], "accepted"
    yield "without the marker", pictures.unmarked_cmyk_jpeg(photo), "accepted"
    yield "with the marker twice", whole[: at + 12] + whole[at - 4 : at + 12] + whole[at + 12 :], "accepted"
    yield "with half of the marker", whole[: at - 2] + b"\0\x09" + whole[at : at + 7] + whole[at + 12 :], "accepted"
    yield "YCCK", pictures.ycck_jpeg(photo), "accepted"


def resized_jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    whole = bytearray(jpeg(PLAIN))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


def _inside(whole: bytes, kind: bytes, body: bytes, times: int = 1) -> bytes:
    return whole[:33] + chunk(kind, body) * times + whole[33:]


def _before(whole: bytes, segments: bytes) -> bytes:
    return whole[:2] + segments + whole[2:]


def _exif(size: int) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", size + 2) + b"Exif\0\0MM\0\x2a\0\0\0\x08".ljust(size, b"\0")


def _circular() -> bytes:
    """An EXIF directory that refers to itself as the next directory and as its own EXIF."""
    return b"MM\0\x2a\0\0\0\x08\0\1" + struct.pack(">HHII", 0x8769, 4, 1, 8) + struct.pack(">I", 8)


def _canvas(flags: int, side: int = 120) -> tuple[bytes, bytes]:
    return b"VP8X", struct.pack("<I", flags) + (side - 1).to_bytes(3, "little") * 2


def _riff(first: tuple[bytes, bytes], *chunks: tuple[bytes, bytes], times: int) -> bytes:
    def packed(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    body = b"WEBP" + packed(*first) + b"".join(packed(*each) for each in chunks[:-1]) + packed(*chunks[-1]) * times
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _frames(count: int, side: int) -> bytes:
    picture = webp(Image.new("RGBA", (16, 16), (200, 30, 30, 128)))[12:]
    frame = bytes(6) + (15).to_bytes(3, "little") * 2 + (10).to_bytes(3, "little") + b"\0" + picture
    return _riff(_canvas(0x12, side), (b"ANIM", bytes(6)), (b"ANMF", frame), times=count)


GROUPS: Mapping[str, Callable[[], Files]] = MappingProxyType(
    {"flood": floods, "bomb": bombs, "metadata": metadata, "frames": frames, "CMYK": inks}
)
