"""Variants contain no metadata: no location, serial number, profile or comment."""

import struct

import pytest
from PIL import ExifTags

from proxy.model import Fit, Format
from tests.camera import COMMENT, GPS_DATE, SERIAL_NUMBER, XMP, camera_exif, camera_jpeg
from tests.icc_profiles import DISPLAY_P3
from tests.photographs import photograph
from tests.pictures import chunk, disc, jpeg, png, webp
from tests.unit.proxy.imaging.reference import SNAPSHOT, decoded, rendered, target, with_decoders

TELLTALES = [
    b"Exif",
    b"EXIF",
    b"ICC_PROFILE",
    b"iCCP",
    b"ICCP",
    b"prof",
    b"XMP",
    b"xmpmeta",
    b"http://ns.adobe.com",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"mime",
    b"Obscura",
    b"Display P3",
    b"<?php",
    SERIAL_NUMBER.encode(),
    GPS_DATE.encode(),
    COMMENT.encode(),
]
PICTURE_SEGMENTS = {0xE0, 0xDB, 0xC2, 0xC4, 0xDA}  # JFIF, quantisation, progressive frame, Huffman tables, scan
PICTURE_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
PICTURE_RIFF = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}


def text_chunks() -> bytes:
    return chunk(b"tEXt", b"Comment\0" + COMMENT.encode()) + chunk(b"tIME", struct.pack(">H5B", 2024, 1, 1, 0, 0, 0))


def with_chunks(file: bytes, chunks: bytes) -> bytes:
    after_header = 8 + 25
    return file[:after_header] + chunks + file[after_header:]


COFFEE, GREY = photograph("coffee.png").resize((180, 120)), photograph("camera.png").resize((150, 150))
EVERYTHING = {"exif": camera_exif(), "icc_profile": DISPLAY_P3, "xmp": XMP}
CAMERA, SIDEWAYS = camera_jpeg(size=SNAPSHOT), camera_jpeg(6, SNAPSHOT)
ORIGINALS = {
    "camera": CAMERA,
    "camera, upright": camera_jpeg(8, SNAPSHOT),
    "jpeg": jpeg(COFFEE, **EVERYTHING, comment=COMMENT) + b"<?php phpinfo();",
    "png": with_chunks(png(COFFEE, exif=camera_exif(), icc_profile=DISPLAY_P3), text_chunks()) + b"<?php phpinfo();",
    "transparent png": with_chunks(png(disc((9, 9, 200), 150), exif=camera_exif()), text_chunks()),
    "grey png": with_chunks(png(GREY, exif=camera_exif()), text_chunks()),
    "flat png": with_chunks(png(COFFEE.quantize(9), exif=camera_exif()), text_chunks()),
    "webp": webp(COFFEE, **EVERYTHING),
    "transparent webp": webp(disc((9, 9, 200), 150), **EVERYTHING),
}


def jpeg_segments(file: bytes) -> set[int]:
    """The kinds of all segments. Asserts that the end marker occurs once, at the end of the file."""
    kinds, position = set(), 2
    while (kind := file[position + 1]) != 0xD9:
        assert file[position] == 0xFF
        kinds.add(kind)
        position += 2 + int.from_bytes(file[position + 2 : position + 4], "big")
        while kind == 0xDA and not (file[position] == 0xFF and file[position + 1] != 0):
            position += 1
    assert file[position:] == b"\xff\xd9"
    return kinds


def png_chunks(file: bytes) -> set[bytes]:
    kinds, position = set(), 8
    while position < len(file):
        kinds.add(file[position + 4 : position + 8])
        position += 12 + int.from_bytes(file[position : position + 4], "big")
    assert position == len(file)
    assert file[-8:-4] == b"IEND"
    return kinds


def riff_chunks(file: bytes) -> set[bytes]:
    assert int.from_bytes(file[4:8], "little") == len(file) - 8
    kinds, position = set(), 12
    while position < len(file):
        kinds.add(file[position : position + 4])
        size = int.from_bytes(file[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
    return kinds


@pytest.mark.promise("A11")
@pytest.mark.parametrize(("original", "decoder"), with_decoders(ORIGINALS), indirect=["decoder"])
def test_variant_contains_no_metadata_of_its_original(original: bytes, decoder: str) -> None:
    files = rendered(original, *(target(150, 150, format) for format in Format))

    assert [
        (format, said) for format, file in zip(Format, files, strict=True) for said in TELLTALES if said in file
    ] == []


@pytest.mark.promise("A11")
@pytest.mark.parametrize("original", ORIGINALS.values(), ids=ORIGINALS)
def test_variant_has_only_segments_of_image_data(original: bytes) -> None:
    as_jpeg, as_png, as_webp = rendered(
        original, *(target(150, 150, format) for format in (Format.JPG, Format.PNG, Format.WEBP))
    )

    assert jpeg_segments(as_jpeg) == PICTURE_SEGMENTS
    assert png_chunks(as_png) <= PICTURE_CHUNKS
    assert riff_chunks(as_webp) <= PICTURE_RIFF


@pytest.mark.parametrize("original", ORIGINALS.values(), ids=ORIGINALS)
def test_original_contains_the_telltales(original: bytes) -> None:
    assert SERIAL_NUMBER.encode() in original
    assert GPS_DATE.encode() in original


@pytest.mark.promise("A10")
@pytest.mark.parametrize("format", Format)
def test_kept_exif_loses_its_orientation(format: Format) -> None:
    (file,) = rendered(SIDEWAYS, target(150, 150, format, keep_exif=True))

    exif = decoded(file).getexif()
    assert exif[ExifTags.Base.Make] == "Darkroom"
    assert exif[ExifTags.Base.Model] == "Obscura 2"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] == SERIAL_NUMBER
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.0)
    assert ExifTags.Base.Orientation not in exif


