"""The reader of AVIF and HEIC on hostile descriptions: the server itself runs it, before any render worker."""

import struct
from io import BytesIO
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.header import Header, read_header
from proxy.imaging.heif import read_heif
from proxy.imaging.original_file import FileInMemory

FREE = b"\0\0\0\x08free"
ENDLESS = b"\0\0\0\1free" + b"\xff" * 8  # its length has 64 bits


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def meta(*boxes: bytes) -> bytes:
    return box(b"meta", bytes(4), *boxes)


def properties(associations: bytes, *others: bytes) -> bytes:
    """Describes image 2 by its first property, its sides, if `associations` say so."""
    sides = box(b"ispe", struct.pack(">4xII", 640, 480))
    return box(b"iprp", box(b"ipco", sides, *others), box(b"ipma", bytes(4), associations))


def located(entry: bytes, times: int) -> bytes:
    """Places of metadata. Two bytes of zeros: no number of a place takes any bytes."""
    return box(b"iloc", bytes(6), struct.pack(">H", times), entry * times)


START = box(b"ftyp", b"heic\0\0\0\0mif1heic")
PRIMARY = box(b"pitm", bytes(4), b"\0\2")
FIRST = b"\0\0\0\1\0\2\1\1"  # image 2 has one property, the first
ITEMS = box(b"iinf", bytes(6))
MANY = 65_535

FLOODS = {
    "pieces without bytes": meta(ITEMS, located(b"\0\1\0\0\xff\xff", MANY)),
    "properties of other images": meta(PRIMARY, properties(b"\xff" * 4 + b"\0\1\0" * 1_300_000)),
    "auxiliary images": meta(PRIMARY, properties(FIRST, box(b"auxC", bytes(4)) * MANY)),
    "descriptions": meta(FREE * 1200) * 999,
}


@pytest.mark.heavy
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_flood_is_read_quickly(flood: bytes) -> None:
    start = process_time()
    read_heif(BytesIO(START + flood))

    assert process_time() - start < 0.5  # a quarter at most; without bounds, a second to hours


@pytest.mark.parametrize(
    "file",
    [ENDLESS, meta(ENDLESS), meta(PRIMARY, box(b"iprp", ENDLESS)), meta(PRIMARY, box(b"iprp", box(b"ipco", ENDLESS)))],
)
def test_box_of_endless_length_ends_the_list(file: bytes) -> None:
    assert read_header(FileInMemory(START + file)) is None


WHOLE = START + meta(PRIMARY, properties(FIRST), ITEMS, located(b"\0\1\0\0\0\1", 3))


@given(st.integers(0, len(WHOLE)), st.sampled_from([b"\xff" * 4, b"\xff" * 8, b"\0\0\0\1", b"\0" * 4, ENDLESS]))
def test_any_number_in_a_description_is_read_or_ignored(at: int, number: bytes) -> None:
    found = read_header(FileInMemory(WHOLE[:at] + number + WHOLE[at + len(number) :]))

    assert found is None or (found.width > 0 and found.height > 0)


def test_first_description_counts() -> None:
    described = meta(PRIMARY, properties(FIRST))
    other = described.replace(struct.pack(">II", 640, 480), struct.pack(">II", 1, 1))

    assert read_header(FileInMemory(START + described + other)) == Header("heic", 640, 480)


def test_metadata_in_pieces_is_found_at_its_first_one() -> None:
    item = box(b"infe", b"\2\0\0\0", b"\0\7\0\0Exif")
    items = box(b"iinf", bytes(4), b"\0\1", item)
    pieces = struct.pack(">HHH4I", 7, 0, 2, 100, 30, 200, 40) + struct.pack(">HHH", 8, 0, 0)
    places = box(b"iloc", bytes(4), b"\x44\0", b"\0\2", pieces)

    found = read_heif(BytesIO(START + meta(items, places)))

    assert found.metadata == [(b"Exif", 100, 30)]
