"""Reduces a PNG to the chunks that its pixels need, so that damage in other chunks does not reach a decoder.

Also checks that the compressed rows are as many as the header announces (ISO 15948, 7.2, 8 and 10).
"""

import struct
import zlib
from collections.abc import Container, Iterator
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from proxy.errors import Undecodable
from proxy.imaging.containers import MAX_CHUNKS, Part, TooManyParts, png_chunks, read_body
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.png_writer import LAST_CHUNK, MOST_EFFORT, make_chunk, pixel_chunk, write_png

_ONCE, _PIXELS, _END = (b"IHDR", b"PLTE", b"tRNS"), b"IDAT", b"IEND"
_APPLE = b"CgBI"
_PALETTE = 3  # the colour type
_COMPRESSED = (b"zTXt", b"iTXt", b"iCCP")
_FREE, _RATIO, _MOST = 2 << 20, 100, 64 << 20
"""A bomb is text of more than `_FREE` bytes, inflated, and `_RATIO` times its compressed size; or of more than `_MOST`
bytes. Real text and profiles reach a ratio of 20."""
_STEP = 1 << 16  # bytes
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps, of the passes of an interlaced image."""
_CHECKSUM = 4  # bytes
_FEW_BYTES = 1 << 18  # of rows, for which zlib takes a second at most; libdeflate takes a tenth of that
_COLOR_TYPE = 25  # where its byte is

TRUNCATED = "The file is truncated or damaged. Export it again."


def pixel_chunks(path: OriginalFile) -> BytesIO:
    """Returns a PNG with only the chunks that its pixels need.

    The other chunks are checked for decompression bombs, because the stored original keeps them and other programs may
    read it.

    Raises Undecodable for damaged pixels (by the checksums), decompression bombs, more than `MAX_CHUNKS` chunks, and
    Apple's own form of PNG.
    """
    try:
        with path.open("rb") as file:
            return _reduce(file)
    except TooManyParts:
        raise Undecodable(f"The PNG is split into more than {MAX_CHUNKS} chunks. Export it again.") from None


def raise_if_rows_are_missing(reduced: BinaryIO) -> None:
    """Raises Undecodable if the rows of a PNG end early, which Pillow accepts and libvips refuses.

    Inflates all of them: a third of a second for 100 MB.
    """
    inflated, ended = _inflate_rows(reduced)
    if inflated < _announced(reduced) or not ended:
        raise Undecodable(TRUNCATED)


def compress_rows_again(reduced: BinaryIO, used: Container[object]) -> bytes | None:
    """Returns a PNG with the same rows, with their filters, but compressed again; None if it has a transparent colour.

    It keeps only the pixels of the file, and the filters that an optimiser chose for them. `used`: the entries of the
    palette that pixels have; the others become black. Inflates the rows whole.
    """
    chunks, packed = [], b""
    for chunk in png_chunks(reduced, MAX_CHUNKS):
        body = read_body(reduced, chunk, chunk.length)
        match chunk.kind:
            case b"IHDR":
                has_palette = body[9] == _PALETTE
                chunks.append(make_chunk(b"IHDR", body))
            case b"PLTE":
                colors = (body[start : start + 3] for start in range(0, len(body), 3))
                chunks.append(make_chunk(b"PLTE", b"".join(c if n in used else bytes(3) for n, c in enumerate(colors))))
            case b"tRNS" if has_palette:
                chunks.append(make_chunk(b"tRNS", bytes(a if n in used else 255 for n, a in enumerate(body))))
            case b"tRNS":
                return None
            case b"IDAT":
                packed += body
            case _:
                pass
    length = _announced(reduced)
    try:
        rows = zlib.decompressobj().decompress(packed, length)
    except zlib.error:
        return None
    strategies = (zlib.Z_FILTERED, zlib.Z_DEFAULT_STRATEGY) if len(rows) <= _FEW_BYTES else ()
    compressed = (make_chunk(_PIXELS, _compressed(rows, strategy)) for strategy in strategies)
    return write_png([*chunks, min([*compressed, pixel_chunk(rows, MOST_EFFORT)], key=len)])


def _compressed(rows: bytes, strategy: int) -> bytes:
    deflater = zlib.compressobj(9, memLevel=9, strategy=strategy)
    return deflater.compress(rows) + deflater.flush()


def _inflate_rows(file: BinaryIO) -> tuple[int, bool]:
    """Returns how many bytes the rows have, and whether they end as zlib's data should."""
    inflater, inflated = zlib.decompressobj(), 0
    with suppress(zlib.error):
        for chunk in png_chunks(file, MAX_CHUNKS):
            packed = read_body(file, chunk, chunk.length) if chunk.kind == _PIXELS else b""
            while packed and not inflater.eof:
                inflated += len(inflater.decompress(packed, _STEP))
                packed = inflater.unconsumed_tail
    return inflated, inflater.eof


