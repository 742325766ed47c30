"""The header reader: agrees with Pillow on sound files, and is fast on any file."""

import struct
from io import BytesIO
from pathlib import Path
from time import process_time
from types import MappingProxyType
from warnings import catch_warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.memory_originals import ORIGINALS
from proxy.errors import Undecodable
from proxy.imaging.header import MAX_MARKERS, Header, read_header
from tests.camera import camera_exif, camera_jpeg, oriented
from tests.icc_profiles import DISPLAY_P3
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS, photograph, photograph_bytes
from tests.pictures import (
    animated,
    chunk,
    disc,
    flat_webp,
    jpeg,
    jpeg_of_scans,
    png,
    png_header,
    raw_png,
    save,
    unmarked_cmyk_jpeg,
    webp,
    ycck_jpeg,
)
from tests.unit.proxy.imaging.reference import SNAPSHOT, on_disk

PHOTOGRAPH = photograph("chelsea.png").crop((0, 0, 293, 199))  # to blocks of 8 it is 296x200, to those of 16, 304x208
GREY, CMYK, DISC = PHOTOGRAPH.convert("L"), PHOTOGRAPH.convert("CMYK"), disc((200, 30, 30))
PALETTE = PHOTOGRAPH.quantize(64)
SAMPLES = np.arange(40 * 30 * 4).reshape(30, 40, 4) % 2

PICTURES = MappingProxyType(
    {
        **{name: ("jpeg" if name.endswith("jpg") else None, photograph_bytes(name)) for name in COLOR_PHOTOGRAPHS},
        **{name: ("png grey", photograph_bytes(name)) for name in GREY_PHOTOGRAPHS},
        "camera": ("jpeg", camera_jpeg(6, SNAPSHOT)),
        "jpeg 4:4:4": ("jpeg", jpeg(PHOTOGRAPH)),
        "jpeg 4:2:0": ("jpeg", jpeg(PHOTOGRAPH, subsampling="4:2:0")),
        "jpeg grey": ("jpeg grey", jpeg(GREY)),
        "jpeg progressive": ("jpeg", jpeg(PHOTOGRAPH, progressive=True)),
        "jpeg profile": ("jpeg", jpeg(PHOTOGRAPH, icc_profile=DISPLAY_P3 * 200, exif=camera_exif())),
        "jpeg cmyk": ("jpeg", jpeg(CMYK)),
        "jpeg ycck": ("jpeg", ycck_jpeg(CMYK)),
        "jpeg unmarked cmyk": ("jpeg", unmarked_cmyk_jpeg(CMYK)),
        "jpeg scans": ("jpeg", jpeg_of_scans(PHOTOGRAPH, 30)),
        "jpeg restarts": ("jpeg", jpeg(PHOTOGRAPH, restart_marker_rows=2)),
        **{
            f"{kind} turned {way}": (None, oriented(PHOTOGRAPH, way, kind))
            for kind in ("JPEG", "PNG", "WEBP")
            for way in (2, 7)
        },
        "png rgb": ("png rgb", png(PHOTOGRAPH, icc_profile=DISPLAY_P3)),
        "png alpha": ("png alpha", png(DISC)),
        "png grey alpha": ("png grey alpha", png(DISC.convert("LA"))),
        "png palette": ("png palette", png(PALETTE)),
        "png palette key": ("png palette key", png(PALETTE, transparency=3)),
        "png key": ("png rgb key", png(PHOTOGRAPH, transparency=(1, 2, 3))),
        "png grey key": ("png grey key", png(GREY, transparency=9)),
        "png bitmap": ("png bitmap", png(GREY.convert("1"))),
        "png animated": ("png rgb", animated(PHOTOGRAPH, "PNG")),
        **{f"png grey of {depth}": ("png grey", raw_png(SAMPLES[:, :, 0], depth)) for depth in (2, 4)},
        "png grey of 16": ("png grey16", raw_png(SAMPLES[:, :, 0], 16)),
        "png grey of 16 key": ("png grey16 key", raw_png(SAMPLES[:, :, 0], 16, chunk(b"tRNS", b"\0\1"))),
        "png rgb of 16": ("png rgb16", raw_png(SAMPLES[:, :, :3], 16)),
        "png alpha of 16": ("png alpha16", raw_png(SAMPLES, 16)),
        "webp lossy": ("webp lossy", save(PHOTOGRAPH, "WEBP", quality=50)),
        "webp lossless": ("webp lossless", webp(PHOTOGRAPH)),
        "webp lossy alpha": ("webp lossy alpha", save(DISC, "WEBP", quality=50)),
        "webp lossless alpha": ("webp lossless alpha", webp(DISC)),
        "webp profile": ("webp lossy", save(PHOTOGRAPH, "WEBP", icc_profile=DISPLAY_P3)),
        "webp lossless profile": ("webp lossless", webp(PHOTOGRAPH, icc_profile=DISPLAY_P3)),
        "webp alpha profile": ("webp lossy alpha", save(DISC, "WEBP", icc_profile=DISPLAY_P3)),
        "webp animated": ("webp animated", animated(PHOTOGRAPH, "WEBP")),
        "webp flat": ("webp lossless alpha", flat_webp(9_999, 10_000)),
    }
)
INTERLACED = ORIGINALS["PNG RGB, interlaced"](100)
HEADS = [picture[:3000] for _, picture in PICTURES.values()]


