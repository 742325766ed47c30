"""Private metadata: the kinds found in every place of a file, and tolerance of broken structures."""

import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from proxy.imaging.containers import MAX_CHUNKS
from proxy.imaging.inspect import inspect
from proxy.imaging.privacy import Private, private_exif, private_metadata
from proxy.model import Format
from tests.camera import XMP, camera_exif, camera_jpeg
from tests.photographs import photograph
from tests.pictures import chunk, jpeg, png, webp
from tests.unit.proxy.imaging.reference import LIMITS, SNAPSHOT, on_disk, rendered, target

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
    "person shown": (b"<Iptc4xmpExt:PersonInImage/>", [AUTHOR]),
    "face": (b'mwg-rs:Name="Ada"', [AUTHOR]),
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


@pytest.mark.parametrize("before", range((1 << 20) - 4, (1 << 20) + 4))
def test_picture_is_found_at_the_border_of_what_is_searched_at_once(before: int) -> None:
    scan = JPEG.index(b"\xff\xda") + 4

    assert found(JPEG.ljust(scan + before, b"\0") + JPEG) == [PICTURE]


@pytest.mark.parametrize("file", [jpeg(COFFEE), png(COFFEE), webp(COFFEE), b"", b"GIF89a", b"RIFF"])
def test_empty_metadata_is_not_reported(file: bytes) -> None:
    assert found(file) == []


class TestBrokenMetadata:
    def test_truncated_file_raises_nothing(self) -> None:
        for file in (CAMERA[:3000], with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + XMP))[:300]):
            for end in range(0, len(file), 7):
                found(file[:end])

    @given(st.binary(max_size=300))
    def test_random_exif_raises_nothing(self, body: bytes) -> None:
        for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
            assert set(private_exif(start + body)) <= set(Private)

    @given(st.sampled_from([b"eXIf", b"zTXt", b"iTXt", b"tEXt"]), st.binary(max_size=200))
    def test_random_chunk_raises_nothing(self, kind: bytes, body: bytes) -> None:
        for start in (b"", b"XML:com.adobe.xmp\0\1", b"Raw profile type exif\0\0"):
            found(SIGNATURE + chunk(kind, start + body))

    def test_directory_that_points_to_itself_ends(self) -> None:
        entry = struct.pack(">HHII", 0x8769, 4, 1, 8)
        assert private_exif(b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + struct.pack(">I", 8)) == []

    def test_directory_of_65535_entries_and_huge_values_ends(self) -> None:
        entry = struct.pack(">HHII", BASE.Artist, 2, 0xFFFFFFFF, 8)
        assert private_exif(b"MM\0*\0\0\0\x08\xff\xff" + entry * 65535) == [AUTHOR]

    @pytest.mark.heavy
    def test_text_is_inflated_to_at_most_a_megabyte_and_once_per_keyword(self) -> None:
        def text(body: bytes) -> bytes:
            return chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(body))

        assert found(with_chunks(text(bytes(1_000_000) + XMP))) == [SERIAL]
        assert found(with_chunks(text(bytes(2 << 20) + XMP))) == []
        assert found(with_chunks(text(b""), text(XMP))) == []

    def test_only_the_first_twenty_thousand_chunks_are_read(self) -> None:
        empty = chunk(b"prVt", b"")
        assert found(with_chunks(*[empty] * (MAX_CHUNKS - 9), chunk(b"tIME", bytes(7)))) == [TIME]
        assert found(with_chunks(*[empty] * MAX_CHUNKS, chunk(b"tIME", bytes(7)))) == []

    def test_only_the_first_megabytes_are_read(self) -> None:
        padding = chunk(b"tEXt", b"Comment\0" + bytes(1 << 20))
        assert found(with_chunks(*[padding] * 3, chunk(b"tIME", bytes(7)))) == [TIME, COMMENTS]
        assert found(with_chunks(*[padding] * 5, chunk(b"tIME", bytes(7)))) == [COMMENTS]

    @pytest.mark.parametrize("body", [b"garbage", b"MM\0*\0\0\0\x08\xff\xff", bytes(60_000)])
    def test_random_metadata_fails_no_inspection(self, body: bytes) -> None:
        with on_disk(with_segments(segment(0xE1, b"Exif\0\0" + body))) as path:
            assert inspect(path, LIMITS).format == "jpeg"


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