@pytest.mark.parametrize("format", Format)
def test_kept_exif_keeps_no_other_metadata(format: Format) -> None:
    (file,) = rendered(CAMERA, target(150, 150, format, keep_exif=True))

    assert [
        said for said in (b"ICC_PROFILE", b"iCCP", b"xmpmeta", b"Display P3", COMMENT.encode()) if said in file
    ] == []


@pytest.mark.parametrize("format", Format)
def test_keeping_exif_changes_no_pixel(format: Format) -> None:
    kept, stripped = rendered(CAMERA, target(150, 150, format, keep_exif=True), target(150, 150, format))

    assert decoded(kept).tobytes() == decoded(stripped).tobytes()


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff"])
@pytest.mark.parametrize("format", Format)
def test_exif_that_cannot_be_written_is_dropped(format: Format, exif: bytes) -> None:
    original = jpeg(COFFEE, exif=exif)

    (file,) = rendered(original, target(150, 150, format, keep_exif=True))

    assert len(decoded(file).getexif()) == 0


def test_keeping_exif_adds_none_to_an_image_without_exif() -> None:
    image = png(COFFEE)

    assert rendered(image, target(150, 150, keep_exif=True)) == rendered(image, target(150, 150))


@pytest.mark.parametrize("format", Format)
def test_kept_exif_is_true_of_the_variant(format: Format) -> None:
    exif = camera_exif(6)
    exif[ExifTags.Base.ImageWidth], exif[ExifTags.Base.ImageLength] = 180, 120
    exif[ExifTags.Base.WhitePoint] = (0.3127, 0.329)
    exif[ExifTags.Base.PrimaryChromaticities] = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    exif[ExifTags.Base.YCbCrCoefficients] = (0.299, 0.587, 0.114)
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.BodySerialNumber: SERIAL_NUMBER,
        ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.ColorSpace: 65535,
        ExifTags.Base.Gamma: 2.2,
        ExifTags.Base.ExifImageWidth: 180,
        ExifTags.Base.ExifImageHeight: 120,
        ExifTags.Base.SubjectLocation: (90, 60),
        ExifTags.Base.FocalPlaneXResolution: 5798.6,
        ExifTags.Base.FocalPlaneResolutionUnit: 2,
        ExifTags.IFD.Interop: {ExifTags.Interop.InteropIndex: "R03"},
    }
    original = jpeg(COFFEE, exif=exif, icc_profile=DISPLAY_P3)

    (file,) = rendered(original, target(100, None, format, fit=Fit.INSIDE, keep_exif=True))

    kept = decoded(file).getexif()
    directory = kept.get_ifd(ExifTags.IFD.Exif)
    assert kept[ExifTags.Base.Make] == "Darkroom"
    assert set(kept) == {ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}
    assert directory == {
        ExifTags.Base.BodySerialNumber: SERIAL_NUMBER,
        ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.ColorSpace: 1,
        ExifTags.Base.ExifImageWidth: 100,
        ExifTags.Base.ExifImageHeight: 150,
    }
    assert b"R03" not in file


def test_kept_exif_has_no_thumbnail() -> None:
    thumbnail = jpeg(COFFEE.resize((16, 16)))
    make = struct.pack(">HHI4s", ExifTags.Base.Make, 2, 4, b"Cam\0")
    entries = [struct.pack(">HHII", tag, 4, 1, value) for tag, value in ((0x201, 56), (0x202, len(thumbnail)))]
    first = b"\0\1" + make + struct.pack(">I", 26)
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08" + first + (b"\0\2" + b"".join(entries) + bytes(4)) + thumbnail

    (file,) = rendered(jpeg(COFFEE, exif=exif), target(100, 100, Format.JPG, keep_exif=True))

    assert decoded(file).getexif()[ExifTags.Base.Make] == "Cam"
    assert not decoded(file).getexif().get_ifd(ExifTags.IFD.IFD1)
    assert file.count(b"\xff\xd8\xff") == 1
