"""Finds the kinds of private metadata in a file; never its values.

A name counts even if its value cannot be read: a false report is better than a missed one. XMP is searched for the
usual property names and never parsed, so no XML entity is expanded.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Literal

from proxy.imaging.metadata import Block, Source, metadata_blocks
from proxy.imaging.original_file import OriginalFile


class Private(StrEnum):
    """Kinds of private metadata, in the order in which they are reported."""

    LOCATION = "location"
    SERIAL = "serial"
    """Serial number of a camera or lens. A MakerNote counts, because nearly every maker stores one there."""
    AUTHOR = "author"
    """Names of people: who made or owns the image, or is shown in it."""
    TIME = "time"
    DEVICE = "device"
    """Camera, lens, or program."""
    COMMENTS = "comments"
    """Titles, captions, keywords, and any other text."""
    THUMBNAIL = "thumbnail"
    """A small image, perhaps from before the original was cropped or retouched."""
    PROVENANCE = "provenance"
    """History of the image: authors, editors, programs (C2PA content credentials)."""
    PICTURE = "picture"
    """Another picture or video in the file, such as a second view or a motion photo. Metadata of a picture is reported
    too."""


_LOCATION, _SERIAL, _AUTHOR, _TIME, _DEVICE, _COMMENTS, _THUMBNAIL, _PROVENANCE, _PICTURE = Private

_MAX_ENTRIES = 1000  # of one directory; cameras write some tens
_MAX_VALUE = 64  # bytes of a value that are checked for content
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_USER_COMMENT = 0x9286
# One kind a line.
# fmt: off
_EXIF_TAGS = {
    0xA431: _SERIAL, 0xA435: _SERIAL, 0xC62F: _SERIAL, 0x927C: _SERIAL, 0xA420: _SERIAL,
    0xA437: _AUTHOR, 0xA438: _AUTHOR, 0x013B: _AUTHOR, 0x8298: _AUTHOR, 0x9C9D: _AUTHOR, 0xA430: _AUTHOR,
    0x0132: _TIME, 0x9003: _TIME, 0x9004: _TIME,
    0x010F: _DEVICE, 0x0110: _DEVICE, 0x0131: _DEVICE, 0x013C: _DEVICE, 0xA433: _DEVICE, 0xA434: _DEVICE,
    0x000B: _DEVICE, 0xA439: _DEVICE, 0xA43A: _DEVICE, 0xA43B: _DEVICE, 0xA43C: _DEVICE, 0xC614: _DEVICE,
    0x010D: _COMMENTS, 0xA436: _COMMENTS, 0x010E: _COMMENTS, _USER_COMMENT: _COMMENTS,
    0x9C9B: _COMMENTS, 0x9C9C: _COMMENTS, 0x9C9E: _COMMENTS, 0x9C9F: _COMMENTS,
}
_GPS_TAGS = {
    0x02: _LOCATION, 0x04: _LOCATION, 0x06: _LOCATION, 0x14: _LOCATION, 0x16: _LOCATION, 0x1C: _LOCATION,
    0x07: _TIME, 0x1D: _TIME,
}
_THUMBNAIL_TAGS = {0x0201: _THUMBNAIL, 0x0111: _THUMBNAIL}
_IPTC_DATASETS = {
    26: _LOCATION, 27: _LOCATION, 90: _LOCATION, 92: _LOCATION, 95: _LOCATION, 100: _LOCATION, 101: _LOCATION,
    80: _AUTHOR, 85: _AUTHOR, 110: _AUTHOR, 116: _AUTHOR, 118: _AUTHOR, 122: _AUTHOR,
    55: _TIME, 60: _TIME, 62: _TIME, 63: _TIME,
    65: _DEVICE,
    5: _COMMENTS, 25: _COMMENTS, 105: _COMMENTS, 120: _COMMENTS,
}
# fmt: on
_IPTC = re.compile(rb"\x1c\x02(.)", re.DOTALL)
_PHOTOSHOP_THUMBNAIL = re.compile(rb"8BIM\x04[\x09\x0c]")
_XMP_NAMES = {
    _LOCATION: re.compile(
        rb"G[Pp][Ss](?:Lat|Long?t?itude|Position|Altitude\b|Dest|Area)|shotLocation|photoshop:(?:City|State|Country)"
        rb"|Iptc4xmp(?:Core|Ext):(?:Location|Sublocation|City|ProvinceState|Country|WorldRegion)"
        rb"|acdsee:location|dcterms:spatial"
    ),
    _SERIAL: re.compile(rb"SerialNumber"),
    _AUTHOR: re.compile(
        rb"dc:(?:creator|rights|contributor|publisher)|photoshop:(?:Credit|AuthorsPosition|CaptionWriter|Source)"
        rb"|OwnerName|tiff:(?:Artist|Copyright)|xmpRights:(?:Owner|WebStatement)|plus:(?:ImageCreator|CopyrightOwner|Licensor)"
        rb"|CreatorContactInfo|PersonInImage|PersonDisplayName|mwg-rs:Name|exifEX:(?:Photographer|ImageEditor)|pdf:Author"
        rb"|xmpDM:artist|acdsee:author"
    ),
    _TIME: re.compile(
        rb"(?:Create|Modify|Metadata|Photo)Date|Date(?:Created|Time(?:Original|Digitized)?)\b|stEvt:when|dc:date"
        rb"|GPS(?:Time|Date)Stamp"
    ),
    _DEVICE: re.compile(
        rb"tiff:(?:Make|Model)|CreatorTool|softwareAgent|aux:Lens|LensM|GPano:(?:Stitching|Capture)Software"
    ),
    _COMMENTS: re.compile(
        rb"dc:(?:description|title|subject)|UserComment|photoshop:(?:Headline|Instructions)|hierarchicalSubject|TagsList"
        rb"|AltTextAccessibility|ExtDescrAccessibility|Iptc4xmpExt:Event|acdsee:(?:caption|keywords|notes)"
    ),
    _THUMBNAIL: re.compile(rb"xmpGImg:image"),
    _PROVENANCE: re.compile(rb"dcterms:provenance|DigitalSourceType"),
    _PICTURE: re.compile(rb"MotionPhoto\b|MicroVideo\b|G(?:Image|Depth|Audio):Data\b"),
}
_NAMESPACE = re.compile(rb"""xmlns:([\w.-]{1,40})\s*=\s*["']([^"']{1,100})["']""")
_PREFIX = re.compile(rb"[\w.-]{1,40}:")
_MOST_NAMESPACES = 40  # files have about ten
_USUAL_PREFIXES = {
    b"http://cipa.jp/exif/1.0/": b"exifEX",
    b"http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": b"Iptc4xmpCore",
    b"http://iptc.org/std/Iptc4xmpExt/2008-02-29/": b"Iptc4xmpExt",
    b"http://ns.adobe.com/photoshop/1.0/": b"photoshop",
    b"http://ns.adobe.com/tiff/1.0/": b"tiff",
    b"http://ns.adobe.com/xap/1.0/rights/": b"xmpRights",
    b"http://ns.adobe.com/xmp/1.0/DynamicMedia/": b"xmpDM",
    b"http://ns.google.com/photos/1.0/panorama/": b"GPano",
    b"http://ns.useplus.org/ldf/xmp/1.0/": b"plus",
    b"http://purl.org/dc/elements/1.1/": b"dc",
    b"http://purl.org/dc/terms/": b"dcterms",
    b"http://www.metadataworkinggroup.com/schemas/regions/": b"mwg-rs",
}
_BY_PRESENCE = {
    Source.TIME: _TIME,
    Source.PROVENANCE: _PROVENANCE,
    Source.PICTURE: _PICTURE,
    Source.THUMBNAIL: _THUMBNAIL,
}
_PNG_KEYWORDS = {
    b"author": _AUTHOR,
    b"artist": _AUTHOR,
    b"copyright": _AUTHOR,
    b"creation time": _TIME,
    b"date:create": _TIME,
    b"date:modify": _TIME,
    b"software": _DEVICE,
    b"source": _DEVICE,
}


def private_metadata(*paths: OriginalFile) -> list[Private]:
    """Returns the kinds in the files at `paths`, together. Raises OSError if one cannot be read."""
    return _in_order(kind for path in paths for block in metadata_blocks(path) for kind in _kinds_in_block(block))


def private_exif(exif: bytes | None) -> list[Private]:
    """Returns the kinds in `exif`, the bytes that an encoder is given."""
    return _in_order(_kinds_in_exif((exif or b"").removeprefix(b"Exif\0\0")))


def _in_order(found: Iterable[Private]) -> list[Private]:
    kinds = set(found)
    return [kind for kind in Private if kind in kinds]


def _kinds_in_block(block: Block) -> Iterable[Private]:
    match block.source:
        case Source.EXIF:
            return _kinds_in_exif(block.body)
        case Source.XMP:
            text = _with_usual_prefixes(block.body.replace(b"\0", b""))  # finds UTF-16 names, too
            return [kind for kind, names in _XMP_NAMES.items() if names.search(text)]
        case Source.PHOTOSHOP:
            return _kinds_in_photoshop(block.body)
        case Source.TEXT:
            return [_PNG_KEYWORDS.get(block.body.partition(b"\0")[0], _COMMENTS)]
        case Source.COMMENT:
            return [_COMMENTS] if block.body.strip(b"\0 ") else []
        case Source.TIME | Source.PROVENANCE | Source.PICTURE | Source.THUMBNAIL:
            return [_BY_PRESENCE[block.source]]


def _with_usual_prefixes(xmp: bytes) -> bytes:
    """Renames the prefixes of known namespaces: a file may choose them freely."""
    stated = (match.groups() for match in islice(_NAMESPACE.finditer(xmp), _MOST_NAMESPACES))
    renamed = {
        prefix + b":": _USUAL_PREFIXES[name] + b":"
        for prefix, name in stated
        if _USUAL_PREFIXES.get(name, prefix) != prefix
    }
    return _PREFIX.sub(lambda found: renamed.get(found[0], found[0]), xmp) if renamed else xmp


def _kinds_in_photoshop(body: bytes) -> Iterator[Private]:
    for dataset in _IPTC.finditer(body):
        if kind := _IPTC_DATASETS.get(dataset[1][0]):
            yield kind
    if _PHOTOSHOP_THUMBNAIL.search(body):
        yield _THUMBNAIL


def _kinds_in_exif(tiff: bytes) -> Iterator[Private]:
    """Reads the first directory, the EXIF and GPS directories below it, and the second one, the thumbnail's."""
    if tiff[:2] not in (b"II", b"MM"):
        return
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = _Directory(tiff, order, int.from_bytes(tiff[4:8], order))
    for directory, tags in (
        (first, _EXIF_TAGS),
        (first.subdirectory(_EXIF_DIRECTORY), _EXIF_TAGS),
        (first.subdirectory(_GPS_DIRECTORY), _GPS_TAGS),
        (first.next(), _THUMBNAIL_TAGS),
    ):
        yield from (kind for tag, kind in tags.items() if directory.has_value(tag))


