"""Writes PNG files from rows of pixels, which libdeflate compresses. Figures: docs/decisions/0033-encoders.md."""

import zlib
from collections.abc import Iterable

import deflate

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_EFFORT = 9
MOST_EFFORT = 10
"""A level of libdeflate that takes 4 to 6 times as long as 9, for 2 to 10 % fewer bytes."""
_FEW_BYTES = 1 << 18  # of rows, for which `MOST_EFFORT` takes 5 to 40 ms; 110 for the worst found


def make_chunk(kind: bytes, body: bytes | bytearray) -> bytes:
    """Returns the chunk `kind`: its length, kind, body and checksum."""
    return b"".join([len(body).to_bytes(4), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)])


LAST_CHUNK = make_chunk(b"IEND", b"")


def write_png(chunks: Iterable[bytes]) -> bytes:
    """Returns a file of `chunks`, and the last chunk."""
    return b"".join([_SIGNATURE, *chunks, LAST_CHUNK])


def pixel_chunk(rows: bytes, effort: int | None = None) -> bytes:
    """Compresses `rows`, each behind the byte of its filter.

    `effort`: a level of libdeflate, 1 to 12. None chooses it by the number of bytes.
    """
    effort = effort or (MOST_EFFORT if len(rows) <= _FEW_BYTES else _EFFORT)
    return make_chunk(b"IDAT", deflate.zlib_compress(rows, effort))