def header(tmp_path: Path, content: bytes) -> Header | None:
    path = tmp_path / "picture"
    path.write_bytes(content)
    return read_header(path)


def size_by_pillow(content: bytes) -> tuple[int, int]:
    with catch_warnings(action="ignore"), Image.open(BytesIO(content)) as image:
        return image.size


@pytest.mark.parametrize("name", PICTURES)
def test_header_has_the_kind_and_size_of_the_image(tmp_path: Path, name: str) -> None:
    kind, picture = PICTURES[name]

    found = header(tmp_path, picture)

    assert found is not None
    assert (found.width, found.height) == size_by_pillow(picture)
    if kind:
        assert found.kind == kind


def test_interlaced_png_is_recognized() -> None:
    with on_disk(INTERLACED) as path:
        assert read_header(path) == Header("png rgb", 100, 100, interlaced=True)


# Coefficients that JPEG decoders keep


@pytest.mark.parametrize(
    ("subsampling", "samples"), [("4:4:4", 296 * 200 * 3), ("4:2:0", 304 * 208 * 3 // 2), ("4:2:2", 304 * 200 * 2)]
)
def test_progressive_jpeg_keeps_all_coefficients(tmp_path: Path, subsampling: str, samples: int) -> None:
    found = header(tmp_path, jpeg(PHOTOGRAPH, progressive=True, subsampling=subsampling))

    assert found is not None
    assert found.coefficient_bytes == 2 * samples


def test_jpeg_of_one_scan_keeps_no_coefficients(tmp_path: Path) -> None:
    for picture in (jpeg(PHOTOGRAPH), jpeg(GREY), jpeg(CMYK)):
        found = header(tmp_path, picture)
        assert found is not None
        assert found.coefficient_bytes == 0


def test_jpeg_with_a_scan_per_channel_keeps_all_coefficients(tmp_path: Path) -> None:
    picture = bytearray(jpeg(PHOTOGRAPH))
    picture[picture.index(b"\xff\xda") + 4] = 1

    found = header(tmp_path, bytes(picture))

    assert found is not None
    assert found.coefficient_bytes == 2 * 296 * 200 * 3


# Unexpected structures


def segment(marker: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(width: int, height: int, *factors: int) -> bytes:
    channels = b"".join(bytes([number, factor, 0]) for number, factor in enumerate(factors))
    return struct.pack(">BHHB", 8, height, width, len(factors)) + channels


START, SCAN = b"\xff\xd8", segment(0xDA, b"\1\0\0\0\x3f\0")
SOUND = frame(640, 480, 0x11)

ODD = {
    "nothing": b"",
    "another format": b"GIF89a" + bytes(100),
    "a jpeg that ends in its first marker": START + b"\xff",
    "a jpeg that ends in a length": START + b"\xff\xe0\1",
    "a jpeg that ends in its frame": START + segment(0xC0, SOUND)[:9],
    "a jpeg that ends before its scan": START + segment(0xC0, SOUND),
    "a jpeg that ends in its scan's header": START + segment(0xC0, SOUND) + b"\xff\xda\0\6",
    "a jpeg without a frame": START + SCAN,
    "a jpeg without a scan": START + segment(0xC0, SOUND) + b"\xff\xd9",
    "a jpeg with two frames": START + segment(0xC0, frame(10, 10, 0x11)) + segment(0xC0, SOUND) + SCAN,
    "a jpeg of no width": START + segment(0xC0, frame(0, 480, 0x11)) + SCAN,
    "a jpeg of no height": START + segment(0xC0, frame(640, 0, 0x11)) + SCAN,
    "a jpeg without sampling": START + segment(0xC0, frame(640, 480, 0x00)) + SCAN,
    "a jpeg that promises channels": START + segment(0xC0, struct.pack(">BHHB", 8, 480, 640, 200)) + SCAN,
    "a jpeg of no channels": START + segment(0xC0, struct.pack(">BHHB", 8, 480, 640, 0)) + SCAN,
    "a lossless jpeg": START + segment(0xC3, SOUND) + SCAN,
    "a jpeg with a segment shorter than its length": START + b"\xff\xe0\0\1" + segment(0xC0, SOUND) + SCAN,
    "a jpeg with a segment of no length": START + b"\xff\xe0\0\0" + segment(0xC0, SOUND) + SCAN,
    "a png that ends in its header": png_header(100, 100)[:20],
    "a png that ends with its header": png_header(100, 100),
    "a png of no width": png_header(0, 100) + chunk(b"IDAT", b""),
    "a png of no height": png_header(100, 0) + chunk(b"IDAT", b""),
    "a png of an unknown colour": png_header(100, 100, color_type=5) + chunk(b"IDAT", b""),
    "a png with another header": png_header(100, 100) + png_header(9000, 9000)[8:] + chunk(b"IDAT", b""),
    "a png whose header comes later": png_header(1, 1)[:8] + chunk(b"tEXt", b"") + png_header(9, 9)[8:],
    "a png with a chunk longer than the file": png_header(100, 100) + struct.pack(">I4s", 0xFFFFFFFF, b"tEXt"),
    "a webp that ends": flat_webp(100, 100)[:20],
    "a webp that ends in its bits": flat_webp(100, 100)[:24],
    "a webp of another kind": b"RIFF\x40\0\0\0WEBPALPH" + bytes(40),
    "a lossless webp without its mark": flat_webp(100, 100).replace(b"\x2f", b"\x2e", 1),
    "a lossy webp without its mark": save(PHOTOGRAPH, "WEBP").replace(b"\x9d\x01\x2a", b"\x9d\x01\x2b", 1),
    "a lossy webp of no width": save(PHOTOGRAPH, "WEBP")[:26] + b"\0\0\1\0" + bytes(100),
    "a webp of canvas alone": save(DISC, "WEBP")[:30],
    "a webp that ends in its canvas": animated(PHOTOGRAPH, "WEBP")[:29],
}

FLOODS = {
    "a jpeg of markers": START + segment(0xE1) * MAX_MARKERS + segment(0xC0, SOUND) + SCAN,
    "a jpeg of fill bytes": START + b"\xff" * 100_000 + segment(0xC0, SOUND)[1:] + SCAN,
    "a jpeg of restarts": START + b"\xff\xd0" * 100_000 + segment(0xC0, SOUND) + SCAN,
    "a png of chunks": png_header(100, 100) + chunk(b"tEXt", b"") * MAX_MARKERS + chunk(b"IDAT", b""),
    "a webp of chunks": save(DISC, "WEBP")[:30] + b"ICCP\0\0\0\0" * MAX_MARKERS + save(PHOTOGRAPH, "WEBP")[12:],
}


@pytest.mark.parametrize("name", ODD)
def test_unexpected_structure_returns_none(tmp_path: Path, name: str) -> None:
    assert header(tmp_path, ODD[name]) is None


def test_junk_between_segments_is_skipped_as_by_decoders(tmp_path: Path) -> None:
    sound = jpeg(GREY)
    header_end = sound.index(b"\xff\xdb")
    junk = sound[:header_end] + b"??\xff\0" + sound[header_end:]

    assert header(tmp_path, junk) == header(tmp_path, sound)
    with Image.open(BytesIO(junk)) as image:
        assert image.size == GREY.size


def test_missing_file_returns_none(tmp_path: Path) -> None:
    assert read_header(tmp_path / "nowhere") is None


def test_as_many_segments_as_cameras_write_are_read(tmp_path: Path) -> None:
    segments = segment(0xE1, bytes(65533)) * 200

    found = header(tmp_path, START + segments + b"\xff\xff\xff" + segment(0xC0, SOUND)[1:] + SCAN)

    assert found == Header("jpeg grey", 640, 480)


@pytest.mark.promise("A4")
@pytest.mark.parametrize("name", FLOODS)
def test_too_many_markers_raise_undecodable(tmp_path: Path, name: str) -> None:
    with pytest.raises(Undecodable, match="more than 500 markers or chunks"):
        header(tmp_path, FLOODS[name])


@pytest.mark.promise("A4")
@pytest.mark.parametrize(
    "flood", [START + b"\xff\xe1\0\2" * 5_000_000, png_header(9, 9) + chunk(b"tEXt", b"") * 2_000_000]
)
def test_too_many_markers_are_refused_quickly(tmp_path: Path, flood: bytes) -> None:
    path = tmp_path / "flood"
    path.write_bytes(flood)

    start = process_time()
    with pytest.raises(Undecodable):
        read_header(path)

    assert process_time() - start < 0.5  # of the processor: a few milliseconds; Pillow takes seconds


@given(head=st.sampled_from(HEADS), changes=st.dictionaries(st.integers(0, 400), st.integers(0, 255), max_size=4))
def test_changed_header_has_pillows_size_or_none(tmp_path: Path, head: bytes, changes: dict[int, int]) -> None:
    """Pillow tolerates more than this reader; but it agrees with every size that this reader returns."""
    changed = bytearray(head)
    for place, value in changes.items():
        changed[place % len(changed)] = value

    found = header(tmp_path, bytes(changed))

    if found is None:
        return
    try:
        size = size_by_pillow(bytes(changed))
    except Exception:  # broken elsewhere
        return
    assert (found.width, found.height) == size


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8"]), st.binary(max_size=200))
def test_random_bytes_never_raise(tmp_path: Path, signature: bytes, rest: bytes) -> None:
    found = header(tmp_path, signature + rest)

    assert found is None or (found.width > 0 and found.height > 0)


@pytest.mark.parametrize(
    ("kind", "width", "is_whole"),
    [
        ("webp lossy alpha", 5000, True),
        ("webp lossy alpha", 5001, False),
        ("webp lossless alpha", 100, False),
        ("webp lossy", 100, False),
    ],
)
def test_only_lossy_webp_with_alpha_up_to_25_megapixels_is_decoded_whole(kind: str, width: int, is_whole: bool) -> None:
    assert Header(kind, width, 5000).is_decoded_whole is is_whole
