"""Makes a WebP readable that is damaged only behind its pixels: libwebp refuses every file that ends early."""

import os
from typing import BinaryIO

from proxy.imaging.containers import SNIFFED, Part, TooManyParts, sniff, webp_chunks
from proxy.imaging.original_file import FileInMemory, OriginalFile
from proxy.model import SourceFormat

_MAX_CHUNKS = 5000  # animations have one for each frame
_STILL, _FRAME = (b"VP8 ", b"VP8L"), b"ANMF"
_METADATA = (b"EXIF", b"XMP ", b"ICCP")
_START, _LENGTH = 12, 8  # where the chunks begin, and the bytes that the file's own length leaves out


def with_true_end(path: OriginalFile) -> OriginalFile:
    """Returns `path`, or for a WebP that is damaged behind its pixels: a file that ends there as it should.

    What there is of metadata is kept. Pixels that are cut off are left for the decoder to refuse.
    """
    with path.open("rb") as file:
        if sniff(file.read(SNIFFED)) is not SourceFormat.WEBP:
            return path
        try:
            body = _repair(file)
        except TooManyParts:
            return path
    return FileInMemory(body) if body else path


def _repair(file: BinaryIO) -> bytes | None:
    """Returns the file with true lengths; None if they are true already, or if pixels are missing."""
    file.seek(4)
    stated = _LENGTH + int.from_bytes(file.read(4), "little")
    size = file.seek(0, os.SEEK_END)
    limit = min(stated, size)
    end, kinds, cut = _START, set[bytes](), None
    for chunk in webp_chunks(file, _MAX_CHUNKS):
        if chunk.start + chunk.length > limit:
            cut = chunk if chunk.start <= limit else None
            break
        kinds.add(chunk.kind)
        end = chunk.start + chunk.length + chunk.length % 2
    has_all_frames = cut.kind in _METADATA if cut else stated <= size
    is_whole = kinds.intersection(_STILL) or (_FRAME in kinds and has_all_frames)
    if not is_whole or (cut is None and end == stated <= limit):
        return None
    file.seek(_START)
    body = file.read(end - _START).ljust(end - _START, b"\0")
    if cut and cut.kind in _METADATA:
        body += _shortened(file, cut, limit)
    return b"RIFF" + (len(body) + _START - _LENGTH).to_bytes(4, "little") + b"WEBP" + body


def _shortened(file: BinaryIO, chunk: Part, limit: int) -> bytes:
    length = limit - chunk.start
    file.seek(chunk.start)
    return chunk.kind + length.to_bytes(4, "little") + file.read(length) + bytes(length % 2)
