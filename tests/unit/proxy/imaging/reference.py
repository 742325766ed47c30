"""An independent reference rendering, and measures to compare the pipeline with it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from proxy.imaging.alpha import drop_redundant_channels, to_plain_channels
from proxy.imaging.encode import encode
from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from proxy.settings import Quality
from tests.photographs import photograph
from tests.pictures import raw_png

SNAPSHOT = (400, 300)  # pixels of a camera file, in tests that do not depend on its size
SCALED = (2700, 2000)  # about the smallest JPEG that is decoded at half scale for the standard sizes
LIMITS = Limits(min_side=100, max_side=10_000)
SIDES = {"small": 150, "medium": 400, "large": 800}
QUALITY = {format: getattr(Quality(), format, None) for format in Format}


def target(
    width: int | None,
    height: int | None,
    format: Format = Format.PNG,
    *,
    fit: Fit = Fit.COVER,
    background: str = "#ffffff",
    keep_exif: bool = False,
) -> Target:
    return Target(width, height, fit, format, QUALITY[format], background, keep_exif)


def sized(name: str, side: int = 200) -> Image.Image:
    return photograph(name).resize((side, side), Image.Resampling.LANCZOS)


def encoded(image: Image.Image, format: Format, background: str = "#ffffff") -> bytes:
    return encode(image.copy(), target(*image.size, format, background=background), None)


@contextmanager
def on_disk(original: bytes) -> Iterator[Path]:
    with NamedTemporaryFile() as file:
        file.write(original)
        file.flush()
        yield Path(file.name)


def rendered(original: bytes, *targets: Target) -> list[bytes]:
    """Renders the files, in the order of their targets."""
    with on_disk(original) as path:
        files = sorted(render(path, targets, LIMITS), key=lambda file: file.index)
    assert [file.index for file in files] == list(range(len(targets)))
    return [file.body for file in files]


def picture(original: bytes, wanted: Target) -> Image.Image:
    """Renders one target and decodes it."""
    return decoded(rendered(original, wanted)[0])


def decoded(body: bytes) -> Image.Image:
    """Returns the pixels as L, LA, RGB or RGBA, however few bits the file has for each."""
    with Image.open(BytesIO(body)) as image:
        image.load()
    return drop_redundant_channels(to_plain_channels(image, "")) if image.mode in ("1", "P") else image


def pixels(image: Image.Image, mode: str = "RGB") -> NDArray[np.float64]:
    return np.asarray(image.convert(mode), np.float64)


def with_decoders(originals: Mapping[str, bytes]) -> list[Any]:
    """Parameters `original` and `decoder`: each original with each library that can decode it. JPEG has only one."""
    return [
        pytest.param(original, decoder, id=f"{name}-{decoder}")
        for name, original in originals.items()
        for decoder in (["libvips"] if original.startswith(b"\xff\xd8") else ["libvips", "pillow"])
    ]


def covered(original: bytes, width: int, height: int) -> Image.Image:
    """Renders in the simplest order: decodes in full, turns upright, converts to sRGB, then crops and scales once."""
    return ImageOps.fit(upright_srgb(original), (width, height), Image.Resampling.LANCZOS)


@lru_cache(maxsize=2)
def upright_srgb(original: bytes) -> Image.Image:
    image = decoded(original)
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if profile is None:
        return image
    return by_littlecms(image, profile)


def by_littlecms(image: Image.Image, profile: bytes, to: Any = None, mode: str = "RGB") -> Image.Image:
    """Converts to sRGB or the profile `to`, relative colorimetric with black point compensation."""
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.ImageCmsProfile(BytesIO(to)) if isinstance(to, bytes) else to or ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode=mode,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return converted


def psnr(one: Image.Image, other: Image.Image, mode: str = "RGB") -> float:
    """The similarity in decibels: 30 looks similar, 40 is hard to tell apart, 50 a rounding error."""
    error = float(np.mean((pixels(one, mode) - pixels(other, mode)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def farthest(one: Image.Image, other: Image.Image, mode: str = "RGB") -> float:
    """The largest difference of any sample."""
    return float(np.abs(pixels(one, mode) - pixels(other, mode)).max())


def color_at(image: Image.Image, x: float, y: float) -> tuple[Any, ...]:
    """The RGB colour at a position in fractions of the sides."""
    color = image.convert("RGB").getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(color, tuple)
    return color


def halves(left: object, right: object, depth: int, *chunks: bytes) -> bytes:
    """A PNG of two flat halves."""
    row = np.array([left] * 128 + [right] * 128, np.int64)
    return raw_png(np.tile(row, (256,) + (1,) * row.ndim), depth, *chunks)