class _Directory:
    """A TIFF directory: its entries by tag. Data beyond the end of the file reads as empty."""

    def __init__(self, tiff: bytes, order: Literal["little", "big"], start: int) -> None:
        self._tiff = tiff
        self._order = order
        count = self._number(start, 2) if 0 < start < len(tiff) else 0
        self._end = start + 2 + 12 * count
        self._entries = {
            self._number(at, 2): at for at in range(start + 2, start + 2 + 12 * min(count, _MAX_ENTRIES), 12)
        }

    def subdirectory(self, tag: int) -> "_Directory":
        at = self._entries.get(tag)
        return _Directory(self._tiff, self._order, self._number(at + 8, 4) if at else 0)

    def next(self) -> "_Directory":
        return _Directory(self._tiff, self._order, self._number(self._end, 4) if self._entries else 0)

    def has_value(self, tag: int) -> bool:
        """Whether the tag has more than blanks and zeros, which cameras write into unset fields."""
        at = self._entries.get(tag)
        if at is None:
            return False
        size = self._number(at + 4, 4) * _TYPE_BYTES.get(self._number(at + 2, 2), 1)
        start = at + 8 if size <= 4 else self._number(at + 8, 4)
        if tag == _USER_COMMENT:  # skip the name of its character set
            start, size = start + 8, size - 8
        return bool(self._tiff[start : start + max(0, min(size, _MAX_VALUE))].strip(b"\0 "))

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._tiff[at : at + size], self._order)
