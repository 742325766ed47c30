"""Converts colours to 8-bit sRGB or grey, which viewers without colour management show correctly, or to Display P3.

Display P3 is for originals that have colours beyond sRGB, and needs a profile in the file. Figures:
docs/decisions/0046-wide-gamut.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from itertools import product

from PIL import Image, ImageChops, ImageCms

from proxy.imaging.icc import display_p3_profile, grey_levels, srgb_decode
from proxy.model import ColorSpace

_ALPHA = {"RGBA": "RGB", "RGBa": "RGB", "LA": "L", "La": "L"}
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # image mode: the colour space that its profile must have
_COMMON = 1 << 16  # bytes of the largest profile of which several are cached
_SAME = 1  # difference in levels that rounding alone makes
_VISIBLE = 0.05  # of white's light, in one channel; Adobe RGB and Display P3 lose 0.18 in sRGB, PAL and dull inks 0.04


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A conversion of samples. `transform`: None if they do not change. `space`: their space afterwards."""

    transform: ImageCms.ImageCmsTransform | None = None
    space: ColorSpace = ColorSpace.SRGB


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts `image` (L, LA, RGB, RGBA or CMYK) to sRGB. Alpha is unchanged; grey stays grey.

    Ignores a broken profile, or one for another colour space, as browsers do.
    """
    return to_color_space(image, profile, ColorSpace.SRGB)


def to_color_space(image: Image.Image, profile: bytes | None, wanted: ColorSpace) -> Image.Image:
    """Converts as `to_srgb` does, but to the space that `reached_space` returns for the same arguments."""
    if image.mode in _ALPHA:
        alpha = image.getchannel("A")
        opaque = to_color_space(image.convert(_ALPHA[image.mode]), profile, wanted)
        opaque.putalpha(alpha)
        return opaque
    if image.mode == "L" and profile and profile[16:20] == b"GRAY" and (levels := grey_levels(profile)):
        return image.point(levels)  # littleCMS is two levels off for dark greys of 8 bits
    transform = _conversion(profile, image.mode, wanted).transform
    if transform is not None:
        return _apply(transform, image)
    return image.convert("RGB") if image.mode == "CMYK" else image


def reached_space(profile: bytes | None, mode: str, wanted: ColorSpace) -> ColorSpace:
    """Returns the space to which samples of `mode` with `profile` are converted: `wanted` only if sRGB is too small."""
    return _conversion(profile, _ALPHA.get(mode, mode), wanted).space


def to_exact_space(image: Image.Image, profile: bytes | None, space: ColorSpace) -> Image.Image:
    """Converts as `to_color_space` does, but colours always to `space`, even if sRGB suffices."""
    converted = to_color_space(image, profile, space)
    if converted.mode in ("L", "LA") or reached_space(profile, image.mode, space) is space:
        return converted  # grey is the same in all spaces
    colors = _apply(_from_srgb(space), converted.convert("RGB"))
    if converted.mode == "RGBA":
        colors.putalpha(converted.getchannel("A"))
    return colors


@cache
def color_in(space: ColorSpace, color: str) -> str:
    """Converts a colour in sRGB, `#rrggbb`, to `space`."""
    pixel = Image.new("RGB", (1, 1), color)
    return color if space is ColorSpace.SRGB else f"#{_apply(_from_srgb(space), pixel).tobytes().hex()}"


def _conversion(profile: bytes | None, mode: str, wanted: ColorSpace) -> _Conversion:
    """Returns the result of `_build` from a cache: building takes five milliseconds, and fifty for inks."""
    if not profile:
        return _Conversion()
    return (_common if len(profile) <= _COMMON else _large[wanted])(profile, mode, wanted)


def _build(profile: bytes, mode: str, wanted: ColorSpace) -> _Conversion:
    """Returns the conversion from `profile` to `wanted` if sRGB would visibly change colours, otherwise to sRGB."""
    if wanted is ColorSpace.SRGB:
        return _build_for(profile, mode, wanted)
    narrow = _conversion(profile, mode, ColorSpace.SRGB)
    if narrow.transform is None or mode == "L":  # sRGB already, cannot be used, or grey, which is the same in all
        return narrow
    wide = _build_for(profile, mode, wanted)
    return wide if wide.space is wanted and _is_larger(wide, narrow, mode) else narrow


_common = lru_cache(maxsize=16)(_build)  # of a few kilobytes each: cameras and phones share some tens
_large = {space: lru_cache(maxsize=1)(_build) for space in ColorSpace}  # an original's variants are rendered together


def _build_for(profile: bytes, mode: str, space: ColorSpace) -> _Conversion:
    """Returns the conversion to `space`, without a transform if `profile` cannot be used or changes nothing.

    A profile's name is ignored: its effect is tested on colours from all over its space.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return _Conversion()
        transform = _transform(source, space, mode)
        if mode != "CMYK" and _changes_nothing(transform, _samples(mode)):
            return _Conversion(None, space)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return _Conversion()
    return _Conversion(transform, space)


def _transform(source: ImageCms.ImageCmsProfile, space: ColorSpace, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        _PROFILES[space](),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


_PROFILES: dict[ColorSpace, Callable[[], ImageCms.ImageCmsProfile]] = {
    ColorSpace.SRGB: lambda: ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
    ColorSpace.DISPLAY_P3: lambda: ImageCms.ImageCmsProfile(BytesIO(display_p3_profile())),
}


@cache
def _from_srgb(space: ColorSpace) -> ImageCms.ImageCmsTransform:
    return _transform(_PROFILES[ColorSpace.SRGB](), space, "RGB")


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # not in place
    return converted.convert("L") if image.mode == "L" else converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, samples: Image.Image) -> bool:
    difference = ImageChops.difference(_apply(transform, samples), samples)
    return max(difference.tobytes()) <= _SAME


def _is_larger(wide: _Conversion, narrow: _Conversion, mode: str) -> bool:
    """Whether `wide` keeps colours that the conversion to sRGB, `narrow`, visibly changes."""
    samples = _samples(mode)
    kept = _apply(wide.transform, samples) if wide.transform else samples
    lost = _apply(narrow.transform, samples) if narrow.transform else samples
    pairs = zip(kept.tobytes(), _apply(_from_srgb(wide.space), lost).tobytes(), strict=True)
    light = [srgb_decode(value / 255) for value in range(256)]  # both spaces have sRGB's curve
    return max(abs(light[one] - light[other]) for one, other in pairs) > _VISIBLE


@cache
def _samples(mode: str) -> Image.Image:
    """Returns all greys, and for RGB and inks also a grid of colours."""
    greys = [bytes([grey] * len(mode)) for grey in range(256)]
    steps = {"L": 256, "RGB": 15, "CMYK": 51}
    colors = [bytes(each) for each in product(range(0, 256, steps[mode]), repeat=len(mode))]
    return Image.frombytes(mode, (len(greys + colors), 1), b"".join(greys + colors))
