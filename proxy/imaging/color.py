"""Converts colours to 8-bit sRGB or grey, which viewers without colour management show correctly."""

from functools import cache, lru_cache
from io import BytesIO
from itertools import product

from PIL import Image, ImageChops, ImageCms

from proxy.imaging.icc import grey_levels

_ALPHA = {"RGBA": "RGB", "LA": "L"}
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # image mode: the colour space that its profile must have
_COMMON = 1 << 16  # bytes
_SAME = 1  # level, by which rounding differs


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts `image` (L, LA, RGB, RGBA or CMYK) to sRGB. Alpha is unchanged; grey stays grey.

    Ignores a broken profile, or one for another colour space, as browsers do.
    """
    if image.mode in _ALPHA:
        alpha = image.getchannel("A")
        opaque = to_srgb(image.convert(_ALPHA[image.mode]), profile)
        opaque.putalpha(alpha)
        return opaque
    if image.mode == "L" and profile and profile[16:20] == b"GRAY" and (levels := grey_levels(profile)):
        return image.point(levels)  # littleCMS is two levels off for dark greys of 8 bits
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        return _apply(transform, image)
    return image.convert("RGB") if image.mode == "CMYK" else image


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Caches `_build`, which takes five milliseconds, and fifty for inks."""
    return (_common if len(profile) <= _COMMON else _large)(profile, mode)


def _build(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the conversion from `profile` to sRGB; None if it cannot be used, or changes nothing.

    Names of profiles say nothing: what a profile does is tried out on colours from all over its space.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode != "CMYK" and _changes_nothing(transform, _samples(mode)):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform


_common = lru_cache(maxsize=16)(_build)  # of a few kilobytes each: cameras and phones share some tens
_large = lru_cache(maxsize=1)(_build)  # the variants of one original follow each other


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # not in place
    return converted.convert("L") if image.mode == "L" else converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, samples: Image.Image) -> bool:
    difference = ImageChops.difference(_apply(transform, samples), samples)
    return max(difference.tobytes()) <= _SAME


@cache
def _samples(mode: str) -> Image.Image:
    """All greys, and for RGB also a grid of colours."""
    greys = [bytes([grey] * len(mode)) for grey in range(256)]
    levels = range(0, 256, 15)
    colors = [bytes(each) for each in product(levels, repeat=3)] if mode == "RGB" else []
    return Image.frombytes(mode, (len(greys + colors), 1), b"".join(greys + colors))
