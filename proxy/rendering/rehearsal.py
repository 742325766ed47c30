"""Decodes and encodes one small image of each kind, so that a process has loaded all it needs before its sandbox.

Afterwards no module can be imported and no file opened. The tests compare the modules with those that a large corpus of
images loads.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from io import BytesIO

from PIL import Image, ImageCms

from proxy import system
from proxy.errors import Refused
from proxy.imaging import heic, vips
from proxy.imaging.inspect import inspect
from proxy.imaging.limits import Limits
from proxy.imaging.original_file import OpenedFile
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import Fit, Format, Position

_SIDE = 64
_LIMITS = Limits(1, 10_000)
_THOROUGH = 2
"""Samples, one opaque and one with alpha, that are inspected and rendered in every format. Doing so with all of them
would be most of the time of a start."""
_FOR_SEARCHES = ("proxy.imaging.auto_quality.search",)
_LOADED_LATE = (
    *(f"PIL.{name}ImagePlugin" for name in ("Jpeg", "Mpo", "Png", "WebP", "Avif", "Gif", "Tiff")),
    *(f"encodings.{name}" for name in ("ascii", "latin_1", "utf_16", "utf_16_be", "utf_16_le", "utf_32")),
)
"""Modules that only unusual files need: several frames, long EXIF, text in its encodings."""


def load_libraries(*, searches: bool) -> None:
    """Imports everything, and loads libvips if it is installed. Starts no thread."""
    vips.load()
    if system.has_pillow_heif():
        heic.load()
    Image.preinit()
    for name in (*_LOADED_LATE, *(_FOR_SEARCHES if searches else ())):
        import_module(name)


def rehearse(*, searches: bool) -> None:
    """Renders samples, so that every codec is set up. `searches`: with quality searches, too.

    The samples are files in memory. Does nothing on systems without such files, which have no sandbox either.
    """
    if not hasattr(os, "memfd_create"):
        return
    target = Target(32, 32, Fit.COVER, Format.JPG, 80, "#ffffff", keep_exif=True)
    targets = [replace(target, width=side, height=side, format=format) for side in (32, 16) for format in Format]
    targets.append(replace(target, width=8, height=8, format=Format.WEBP, animated=True))
    if vips.is_installed():
        targets.append(replace(target, width=_SIDE, height=_SIDE // 2, position=Position.ATTENTION))
    if searches:
        targets.append(replace(target, width=_SIDE, height=_SIDE, score=50.0))
    for number, sample in enumerate(_samples()):
        thorough = number < _THOROUGH
        descriptor = os.memfd_create("sample")
        try:
            os.write(descriptor, sample)
            original = OpenedFile(descriptor)
            with suppress(Refused):
                if thorough:
                    inspect(original, _LIMITS)
                for _ in render(original, targets if thorough else targets[:1], _LIMITS):
                    pass
        finally:
            os.close(descriptor)


def _samples() -> Iterator[bytes]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.linear_gradient("L").resize((_SIDE, _SIDE)).convert("RGB")
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "sample", 6
    clear = image.convert("RGBA")
    clear.putalpha(image.getchannel("R"))
    yield _saved(image, "JPEG", progressive=True, icc_profile=profile, exif=exif)
    yield _saved(clear, "PNG", icc_profile=profile, exif=exif)
    yield _saved(image.convert("CMYK"), "JPEG")
    yield _saved(image.quantize(8), "PNG")
    yield _saved(image.convert("I;16"), "PNG")
    yield _saved(clear, "WEBP", icc_profile=profile, exif=exif)
    yield _saved(image, "WEBP", save_all=True, append_images=[clear])
    yield _saved(clear, "AVIF", max_threads=1, icc_profile=profile, exif=exif)
    yield _saved(image.quantize(8), "GIF", save_all=True, append_images=[image.quantize(4)])
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield _saved(image, "TIFF", compression=compression, icc_profile=profile, exif=exif)
    yield _saved(image.convert("1"), "TIFF", compression="group4")
    yield _saved(image, "JPEG")[:400]  # damaged


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
