"""Golden digests of some renderings, so that every change of their bytes is noticed.

If bytes change, stored variants are stale, and only `RENDERING_VERSION` marks them so.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxy.imaging import encode
from proxy.imaging.limits import Limits
from proxy.imaging.original_file import FileInMemory
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import ColorSpace, Fit, Focus, Format, Position, Watermark, WatermarkPosition
from proxy.recipe import RENDERING_VERSION
from proxy.settings import WatermarkFile
from tests.camera import camera_exif, oriented
from tests.icc_profiles import ADOBE_RGB, COATED_INKS_LAB, DISPLAY_P3, GREY_GAMMA_22, press_profile
from tests.pictures import animated, chunk, disc, jpeg, png, png_header, raw_png, webp, ycck_jpeg

GOLDEN = Path(__file__).with_suffix(".json")
QUALITY = {Format.JPG: 82, Format.WEBP: 85, Format.AVIF: 67}
TARGETS = {
    format: Target(48, 32, Fit.COVER, format, QUALITY.get(format), "#ffffff", keep_exif=False) for format in Format
}
THUMBNAIL, JPG = TARGETS[Format.PNG], TARGETS[Format.JPG]


@cache
def samples(width: int = 160, height: int = 120) -> Image.Image:
    """Edges, ramps and texture in RGB, by integer arithmetic: the same on every machine."""
    y, x = np.mgrid[:height, :width]
    red, green, blue = x * 255 // width, y * 255 // height, (x // 16 + y // 16) % 2 * 200 + (x * y * 7 % 31)
    return Image.fromarray(np.dstack([red, green, blue]).astype(np.uint8))


@cache
def ramp() -> Image.Image:
    """An alpha channel from transparent to opaque."""
    return Image.fromarray((np.mgrid[:120, :160][1] * 255 // 159).astype(np.uint8))


def with_alpha(mode: str = "RGBA") -> Image.Image:
    image = samples().convert(mode)
    image.putalpha(ramp())
    return image


def sources() -> Iterator[tuple[str, bytes]]:
    """One original of each kind: format, mode, profile, orientation."""
    rgb, grey, inks = samples(), samples().convert("L"), samples().convert("CMYK")
    deep = np.asarray(rgb, np.uint16) * 257
    yield "jpeg", jpeg(rgb)
    yield "jpeg 4:2:0 progressive", jpeg(rgb, subsampling="4:2:0", progressive=True)
    yield "jpeg grey", jpeg(grey)
    yield "jpeg grey, gamma 2.2", jpeg(grey, icc_profile=GREY_GAMMA_22)
    yield "jpeg Display P3", jpeg(rgb, icc_profile=DISPLAY_P3)
    yield "jpeg Adobe RGB", jpeg(rgb, icc_profile=ADOBE_RGB)
    yield "jpeg CMYK", jpeg(inks)
    yield "jpeg CMYK, profile", jpeg(inks, icc_profile=press_profile())
    yield "jpeg YCCK", ycck_jpeg(inks)
    for orientation in range(2, 9):
        yield f"jpeg orientation {orientation}", oriented(rgb, orientation)
    yield "png", png(rgb)
    yield "png alpha", png(with_alpha())
    yield "png grey alpha", png(with_alpha("L"))
    yield "png palette", png(rgb.quantize(32))
    yield "png palette, transparency", png(rgb.quantize(32), transparency=3)
    yield "png colour key", png(rgb, transparency=(0, 0, 0))
    yield "png 1 bit", png(grey.convert("1"))
    yield "png 16 bit", raw_png(deep, 16)
    yield "png 16 bit grey", raw_png(deep[:, :, 0], 16)
    yield "png Display P3", png(rgb, icc_profile=DISPLAY_P3)
    yield "png orientation 6", oriented(rgb, 6, "PNG")
    yield "webp", webp(rgb, lossless=False, quality=90)
    yield "webp alpha", webp(with_alpha())
    yield "webp Display P3", webp(rgb, icc_profile=DISPLAY_P3)
    yield "webp animated", animated(rgb, "WEBP")


def watermark_file() -> WatermarkFile:
    """Half transparent texture, of pixels that are the same on every machine."""
    image = with_alpha().resize((80, 60), Image.Resampling.NEAREST)
    rows = b"".join(b"\0" + image.crop((0, y, 80, y + 1)).tobytes() for y in range(60))
    body = png_header(80, 60, 8, 6) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return WatermarkFile("logo.png", 80 * 60, body, hashlib.sha256(body).hexdigest())


def renderings() -> Iterator[tuple[str, bytes, Target]]:
    """A thumbnail of each kind of original, then many targets of two originals: opaque and transparent."""
    for name, original in sources():
        yield name, original, THUMBNAIL
    opaque, clear = jpeg(samples(), exif=camera_exif()), png(with_alpha())
    for target in [target for target in TARGETS.values() if target is not THUMBNAIL]:
        yield f"jpeg to {target.format}", opaque, target
        yield f"alpha to {target.format}", clear, target
        if target.quality:
            yield f"jpeg to {target.format}, score 80", opaque, replace(target, width=120, height=120, score=80)
        yield f"jpeg to {target.format}, its own size", opaque, replace(target, width=200, height=None, fit=Fit.INSIDE)
        yield f"jpeg to {target.format}, EXIF kept", opaque, replace(target, keep_exif=True)
    yield "alpha on black", clear, replace(JPG, background="#000000")
    yield "crop of alpha, unscaled", clear, replace(THUMBNAIL, width=160, height=90)
    yield "alpha, its own size", clear, replace(THUMBNAIL, width=200, height=None, fit=Fit.INSIDE)
    yield "inside", opaque, replace(JPG, width=50, height=50, fit=Fit.INSIDE)
    yield "width alone", opaque, replace(JPG, width=60, height=None, fit=Fit.INSIDE)
    yield "enlarged", opaque, replace(JPG, width=240, height=240)
    pad = replace(THUMBNAIL, fit=Fit.PAD, background="#204060")
    yield "pad", opaque, pad
    yield "pad of alpha", clear, pad
    yield "pad, not enlarged", opaque, replace(pad, width=240, height=240, enlarge=False)
    yield "cover, not enlarged", opaque, replace(THUMBNAIL, width=240, height=200, enlarge=False)
    focused = replace(THUMBNAIL, position=Position.FOCUS, focus=Focus("0.1,0.9"), width=20)
    yield "focus", opaque, focused
    yield "focus, orientation 6", oriented(samples(), 6), focused
    yield "attention", opaque, replace(THUMBNAIL, position=Position.ATTENTION, width=20)
    for name, options in {"grayscale": {"grayscale": True}, "blur": {"blur": 2.0}, "sharpen": {"sharpen": 0.5}}.items():
        yield name, opaque, replace(THUMBNAIL, **options)
        yield f"{name} of alpha", clear, replace(THUMBNAIL, **options)
    mark = Watermark(watermark_file().digest, 80 * 60, opacity=0.75, width=0.5)
    for target in TARGETS.values():
        yield f"watermark in {target.format}", opaque, replace(target, watermark=mark)
        yield f"watermark over alpha in {target.format}", clear, replace(target, watermark=mark)
    centered = replace(mark, position=WatermarkPosition.CENTER)
    yield (
        "watermark, animated",
        animated(samples(), "GIF"),
        replace(TARGETS[Format.WEBP], animated=True, watermark=centered),
    )
    yield "watermark, padded", opaque, replace(pad, watermark=centered)
    for format in ("GIF", "PNG", "WEBP"):
        yield f"animation of {format}", animated(samples(), format), replace(TARGETS[Format.WEBP], animated=True)
    yield from renderings_in_display_p3()
    yield "jpeg reduced while decoding", jpeg(samples(1200, 900)), JPG
    yield "png reduced while decoding", png(samples(1200, 900)), JPG
    yield "webp reduced while decoding", webp(samples(1200, 900)), JPG


def renderings_in_display_p3() -> Iterator[tuple[str, bytes, Target]]:
    rgb, options = samples(), {"icc_profile": DISPLAY_P3}
    kept = replace(THUMBNAIL, color_space=ColorSpace.DISPLAY_P3)
    for target in TARGETS.values():
        yield f"Display P3 kept in {target.format}", jpeg(rgb, **options), replace(target, color_space=kept.color_space)
    searched = replace(kept, format=Format.JPG, quality=82, width=120, height=120, score=80)
    yield "Display P3 kept, score 80", jpeg(rgb, **options), searched
    yield "Display P3 kept, alpha", png(with_alpha(), **options), kept
    yield (
        "Display P3 kept, palette",
        png(rgb.quantize(32).convert("RGB"), **options),
        replace(kept, width=160, height=120),
    )
    yield "Display P3 kept, pad", jpeg(rgb, **options), replace(kept, fit=Fit.PAD, background="#204060")
    yield "Display P3 of Adobe RGB", jpeg(rgb, icc_profile=ADOBE_RGB), kept
    inks = jpeg(rgb.convert("CMYK"), icc_profile=press_profile(inks=COATED_INKS_LAB))
    yield "Display P3 of CMYK", inks, kept
    mark = Watermark(watermark_file().digest, 80 * 60, opacity=0.75, width=0.5)
    yield "Display P3 kept, watermark", jpeg(rgb, **options), replace(kept, watermark=mark)
    yield "drawing in avif", png(disc((200, 30, 40), 96)), replace(TARGETS[Format.AVIF], width=96, height=96)
    yield "drawing in png", png(disc((200, 30, 40), 96)), replace(TARGETS[Format.PNG], width=96, height=96)


def digest(folder: Path, original: bytes, target: Target) -> str:
    path = folder / "original"
    path.write_bytes(original)
    mark = watermark_file()
    [file] = render(path, [target], Limits(1, 10000), None, {mark.digest: FileInMemory(mark.body)})
    return hashlib.sha256(without_deflate(file.body)).hexdigest()[:16]


def without_deflate(file: bytes) -> bytes:
    """A PNG with its pixels and profile decompressed: the output of Python's zlib differs between machines."""
    if not file.startswith(b"\x89PNG"):
        return file
    parts, start, packed = [], 8, b""
    while start < len(file):
        length, kind = struct.unpack_from(">I4s", file, start)
        body = file[start + 8 : start + 8 + length]
        packed, body = (packed + body, b"") if kind == b"IDAT" else (packed, body)
        if kind == b"iCCP":
            name, _, profile = body.partition(b"\0\0")
            body = name + zlib.decompress(profile)
        parts.append(kind + body)
        start += 12 + length
    return b"".join([*parts, packed[:2], zlib.decompress(packed)])  # the first two bytes tell the level


def codec_versions() -> dict[str, str]:
    return {name: version for name, version in encode.versions().items() if name != "zlib in Python"}


@pytest.mark.heavy
def test_bytes_change_only_with_the_rendering_version(tmp_path: Path) -> None:
    digests = {name: digest(tmp_path, original, target) for name, original, target in renderings()}
    today = {"rendering_version": RENDERING_VERSION, "codecs": codec_versions(), "digests": digests}

    known = json.loads(GOLDEN.read_text())
    changed = sorted(
        name for name in digests.keys() & known["digests"].keys() if digests[name] != known["digests"][name]
    )
    same_recipe = (known["rendering_version"], known["codecs"]) == (RENDERING_VERSION, codec_versions())
    advice = f"raise RENDERING_VERSION to {RENDERING_VERSION + 1}, then " if changed and same_recipe else ""
    assert today == known, (
        f"the bytes of these renderings changed: {', '.join(changed) or 'none'}. If this is intended, {advice}"
        f"paste this into {GOLDEN.name}:\n{json.dumps(today, indent=2)}"
    )
