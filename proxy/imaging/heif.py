"""Reads what an AVIF or HEIC file says of its first image: sides, colours, alpha, metadata (ISO 23008-12 and 14496-12).

The decoders report most of it only after they have read the whole file, and nothing of `nclx` colours.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

from proxy.imaging.containers import Part, TooManyParts, boxes, read_body

MAX_META = 4 << 20
"""Bytes of the description. A phone's image of 48 tiles takes 5,000; one of 12,000 tiles takes a megabyte."""

_MAX_TOP, _MAX_BOXES = 1000, 20_000  # boxes of the file, and entries of one list in the description
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1\0")
_AUXILIARY = b"auxC"
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # uuid of a C2PA manifest store


@dataclass(slots=True)
class HeifImage:
    """The first image. Sides are stored pixels, (0, 0) if unknown.

    `nclx`: primaries, transfer and matrix of ITU-T H.273. `metadata`: kinds (`Exif`, `mime`) and places in the file of
    metadata. `depth`: bits of a sample. `has_auxiliary`: whether there are auxiliary images other than alpha.
    `has_provenance`: whether there is a C2PA manifest.
    """

    width: int = 0
    height: int = 0
    icc: bytes | None = None
    nclx: tuple[int, int, int] | None = None
    alpha: bool = False
    depth: int = 8
    has_thumbnail: bool = False
    has_auxiliary: bool = False
    has_provenance: bool = False
    metadata: list[Part] = field(default_factory=list)


def read_heif(file: BinaryIO) -> HeifImage:
    """Describes the first image of `file`. What is broken or missing stays at its default. Raises OSError."""
    found = HeifImage()
    is_described = False
    with suppress(TooManyParts, struct.error, LookupError):
        for box in boxes(file, _MAX_TOP):
            if box.kind == b"meta" and not is_described:  # a file has one; a thousand would take minutes
                is_described = True
                if box.length <= MAX_META:
                    _read_meta(read_body(file, box, MAX_META), box.start, found)
            elif box.kind == b"uuid" and read_body(file, box, 16) == _C2PA:
                found.has_provenance = True
            elif box.kind == b"moov":  # a sequence, whose images may have alpha in a track of its own
                found.alpha = True
    return found


def _read_meta(meta: bytes, start: int, found: HeifImage) -> None:
    data = BytesIO(meta)
    parts = {box.kind: box for box in boxes(data, _MAX_BOXES, 4)}

    def body(kind: bytes) -> bytes:
        return read_body(data, parts[kind], MAX_META) if kind in parts else b""

    primary = _primary(body(b"pitm"))
    if b"iprp" in parts:
        properties = {box.kind: box for box in _inside(data, parts[b"iprp"])}
        listed = list(_inside(data, properties[b"ipco"]))
        used = _associated(read_body(data, properties[b"ipma"], MAX_META), primary)
        for box in (listed[index - 1] for index in used if 0 < index <= len(listed)):
            _read_property(box.kind, read_body(data, box, MAX_META), found)
        kinds = [read_body(data, box, 100)[4:] for box in listed if box.kind == _AUXILIARY]
        is_alpha = [kind.startswith(_ALPHA) for kind in kinds]
        found.alpha |= any(is_alpha)
        found.has_auxiliary = not all(is_alpha)
    if b"iref" in parts:
        found.has_thumbnail = any(box.kind == b"thmb" for box in _inside(data, parts[b"iref"], 4))
    if b"iinf" in parts:
        items = dict(_metadata_items(data, parts[b"iinf"]))
        within = start + parts[b"idat"].start if b"idat" in parts else None
        places = dict(_places(body(b"iloc"), set(items), within))
        found.metadata = [Part(kind, *places[item]) for item, kind in items.items() if item in places]


def _inside(data: BinaryIO, box: Part, skipped: int = 0) -> Iterator[Part]:
    return boxes(data, _MAX_BOXES, box.start + skipped, box.start + box.length)


def _primary(body: bytes) -> int:
    return int.from_bytes(body[4:6] if body[:1] == b"\0" else body[4:8])


def _associated(body: bytes, item: int) -> list[int]:
    """Returns the numbers, from 1 on, of an item's properties."""
    version, wide = body[0], body[3] & 1
    id_bytes, each = 2 if version < 1 else 4, 1 + wide
    at = 8
    for _ in range(min(int.from_bytes(body[4:8]), _MAX_BOXES)):
        current, count = int.from_bytes(body[at : at + id_bytes]), body[at + id_bytes]
        at += id_bytes + 1
        if current == item:
            mask = 0x7FFF if wide else 0x7F
            numbers = (body[at + each * index : at + each * (index + 1)] for index in range(count))
            return [int.from_bytes(number) & mask for number in numbers]
        at += each * count
    return []


def _read_property(kind: bytes, body: bytes, found: HeifImage) -> None:
    match kind:
        case b"ispe":
            found.width, found.height = struct.unpack(">4xII", body[:12])
        case b"pixi":
            found.depth = max(body[5:], default=8)
        case b"colr" if body[:4] in (b"prof", b"rICC"):
            found.icc = body[4:]
        case b"colr" if body[:4] == b"nclx":
            primaries, transfer, matrix = struct.unpack(">4xHHH", body[:10])
            found.nclx = primaries, transfer, matrix


def _metadata_items(data: BinaryIO, listed: Part) -> Iterator[tuple[int, bytes]]:
    """Yields id and kind of the items that are EXIF or XMP."""
    count_bytes = 2 if read_body(data, listed, 1) == b"\0" else 4
    for box in _inside(data, listed, 4 + count_bytes):
        body = read_body(data, box, 100)
        version, id_bytes = body[0], 2 if body[0] < 3 else 4
        kind = body[4 + id_bytes + 2 : 4 + id_bytes + 6]
        if version >= 2 and (kind == b"Exif" or (kind == b"mime" and b"rdf+xml" in body)):
            yield int.from_bytes(body[4 : 4 + id_bytes]), kind


def _places(body: bytes, wanted: set[int], within: int | None) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yields id, start and length in the file of each wanted item, or of its first piece.

    `within`: position in the file of `idat`, the box of small items; None without one.
    """
    version = body[0]
    offset_bytes, length_bytes, base_bytes, index_bytes = body[4] >> 4, body[4] & 15, body[5] >> 4, body[5] & 15
    if version == 0:
        index_bytes = 0
    id_bytes, at = 2 if version < 2 else 4, 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(body):
            raise IndexError
        return int.from_bytes(body[at - size : at])

    for _ in range(min(number(id_bytes), _MAX_BOXES)):
        item = number(id_bytes)
        method = number(2) & 15 if version else 0
        number(2)
        base, extents = number(base_bytes), number(2)
        if not extents:
            continue
        number(index_bytes)
        offset, length = number(offset_bytes), number(length_bytes)
        # Skipped at once: in a hostile file, 65,535 extents take no bytes.
        at += (extents - 1) * (index_bytes + offset_bytes + length_bytes)
        origin = {0: 0, 1: within}.get(method)
        if item in wanted and origin is not None:
            yield item, (origin + base + offset, length)
