"""The walkers of containers: what they yield, where they end, and that they are bounded."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import BinaryIO

import pytest

from proxy.imaging.containers import Part, TooManyParts, gif_blocks, jpeg_segments, png_chunks, read_body, webp_chunks

Walk = Callable[[BinaryIO, int], Iterator[Part]]

SCAN = b"\xff\xda\x00\x04\x01\x02"
JPEG = b"\xff\xd8\xff\xe1\x00\x05abc" + b"\xff\xff\xfe\x00\x02" + b"\xff\xd0" + SCAN + b"\xff\xe1\x00\x02"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\3tEXtabcCRC!" + b"\0\0\0\0IENDCRC!"
WEBP = b"RIFF\0\0\0\0WEBP" + b"EXIF\3\0\0\0abc\0" + b"VP8 \0\0\0\0"


@pytest.mark.parametrize(
    ("walk", "file", "parts"),
    [
        (jpeg_segments, JPEG, [(b"\xe1", b"abc"), (b"\xfe", b""), (b"\xda", b"\x01\x02")]),
        (png_chunks, PNG, [(b"tEXt", b"abc"), (b"IEND", b"")]),
        (webp_chunks, WEBP, [(b"EXIF", b"abc"), (b"VP8 ", b"")]),
    ],
)
def test_parts_have_their_kind_and_body(walk: Walk, file: bytes, parts: list[tuple[bytes, bytes]]) -> None:
    source = BytesIO(file)
    assert [(part.kind, read_body(source, part, 100)) for part in walk(source, 9)] == parts


@pytest.mark.parametrize(
    ("walk", "file", "count"), [(jpeg_segments, JPEG, 5), (png_chunks, PNG, 2), (webp_chunks, WEBP, 2)]
)
def test_walk_beyond_its_bound_raises(walk: Walk, file: bytes, count: int) -> None:
    assert list(walk(BytesIO(file), count))
    with pytest.raises(TooManyParts):
        list(walk(BytesIO(file), count - 1))


@pytest.mark.parametrize(("walk", "file"), [(jpeg_segments, JPEG), (png_chunks, PNG), (webp_chunks, WEBP)])
def test_walk_of_a_truncated_file_ends(walk: Walk, file: bytes) -> None:
    whole = list(walk(BytesIO(file), 9))
    for length in range(len(file)):
        parts = list(walk(BytesIO(file[:length]), 9))
        assert parts == whole[: len(parts)]


@pytest.mark.parametrize("tail", [b"\xff\xd9\x00\x02", b"\xff\xe1\x00\x01"])
def test_walk_of_a_jpeg_ends_at_its_end_marker_and_at_an_impossible_length(tail: bytes) -> None:
    assert list(jpeg_segments(BytesIO(b"\xff\xd8" + tail + SCAN), 9)) == []


@pytest.mark.parametrize("junk", [b"\0", b"\xff\0", b"junk" * 50_000, b"\xff\0" * 6])
def test_junk_between_segments_is_skipped(junk: bytes) -> None:
    file = BytesIO(b"\xff\xd8" + junk + b"\xff\xe1\x00\x05abc" + SCAN)
    assert [read_body(file, part, 100) for part in jpeg_segments(file, 9)] == [b"abc", b"\x01\x02"]
    with pytest.raises(TooManyParts):
        list(jpeg_segments(BytesIO(b"\xff\xd8" + b"\0\xff\0" * 9 + SCAN), 9))


def test_small_extensions_of_a_gif_count_by_their_decoding_time() -> None:
    """10 MB of them would keep the server busy for more than a second, when it counts frames."""
    small = BytesIO(b"GIF89a" + bytes(7) + b"!\xfe\0" * 10)

    assert len([*gif_blocks(small, 90)]) == 10
    with pytest.raises(TooManyParts):
        list(gif_blocks(small, 89))


def test_body_is_read_up_to_a_limit() -> None:
    [first, _] = png_chunks(BytesIO(PNG), 9)
    assert read_body(BytesIO(PNG), first, 2) == b"ab"
    assert read_body(BytesIO(PNG), first._replace(length=1 << 31), 5) == b"abcCR"