def _announced(file: BinaryIO) -> int:
    """Returns the bytes of all rows according to the header, with the filter's byte before each."""
    file.seek(16)
    width, height, depth, color, interlaced = struct.unpack(">IIBBxxB", file.read(13))
    bits = depth * _CHANNELS[color]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sides = ((-((left - width) // across), -((top - height) // down)) for left, top, across, down in passes)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sides if columns > 0)


def _reduce(file: BinaryIO) -> BytesIO:
    reduced = BytesIO()
    reduced.write(file.read(8))
    once, bomb = set(_ONCE), _Inflated()
    for chunk in png_chunks(file, MAX_CHUNKS):
        if chunk.kind == _END:
            break
        if chunk.kind == _APPLE:
            raise Undecodable("Apple's CgBI form of PNG, made for iOS apps, is not supported. Export it again as PNG.")
        if chunk.kind == _PIXELS or chunk.kind in once:
            once.discard(chunk.kind)
            if _is_used(chunk, reduced):
                _copy(file, chunk, reduced)
        elif chunk.kind in _COMPRESSED:
            bomb.add(file, chunk)
    reduced.write(LAST_CHUNK)
    reduced.seek(0)
    return reduced


def _is_used(chunk: Part, reduced: BytesIO) -> bool:
    """Whether decoders need a chunk. They ignore transparency of a wrong length, and unused palettes."""
    color = bytes(reduced.getbuffer()[_COLOR_TYPE : _COLOR_TYPE + 1])
    match chunk.kind:
        case b"PLTE":
            return color == b"\3"
        case b"tRNS":
            return chunk.length in {b"\0": (2,), b"\2": (6,), b"\3": range(1, 257)}.get(color, ())
        case _:
            return True


def _copy(file: BinaryIO, chunk: Part, reduced: BytesIO) -> None:
    """Copies a chunk to `reduced`. Raises Undecodable if its body is incomplete or its checksum is wrong.

    The file may end within the checksum, because the body is complete then.
    """
    body, checksum = read_body(file, chunk, chunk.length), file.read(_CHECKSUM)
    computed = zlib.crc32(body, zlib.crc32(chunk.kind)).to_bytes(_CHECKSUM)
    if len(body) < chunk.length or not computed.startswith(checksum):
        raise Undecodable(TRUNCATED)
    reduced.write(chunk.length.to_bytes(4) + chunk.kind)
    reduced.write(body)
    reduced.write(computed)


class _Inflated:
    """Counts what the compressed chunks of a file inflate to."""

    def __init__(self) -> None:
        self._packed = self._inflated = 0

    def add(self, file: BinaryIO, chunk: Part) -> None:
        """Adds a compressed chunk. Raises Undecodable if the file is a decompression bomb."""
        body = read_body(file, chunk, chunk.length)
        self._packed += len(body)
        for length in _inflate(_packed(chunk.kind, body)):
            self._inflated += length
            if self._inflated > max(_FREE, min(_MOST, _RATIO * self._packed)):
                raise Undecodable(f"Text or profiles in the PNG inflate to over {self._inflated} bytes. Remove them.")


def _packed(kind: bytes, body: bytes) -> bytes:
    """Returns zlib's data behind the keyword (and for iTXt behind flag, method, language and translation)."""
    rest = body.partition(b"\0")[2]
    if kind != b"iTXt":
        return rest[1:]
    return rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\1" else b""


def _inflate(packed: bytes) -> Iterator[int]:
    """Yields the lengths of pieces; stops where the data is damaged, as its reader would."""
    inflater = zlib.decompressobj()
    try:
        while packed and not inflater.eof:
            yield len(inflater.decompress(packed, _STEP))
            packed = inflater.unconsumed_tail
    except zlib.error:
        return
