"""Effects on the small upright image: grayscale, blur, sharpen, pad."""

from PIL import Image, ImageFilter

from proxy.imaging.alpha import drop_redundant_channels, premultiply, unpremultiply
from proxy.imaging.encode import flatten
from proxy.imaging.resize import place
from proxy.imaging.target import Target
from proxy.model import Fit

_LUMINANCE = (0.2126, 0.7152, 0.0722, 0)
"""Of red, green and blue in sRGB's curve, as in CSS's `grayscale(1)` (Filter Effects Module Level 1)."""

SHARPEN_SIGMA = 0.8
"""Device pixels. It compensates for the softness of scaling, which is the same at every density."""


def apply_effects(image: Image.Image, target: Target, original: tuple[int, int]) -> Image.Image:
    """Returns `image` (L, LA, RGB, RGBA) with the effects of `target`; unchanged if it has none.

    `original`: the upright size of the original in pixels. Fully transparent pixels are black, and stay so.
    """
    if target.grayscale:
        image = _to_grey(image)
    if target.blur is not None:
        image = _blur(image, target.blur * _pixel_ratio(target, original))
    if target.sharpen is not None:
        image = _sharpen(image, target.sharpen)
    if target.fit is Fit.PAD:
        image = _pad(image, target)
    return image


def _pixel_ratio(target: Target, original: tuple[int, int]) -> float:
    """Returns the device pixels of one CSS pixel: less than the density if the original is too small for it."""

    def scaled(density: int) -> int:
        width, height = (side and side // target.density * density for side in (target.width, target.height))
        return max(place(original, width, height, target.fit, enlarge=target.enlarge).scaled)

    return scaled(target.density) / scaled(1)


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "LA"):
        return image
    grey = image.convert("RGB").convert("L", _LUMINANCE)
    return Image.merge("LA", (grey, image.getchannel("A"))) if image.mode == "RGBA" else grey


def _blur(image: Image.Image, sigma: float) -> Image.Image:
    """Blurs, premultiplied. Pillow takes three box filters for a Gaussian: the same time for every sigma."""
    return unpremultiply(premultiply(image).filter(ImageFilter.GaussianBlur(sigma)))


def _sharpen(image: Image.Image, amount: float) -> Image.Image:
    """Applies an unsharp mask to colours. Alpha stays; colours of transparent pixels have no influence."""
    sharp = Image.blend(_blur(image, SHARPEN_SIGMA), image, 1 + amount)
    if image.mode in ("LA", "RGBA"):
        sharp.putalpha(image.getchannel("A"))
    return sharp


def _pad(image: Image.Image, target: Target) -> Image.Image:
    assert target.width is not None  # settings reject `pad` with an open side
    assert target.height is not None
    canvas = Image.new("RGB", (target.width, target.height), target.background)
    corner = (target.width - image.width) // 2, (target.height - image.height) // 2
    canvas.paste(flatten(image, target.background).convert("RGB"), corner)
    return drop_redundant_channels(canvas)
