"""Files with given metadata, and the kinds that are found in a file."""

import struct

from PIL import ExifTags, Image

from proxy.imaging.privacy import Private, private_metadata
from tests.camera import camera_jpeg
from tests.photographs import photograph
from tests.pictures import jpeg, png
from tests.unit.proxy.imaging.reference import SNAPSHOT, on_disk

COFFEE = photograph("coffee.png").resize((120, 100))


JPEG, PNG = jpeg(COFFEE), png(COFFEE)


CAMERA = camera_jpeg(size=SNAPSHOT)


SIGNATURE = b"\x89PNG\r\n\x1a\n"


LOCATION, SERIAL, AUTHOR, TIME, DEVICE, COMMENTS, THUMBNAIL, PROVENANCE, PICTURE = Private


BASE, GPS = ExifTags.Base, ExifTags.GPS


def found(file: bytes) -> list[Private]:
    with on_disk(file) as path:
        return private_metadata(path)


def exif(tag: int, value: object, directory: int | None = None) -> Image.Exif:
    made = Image.Exif()
    if directory is None:
        made[tag] = value
    else:
        made[directory] = {tag: value}
    return made


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def with_chunks(*chunks: bytes, at_the_end: bool = False) -> bytes:
    place = len(PNG) - 12 if at_the_end else 8 + 25
    return PNG[:place] + b"".join(chunks) + PNG[place:]


def iptc(dataset: int, value: bytes) -> bytes:
    record = b"\x1c\x02" + bytes([dataset]) + struct.pack(">H", len(value)) + value
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record + b"\0" * (len(record) % 2)


def hexadecimal(name: str, body: bytes) -> bytes:
    """A raw profile as ImageMagick writes it."""
    return f"\n{name}\n{len(body):8d}\n{body.hex()}\n".encode()
