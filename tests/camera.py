"""Camera files: orientation, EXIF, XMP, and a photograph with all of them."""

import struct
from functools import cache

from PIL import ExifTags, Image

from tests.icc_profiles import DISPLAY_P3
from tests.photographs import COLOR_PHOTOGRAPHS, photograph
from tests.pictures import jpeg, png, webp

SERIAL_NUMBER = "SN-4711-0815"
GPS_DATE = "1999:12:31"
COMMENT = "shot through the window"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" aux:SerialNumber="SN-4711-0815"/>'
    b"</rdf:RDF></x:xmpmeta>"
)

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
    """Encodes `upright` so that its EXIF orientation (1 to 8) restores it."""
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
    """EXIF with a text as orientation, as in known attacks on programs that print it."""
    entry = struct.pack(">HHII", ExifTags.Base.Orientation, 2, len(text) + 1, 26)
    return b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0" + text + b"\0"


@cache
def camera_jpeg(orientation: int = 1, size: tuple[int, int] = (4032, 3024)) -> bytes:
    """A detailed JPEG as a phone saves it: Display P3, EXIF with location and serial number, XMP, a comment.

    Twelve megapixels take a fifth of a second to decode: pass a small `size` if pixels do not matter.
    """
    mosaic = Image.new("RGB", size)
    tiles = [photograph(name) for name in COLOR_PHOTOGRAPHS]
    step = (240, 199)  # of the smallest tile
    for row, top in enumerate(range(0, mosaic.height, step[1])):
        for column, left in enumerate(range(0, mosaic.width, step[0])):
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
