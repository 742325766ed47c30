"""Private metadata: the kinds found in every place of a file, and tolerance of broken structures."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import ExifTags, Image

from proxy.imaging.inspect import inspect
from proxy.imaging.privacy import Private, private_exif
from proxy.model import Format
from tests.camera import XMP, camera_exif
from tests.pictures import chunk, jpeg, png, webp
from tests.unit.proxy.imaging.metadata_files import (
    AUTHOR,
    BASE,
    CAMERA,
    COFFEE,
    COMMENTS,
    DEVICE,
    GPS,
    JPEG,
    LOCATION,
    PICTURE,
    PROVENANCE,
    SERIAL,
    THUMBNAIL,
    TIME,
    exif,
    found,
    hexadecimal,
    iptc,
    segment,
    with_chunks,
    with_segments,
)
from tests.unit.proxy.imaging.reference import LIMITS, on_disk, rendered, target

EXIF = {
    "latitude": (exif(GPS.GPSLatitude, (52.0, 31.0, 12.0), ExifTags.IFD.GPSInfo), [LOCATION]),
    "name of the place": (exif(GPS.GPSAreaInformation, b"ASCII\0\0\0Berlin", ExifTags.IFD.GPSInfo), [LOCATION]),
    "GPS version alone": (exif(GPS.GPSVersionID, b"\2\3\0\0", ExifTags.IFD.GPSInfo), []),
    "date by GPS": (exif(GPS.GPSDateStamp, "1999:12:31", ExifTags.IFD.GPSInfo), [TIME]),
    "body": (exif(BASE.BodySerialNumber, "4711", ExifTags.IFD.Exif), [SERIAL]),
    "lens": (exif(BASE.LensSerialNumber, "0815-0815", ExifTags.IFD.Exif), [SERIAL]),
    "maker note": (exif(BASE.MakerNote, b"Nikon\0\2\x10", ExifTags.IFD.Exif), [SERIAL]),
    "artist": (exif(BASE.Artist, "Ada Lovelace"), [AUTHOR]),
    "copyright": (exif(BASE.Copyright, "(c) Ada"), [AUTHOR]),
    "Windows' author": (exif(BASE.XPAuthor, "Ada".encode("utf-16-le")), [AUTHOR]),
    "owner": (exif(BASE.CameraOwnerName, "Ada", ExifTags.IFD.Exif), [AUTHOR]),
    "date": (exif(BASE.DateTime, "2024:01:01 00:00:00"), [TIME]),
    "original date": (exif(BASE.DateTimeOriginal, "2024:01:01 00:00:00", ExifTags.IFD.Exif), [TIME]),
    "make": (exif(BASE.Make, "Darkroom"), [DEVICE]),
    "program": (exif(BASE.Software, "17.2"), [DEVICE]),
    "photographer": (exif(0xA437, "Ada", ExifTags.IFD.Exif), [AUTHOR]),
    "image's title": (exif(0xA436, "At home", ExifTags.IFD.Exif), [COMMENTS]),
    "firmware": (exif(0xA439, "1.0", ExifTags.IFD.Exif), [DEVICE]),
    "altitude": (exif(GPS.GPSAltitude, 34.0, ExifTags.IFD.GPSInfo), [LOCATION]),
    "description": (exif(BASE.ImageDescription, "At home"), [COMMENTS]),
    "user comment": (exif(BASE.UserComment, b"ASCII\0\0\0at home", ExifTags.IFD.Exif), [COMMENTS]),
    "user comment of nothing": (exif(BASE.UserComment, b"ASCII\0\0\0" + bytes(32), ExifTags.IFD.Exif), []),
    "blank artist": (exif(BASE.Artist, " " * 20), []),
    "orientation": (exif(BASE.Orientation, 6), []),
    "speed": (exif(BASE.ISOSpeedRatings, 400, ExifTags.IFD.Exif), []),
}


@pytest.mark.parametrize(("written", "kinds"), EXIF.values(), ids=EXIF)
def test_exif_kinds_are_found_in_every_format(written: Image.Exif, kinds: list[Private]) -> None:
    assert [found(write(COFFEE, exif=written)) for write in (jpeg, png, webp)] == [kinds] * 3


@pytest.mark.parametrize("order", ["<", ">"])
def test_thumbnail_in_the_second_directory_is_found_in_either_byte_order(order: str) -> None:
    entry = struct.pack(order + "HHII", 0x0201, 4, 1, 64)
    first, second = struct.pack(order + "HI", 0, 14), struct.pack(order + "H", 1) + entry + bytes(4)
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + first + second
    filled = tiff.replace(
        struct.pack(order + "HI", 0, 14), struct.pack(order + "H", 1) + bytes(12) + struct.pack(order + "I", 26)
    )

    assert found(with_segments(segment(0xE1, b"Exif\0\0" + filled))) == [THUMBNAIL]


XMPS = {
    "location": (b'exif:GPSLatitude="52,31.2N"', [LOCATION]),
    "city": (b"<photoshop:City>Berlin</photoshop:City>", [LOCATION]),
    "country": (b'photoshop:Country="Atlantis"', [LOCATION]),
    "place shown": (b"<Iptc4xmpExt:LocationShown/>", [LOCATION]),
    "city under another prefix": (
        b'<a xmlns:ps="http://ns.adobe.com/photoshop/1.0/"><ps:City>Berlin</ps:City></a>',
        [LOCATION],
    ),
    "city in UTF-16": ("<photoshop:City>Berlin</photoshop:City>".encode("utf-16"), [LOCATION]),
    "photographer": (b'exifEX:Photographer="Ada"', [AUTHOR]),
    "history": (b'stEvt:softwareAgent="Editor" stEvt:when="2024-01-01"', [TIME, DEVICE]),
    "motion photo": (b'GCamera:MotionPhoto="1"', [PICTURE]),
    "embedded image": (b'GImage:Data="/9j/"', [PICTURE]),
    "person shown": (b"<Iptc4xmpExt:PersonInImage/>", [AUTHOR]),
    "face": (b'mwg-rs:Name="Ada"', [AUTHOR]),
    "position of a drone": (b'drone-dji:GpsLongtitude="13.4"', [LOCATION]),
    "place in plain words": (b'<a:spatial xmlns:a="http://purl.org/dc/terms/">Berlin</a:spatial>', [LOCATION]),
    "rights of a page": (b'xmpRights:WebStatement="https://ada.example"', [AUTHOR]),
    "time of a position": (b'exif:GPSTimeStamp="2024-01-01"', [TIME]),
    "panorama": (b'GPano:FirstPhotoDate="2024-01-01" GPano:StitchingSoftware="Sew"', [TIME, DEVICE]),
    "description for the blind": (b"<Iptc4xmpCore:AltTextAccessibility/>", [COMMENTS]),
    "made by a machine": (b'Iptc4xmpExt:DigitalSourceType="trainedAlgorithmicMedia"', [PROVENANCE]),
    "provenance": (b'dcterms:provenance="https://example.com/a.c2pa"', [PROVENANCE]),
    "serial": (XMP, [SERIAL]),
    "author": (b"<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li></rdf:Seq></dc:creator>", [AUTHOR]),
    "time": (b'xmp:CreateDate="2024-01-01"', [TIME]),
    "device": (b'tiff:Model="Obscura 2"', [DEVICE]),
    "comments": (b"<dc:description>At home</dc:description>", [COMMENTS]),
    "thumbnail": (b"<xmpGImg:image>/9j/</xmpGImg:image>", [THUMBNAIL]),
    "nothing": (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', []),
    "many names": (b'<!DOCTYPE a [<!ENTITY b "&b;&b;">]> dc:title dc:rights', [AUTHOR, COMMENTS]),
}


@pytest.mark.parametrize(("xmp", "kinds"), XMPS.values(), ids=XMPS)
def test_xmp_kinds_are_found_in_every_format(xmp: bytes, kinds: list[Private]) -> None:
    keyword = b"XML:com.adobe.xmp\0"
    files = [
        jpeg(COFFEE, xmp=xmp),
        webp(COFFEE, xmp=xmp),
        with_segments(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + xmp)),
        with_chunks(chunk(b"iTXt", keyword + b"\0\0\0\0" + xmp)),
        with_chunks(chunk(b"iTXt", keyword + b"\1\0\0\0" + zlib.compress(xmp)), at_the_end=True),
        with_chunks(chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(hexadecimal("xmp", xmp)))),
    ]

    assert [found(file) for file in files] == [kinds] * len(files)


IPTC = {90: [LOCATION], 80: [AUTHOR], 116: [AUTHOR], 55: [TIME], 65: [DEVICE], 120: [COMMENTS], 0: [], 200: []}


@pytest.mark.parametrize(("dataset", "kinds"), IPTC.items())
def test_iptc_kinds_are_found(dataset: int, kinds: list[Private]) -> None:
    body = iptc(dataset, b"Ada")

    assert found(with_segments(segment(0xED, b"Photoshop 3.0\0" + body))) == kinds
    raw = chunk(b"tEXt", b"Raw profile type iptc\0" + hexadecimal("iptc", body))
    assert found(with_chunks(raw)) == kinds


def test_photoshop_thumbnail_is_found() -> None:
    assert found(with_segments(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x0c\0\0" + bytes(30)))) == [THUMBNAIL]


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (b"JFXX\0\x10\xff\xd8\xff\xd9", [THUMBNAIL]),
        (b"JFIF\0\1\2\0\0\1\0\1\1\1rgb", [THUMBNAIL]),
        (b"JFIF\0\1\2\0\0\1\0\1\0\0", []),
    ],
)
def test_thumbnail_in_jfif_is_found(body: bytes, kinds: list[Private]) -> None:
    assert found(with_segments(segment(0xE0, body))) == kinds


@pytest.mark.parametrize("name", [b"exif", b"APP1"])
def test_exif_in_a_raw_profile_is_found(name: bytes) -> None:
    body = b"Exif\0\0" + camera_exif().tobytes().removeprefix(b"Exif\0\0")
    text = chunk(b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(hexadecimal("exif", body)))

    assert found(with_chunks(text)) == [LOCATION, SERIAL, TIME, DEVICE]


TEXTS = {b"Author": AUTHOR, b"Copyright": AUTHOR, b"Creation Time": TIME, b"Software": DEVICE, b"parameters": COMMENTS}


@pytest.mark.parametrize(("keyword", "kind"), TEXTS.items())
@pytest.mark.parametrize("at_the_end", [False, True])
def test_png_text_is_found_before_and_after_the_pixels(keyword: bytes, kind: Private, at_the_end: bool) -> None:
    kinds = [
        found(with_chunks(chunk(b"tEXt", keyword + b"\0something"), at_the_end=at_the_end)),
        found(with_chunks(chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(b"something")), at_the_end=at_the_end)),
        found(with_chunks(chunk(b"iTXt", keyword + b"\0\0\0\0\0something"), at_the_end=at_the_end)),
    ]

    assert kinds == [[kind]] * 3


def test_png_time_and_comments_are_found() -> None:
    assert found(with_chunks(chunk(b"tIME", bytes(7)))) == [TIME]
    assert found(jpeg(COFFEE, comment=b"at home")) == [COMMENTS]
    assert found(jpeg(COFFEE, comment=b" \0")) == []
    assert found(with_chunks(chunk(b"eXIf", camera_exif().tobytes().removeprefix(b"Exif\0\0")), at_the_end=True)) == [
        LOCATION,
        SERIAL,
        TIME,
        DEVICE,
    ]


@pytest.mark.parametrize(
    "file",
    [
        with_segments(segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa" + bytes(20))),
        with_chunks(chunk(b"caBX", b"jumb"), at_the_end=True),
        webp(COFFEE) + b"C2PA\4\0\0\0jumb",
    ],
)
def test_content_credentials_are_found(file: bytes) -> None:
    assert found(file) == [PROVENANCE]


def test_other_boxes_of_metadata_are_no_provenance() -> None:
    assert found(with_segments(segment(0xEB, b"JP\0\1" + bytes(100)))) == []


def test_metadata_of_pictures_behind_the_first_is_found() -> None:
    position = exif(GPS.GPSLatitude, (52.0, 31.0, 2.0), ExifTags.IFD.GPSInfo)
    behind = [jpeg(COFFEE), jpeg(COFFEE, exif=position)]

    assert found(JPEG + behind[0]) == [PICTURE]
    assert found(JPEG + behind[1]) == [LOCATION, PICTURE]
    assert found(jpeg(COFFEE, progressive=True) + bytes(1 << 20) + behind[0] + b"\xff" * 9 + behind[1]) == [
        LOCATION,
        PICTURE,
    ]


VIDEO = b"\0\0\0\x18ftypmp42" + bytes(100)


@pytest.mark.parametrize("behind", [JPEG, png(COFFEE)[-500:], VIDEO], ids=["picture", "rest of a PNG", "video"])
@pytest.mark.parametrize("whole", [JPEG, png(COFFEE), webp(COFFEE)], ids=["JPEG", "PNG", "WebP"])
def test_picture_or_video_behind_the_pixels_is_found(whole: bytes, behind: bytes) -> None:
    assert found(whole + bytes(100)) == []
    expected = [] if whole == JPEG and behind.endswith(b"IEND\xaeB`\x82") else [PICTURE]
    assert found(whole + bytes(100) + behind) == expected


@pytest.mark.parametrize("before", range((1 << 20) - 4, (1 << 20) + 4))
def test_picture_is_found_at_the_border_of_two_search_windows(before: int) -> None:
    scan = JPEG.index(b"\xff\xda") + 4

    assert found(JPEG.ljust(scan + before, b"\0") + JPEG) == [PICTURE]


@pytest.mark.parametrize("file", [jpeg(COFFEE), png(COFFEE), webp(COFFEE), b"", b"GIF89a", b"RIFF"])
def test_empty_metadata_is_not_reported(file: bytes) -> None:
    assert found(file) == []


class TestInspection:
    def test_inspection_lists_private_kinds_and_those_in_exif(self) -> None:
        with on_disk(CAMERA) as path:
            seen = inspect(path, LIMITS)

        assert seen.private == ["location", "serial", "time", "device", "comments"]
        assert seen.private_exif == ["location", "serial", "time", "device"]

    @pytest.mark.parametrize("format", Format)
    def test_private_exif_lists_the_kinds_that_variants_keep(self, format: Format) -> None:
        with on_disk(CAMERA) as path:
            seen = inspect(path, LIMITS)
        kept, stripped = rendered(CAMERA, target(150, 150, format, keep_exif=True), target(150, 150, format))

        with Image.open(BytesIO(kept)) as variant:
            assert private_exif(variant.info["exif"]) == seen.private_exif
        if format is not Format.AVIF:
            assert found(kept) == seen.private_exif
            assert found(stripped) == []

    def test_only_sixteen_pictures_are_read(self) -> None:
        dated = with_segments(segment(0xFE, b"hello"))
        assert found(JPEG * 15 + dated) == [COMMENTS, PICTURE]
        assert found(JPEG * 16 + dated) == [PICTURE]
