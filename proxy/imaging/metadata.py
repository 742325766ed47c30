"""Reads the metadata blocks of a file (EXIF, XMP, IPTC, text) in bounded time and memory.

Pillow reports only the kinds that it knows, and of a PNG only those before the pixels. This reader seeks from block to
block of the file itself. It raises nothing for a broken structure: it stops there, and keeps the blocks found so far.
"""

import re
import struct
import zlib
from binascii import unhexlify
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from proxy.errors import Undecodable
from proxy.imaging.containers import (
    MAX_CHUNKS,
    SNIFFED,
    TooManyParts,
    gif_blocks,
    jpeg_segments,
    png_chunks,
    read_body,
    sniff,
    webp_chunks,
)
from proxy.imaging.heif import read_heif
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.tiff import C2PA, IPTC, PHOTOSHOP, XMP, TiffDirectory
from proxy.model import SourceFormat

MAX_GIF_BLOCKS = 500_000  # of 255 bytes: the largest upload has 400,000, and some thousand frames
_MAX_BLOCKS = 10_000  # of one file; a PNG has at most one for every 8 KiB of pixels
_MAX_BLOCK = 1 << 20  # bytes of one block, also when inflated; a JPEG's have 64 KiB at most
_MAX_BYTES = 4 << 20  # of all blocks together
_EXIF, _XMP, _MORE_XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_COMMENT = b"\xfe"
_PROVENANCE = b"\xeb"  # APP11, where JPEG has boxes of metadata (JUMBF, ISO 19566-5)
_JFIF = b"\xe0"  # APP0
_JPEG_METADATA = (_JFIF, b"\xe1", b"\xed", _PROVENANCE, _COMMENT)
_PNG_METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX")
_C2PA = b"c2pa"  # the label of a C2PA manifest store
_MAX_LABEL = 256  # bytes in which the label is
_MAX_PICTURES = 16  # of one file; a phone writes up to five
_PICTURE = b"\xff\xd8\xff"
_VIDEO = re.compile(rb"ftyp(?:mp4|isom|avc1|qt  )|MotionPhoto_Data")  # ISO's base media, and Samsung's name for it
_ANY_PICTURE = re.compile(rb"\xff\xd8\xff|IDAT|IEND|" + _VIDEO.pattern)  # also the rest of a PNG that an editor cut
_LONGEST = 16  # bytes of these
_SEARCHED = 1 << 20  # bytes that are searched at a time
_RAW_PROFILE = b"raw profile type "  # ImageMagick's keyword, older than PNG's own chunks


