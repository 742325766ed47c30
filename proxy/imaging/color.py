"""Converts colours to 8-bit sRGB or grey, which viewers without colour management show correctly."""

from io import BytesIO

from PIL import Image, ImageCms

_ALPHA = {"RGBA": "RGB", "LA": "L"}
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # image mode: the colour space that its profile must have


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts `image` (L, LA, RGB, RGBA or CMYK) to sRGB. Alpha is unchanged; grey stays grey.

    Ignores a broken profile, or one for another colour space, as browsers do.
    """
    if image.mode in _ALPHA:
        alpha = image.getchannel("A")
        opaque = to_srgb(image.convert(_ALPHA[image.mode]), profile)
        opaque.putalpha(alpha)
        return opaque
    converted = _convert_by_profile(image, profile) if profile else None
    if converted is not None:
        return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def _convert_by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[image.mode]:
            return None
        if (source.profile.profile_description or "").startswith("sRGB"):
            return None
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if converted is None:
        return None
    return converted.convert("L") if image.mode == "L" else converted
