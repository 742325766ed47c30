"""Writes PNG files from rows of pixels, which libdeflate compresses. Figures: docs/decisions/0033-encoders.md."""

import zlib
from collections.abc import Iterable

import deflate

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

MOST_EFFORT = 10
"""A level of libdeflate that takes 4 to 6 times as long as `EFFORT`, for 2 to 10 % fewer bytes."""
EFFORT = 9
_FEW_BYTES = 1 << 18  # of rows, for which `MOST_EFFORT` takes 5 to 40 ms; 110 for the worst found


def make_chunk(kind: bytes, body: bytes | bytearray) -> bytes:
    """Returns the chunk `kind`: its length, kind, body and checksum."""
    return b"".join([len(body).to_bytes(4), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)])


LAST_CHUNK = make_chunk(b"IEND", b"")


def write_png(chunks: Iterable[bytes]) -> bytes:
    """Returns a file of `chunks`, and the last chunk."""
    return b"".join([_SIGNATURE, *chunks, LAST_CHUNK])


def pixel_chunk(rows: bytes, effort: int | None = None, large: int = EFFORT) -> bytes:
    """Compresses `rows`, each behind the byte of its filter.

    `effort`: a level of libdeflate, 1 to 12. None chooses it by the number of bytes; `large`: the level for many.
    """
    effort = effort or (MOST_EFFORT if len(rows) <= _FEW_BYTES else large)
    return make_chunk(b"IDAT", deflate.zlib_compress(rows, effort))