class Source(StrEnum):
    """The source of a block, which decides how to parse it."""

    EXIF = "exif"
    """TIFF data, starting with its byte order."""
    XMP = "xmp"
    PHOTOSHOP = "photoshop"
    """Image resources, including IPTC."""
    COMMENT = "comment"
    TEXT = "text"
    """A PNG's keyword in lower case, NUL, and its text."""
    TIME = "time"
    PROVENANCE = "provenance"
    PICTURE = "picture"
    """Another image in the file. Its own blocks follow."""
    THUMBNAIL = "thumbnail"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of metadata: the bytes of its body, and the source, which decides how to parse them."""

    source: Source
    body: bytes


def metadata_blocks(path: OriginalFile) -> Iterator[Block]:
    """Yields the blocks of an original in file order. Raises OSError if the file cannot be read."""
    with path.open("rb") as file:
        left = _MAX_BYTES
        match sniff(file.read(SNIFFED)):
            case SourceFormat.PNG:
                found = _png(file)
            case SourceFormat.WEBP:
                found = _webp(file)
            case SourceFormat.GIF:
                found = _gif(file)
            case SourceFormat.TIFF:
                found = _tiff(file)
                left += file.seek(0, 2)
            case SourceFormat.AVIF | SourceFormat.HEIC:
                found = _heif(file)
            case _:
                found = _jpeg(file)
        with suppress(TooManyParts, ValueError, struct.error, Undecodable):
            for block in found:
                left -= len(block.body)
                if left < 0:
                    return
                yield block


def _jpeg(file: BinaryIO) -> Iterator[Block]:
    """Reads the segments before the first scan, and those of further images in the file."""
    start, scan = 0, 0
    for number in range(_MAX_PICTURES):
        if number:
            yield Block(Source.PICTURE, b"")
        for segment in jpeg_segments(file, _MAX_BLOCKS, start):
            scan = segment.start
            if segment.kind in _JPEG_METADATA:
                yield from _jpeg_block(segment.kind, read_body(file, segment, _MAX_BLOCK))
        if not number and _is_found(_VIDEO, file, scan):
            yield Block(Source.PICTURE, b"")
        start = _find_picture(file, max(scan, start + len(_PICTURE)))
        if start < 0:
            return


def _find_picture(file: BinaryIO, position: int) -> int:
    """Returns where the next JPEG begins, or -1. Compressed pixels never contain its first bytes."""
    file.seek(position)
    tail = b""
    while data := file.read(_SEARCHED):
        found = (tail + data).find(_PICTURE)
        if found >= 0:
            return position - len(tail) + found
        position += len(data)
        tail = data[1 - len(_PICTURE) :]
    return -1


def _is_found(pattern: re.Pattern[bytes], file: BinaryIO, position: int) -> bool:
    """Whether the file has `pattern` at `position` or behind it."""
    file.seek(position)
    tail = b""
    while data := file.read(_SEARCHED):
        if pattern.search(tail + data):
            return True
        tail = data[1 - _LONGEST :]
    return False


def _jpeg_block(marker: bytes, body: bytes) -> Iterator[Block]:
    if marker == _COMMENT:
        yield Block(Source.COMMENT, body)
        return
    if marker == _PROVENANCE:
        if _C2PA in body[:_MAX_LABEL]:
            yield Block(Source.PROVENANCE, b"")
        return
    if marker == _JFIF:
        if body.startswith(b"JFXX\0") or (body.startswith(b"JFIF\0") and all(body[12:14])):
            yield Block(Source.THUMBNAIL, b"")
        return
    kinds = {_EXIF: Source.EXIF, _XMP: Source.XMP, _MORE_XMP: Source.XMP, _PHOTOSHOP: Source.PHOTOSHOP}
    for name, source in kinds.items():
        if body.startswith(name):
            yield Block(source, body.removeprefix(name))


def _png(file: BinaryIO) -> Iterator[Block]:
    """Reads all chunks: metadata may follow the pixels."""
    inflated: set[bytes] = set()
    for chunk in png_chunks(file, MAX_CHUNKS):
        if chunk.kind in _PNG_METADATA:
            yield from _png_block(chunk.kind, read_body(file, chunk, _MAX_BLOCK), inflated)
        elif chunk.kind == b"IEND" and _is_found(_ANY_PICTURE, file, chunk.start):
            yield Block(Source.PICTURE, b"")


def _png_block(kind: bytes, body: bytes, inflated: set[bytes]) -> Iterator[Block]:
    if kind == b"eXIf":
        yield Block(Source.EXIF, body)
        return
    if kind in (b"tIME", b"caBX"):
        yield Block(Source.TIME, body) if kind == b"tIME" else Block(Source.PROVENANCE, b"")
        return
    keyword, _, text = body.partition(b"\0")
    keyword = keyword.lower()
    profile = keyword.removeprefix(_RAW_PROFILE) if keyword.startswith(_RAW_PROFILE) else b""
    if keyword != b"xml:com.adobe.xmp" and not profile:
        yield Block(Source.TEXT, keyword + b"\0" + text)  # only the keyword matters, so the text is not inflated
    elif keyword not in inflated:  # once per keyword, or many small chunks could inflate to any size
        inflated.add(keyword)
        text = _text(kind, text)
        yield from _raw_profile(profile, text) if profile else [Block(Source.XMP, text)]


def _text(kind: bytes, body: bytes) -> bytes:
    """Returns the text after the keyword, inflated if it is compressed."""
    if kind == b"zTXt":
        return _inflate(body[1:])
    if kind == b"iTXt":
        text = body[2:].split(b"\0", 2)[-1]
        return _inflate(text) if body[:1] == b"\1" else text
    return body


def _raw_profile(name: bytes, text: bytes) -> Iterator[Block]:
    """Parses a raw profile: a name line, a length line, then hexadecimal digits."""
    try:
        body = unhexlify(b"".join(text.strip().split()[2:]))
    except ValueError:
        return
    if name == b"iptc":
        yield Block(Source.PHOTOSHOP, body)
    elif name == b"xmp" or body.startswith(_XMP):
        yield Block(Source.XMP, body)
    elif name in (b"exif", b"app1"):
        yield Block(Source.EXIF, body.removeprefix(_EXIF))


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _MAX_BLOCK)
    except zlib.error:
        return b""


def _webp(file: BinaryIO) -> Iterator[Block]:
    for chunk in webp_chunks(file, _MAX_BLOCKS):
        if chunk.kind == b"EXIF":
            yield Block(Source.EXIF, read_body(file, chunk, _MAX_BLOCK).removeprefix(_EXIF))
        elif chunk.kind == b"XMP ":
            yield Block(Source.XMP, read_body(file, chunk, _MAX_BLOCK))
        elif chunk.kind == b"C2PA":
            yield Block(Source.PROVENANCE, b"")
    file.seek(4)
    if _is_found(_ANY_PICTURE, file, 8 + int.from_bytes(file.read(4), "little")):
        yield Block(Source.PICTURE, b"")


def _gif(file: BinaryIO) -> Iterator[Block]:
    for block in gif_blocks(file, MAX_GIF_BLOCKS):
        if block.kind == b"\xfe":
            yield Block(Source.COMMENT, read_body(file, block, _MAX_BLOCK))
        elif block.kind == b"\xff" and read_body(file, block, 12)[1:] == b"XMP DataXMP":
            file.seek(block.start + 12)  # XMP is not cut into blocks
            yield Block(Source.XMP, file.read(_MAX_BLOCK))


def _tiff(file: BinaryIO) -> Iterator[Block]:
    """The whole file is one EXIF block: EXIF has the structure of TIFF."""
    directory = TiffDirectory(file)
    for tag, source in ((XMP, Source.XMP), (IPTC, Source.PHOTOSHOP), (PHOTOSHOP, Source.PHOTOSHOP)):
        if tag in directory:
            yield Block(source, directory.data(tag, _MAX_BLOCK))
    if C2PA in directory:
        yield Block(Source.PROVENANCE, b"")
    if directory.has_next:
        yield Block(Source.PICTURE, b"")
    file.seek(0)
    yield Block(Source.EXIF, file.read())


def _heif(file: BinaryIO) -> Iterator[Block]:
    image = read_heif(file)
    for part in image.metadata:
        body = read_body(file, part, _MAX_BLOCK)
        if part.kind == b"Exif":  # after four bytes that say how far on it begins
            yield Block(Source.EXIF, body[4 + int.from_bytes(body[:4]) :])
        else:
            yield Block(Source.XMP, body)
    if image.has_thumbnail:
        yield Block(Source.THUMBNAIL, b"")
    if image.has_auxiliary:
        yield Block(Source.PICTURE, b"")
    if image.has_provenance:
        yield Block(Source.PROVENANCE, b"")
