"""Broken and hostile metadata: nothing is raised, and reading it is bounded."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.containers import MAX_CHUNKS
from proxy.imaging.inspect import inspect
from proxy.imaging.privacy import Private, private_exif
from tests.camera import XMP
from tests.pictures import chunk
from tests.unit.proxy.imaging.metadata_files import (
    AUTHOR,
    BASE,
    CAMERA,
    COMMENTS,
    SERIAL,
    SIGNATURE,
    TIME,
    found,
    segment,
    with_chunks,
    with_segments,
)
from tests.unit.proxy.imaging.reference import LIMITS, on_disk


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
