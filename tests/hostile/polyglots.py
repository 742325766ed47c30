"""Images that are also files of another kind, and other files with an image's signature."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from types import MappingProxyType

from PIL import Image, ImageDraw

from tests.camera import XMP, camera_exif, exif_with_text_orientation
from tests.icc_profiles import SRGB_XY, rgb_profile, srgb_curve
from tests.pictures import chunk, jpeg, png, webp

MARKERS = (
    b"<?php ",
    b"<script>",
    b"PK\x05\x06\0\0",
    b"alert(",
    b"<svg xmlns",
    b"%PDF-1",
    b"SN-4711",
    b"x:xmpmeta",
    b"#!/bin/sh",
)
"""No variant may contain any of these. They are too long to occur by chance."""

PAYLOADS = {
    "PHP": b"<?php system($_GET['c']); __halt_compiler(); ?>",
    "HTML": b"<html><body><script>alert(document.domain)</script></body></html>",
    "JavaScript": b"*/=alert(1)/*<script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "PDF": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>endobj\n%%EOF",
    "a shell script": b"#!/bin/sh\nid\n",
    "a program": b"MZ\x90\x00" + bytes(60),
}

Files = Iterator[tuple[str, bytes, str]]
"""Names, contents, and the expected result."""


def both() -> Files:
    """Valid images with a payload in each place where a file has room: accepted, and removed from variants."""
    picture = Image.linear_gradient("L").resize((120, 110)).convert("RGB")
    whole = {"JPEG": jpeg(picture), "PNG": png(picture), "WebP": webp(picture)}
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.php", PAYLOADS["PHP"])
    for name, payload in (PAYLOADS | {"a ZIP": archive.getvalue()}).items():
        for format, content in whole.items():
            yield f"{format} with {name} behind it", content + payload, "accepted"
        yield f"JPEG with {name} in its comment", jpeg(picture, comment=payload), "accepted"
        yield f"JPEG with {name} in its EXIF", jpeg(picture, exif=exif_with_text_orientation(payload)), "accepted"
        yield f"JPEG with {name} in a segment", _segment(whole["JPEG"], b"\xff\xe9", payload), "accepted"
        yield f"JPEG with {name} in its profile", jpeg(picture, icc_profile=_profile(payload)), "accepted"
        yield f"PNG with {name} in its text", _chunk(whole["PNG"], b"tEXt", b"Comment\0" + payload), "accepted"
        yield f"PNG with {name} in a chunk of its own", _chunk(whole["PNG"], b"prVt", payload), "accepted"
        yield f"PNG with {name} in its palette", _in_palette(payload), "accepted"
        yield f"WebP with {name} in its XMP", webp(picture, xmp=XMP + payload), "accepted"
        yield f"WebP with {name} in its EXIF", webp(picture, exif=exif_with_text_orientation(payload)), "accepted"
    yield "JPEG that tells where it was taken", jpeg(picture, exif=camera_exif()), "accepted"


def dressed() -> Files:
    """Other files with an image's signature, or without."""
    for name, payload in PAYLOADS.items():
        yield name, payload, "unsupported_format"
        yield f"{name} behind a space", b" " + payload, "unsupported_format"
        yield f"{name} behind a PNG's signature", b"\x89PNG\r\n\x1a\n" + payload, "undecodable"
        yield f"{name} behind a JPEG's signature", b"\xff\xd8\xff\xe0" + payload, "undecodable"
        yield f"{name} behind a WebP's signature", b"RIFF\x40\0\0\0WEBP" + payload, "undecodable"
        yield f"{name} behind a GIF's signature", b"GIF89a" + payload, "unsupported_format"
        yield f"{name} behind a BMP's signature", b"BM" + payload, "unsupported_format"
    photoshop = b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x78\0\0\0\x78\0\x08\0\3"
    yield "Photoshop", photoshop + bytes(5000), "unsupported_format"
    yield "XML that unpacks itself", b'<!DOCTYPE x [<!ENTITY a "&b;&b;">]><svg>&a;</svg>', "unsupported_format"


def _segment(whole: bytes, marker: bytes, body: bytes) -> bytes:
    return whole[:2] + marker + (len(body) + 2).to_bytes(2) + body + whole[2:]


def _chunk(whole: bytes, kind: bytes, body: bytes) -> bytes:
    return whole[:33] + chunk(kind, body) + whole[33:]


def _profile(payload: bytes) -> bytes:
    return rgb_profile(payload.decode("latin-1"), SRGB_XY, srgb_curve())


def _in_palette(payload: bytes) -> bytes:
    image = Image.new("P", (120, 110))
    image.putpalette(payload.ljust(-(-len(payload) // 3) * 3, b" ")[:768])
    draw = ImageDraw.Draw(image)
    for column in range(120):  # uses every colour, in the order of the palette
        draw.line([column, 0, column, 109], fill=column % min(256, -(-len(payload) // 3)))
    return png(image)


GROUPS: Mapping[str, Callable[[], Files]] = MappingProxyType({"polyglot": both, "dressed as a picture": dressed})
