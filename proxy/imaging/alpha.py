"""Channels: converts every pixel layout to 8-bit L, LA, RGB, RGBA or CMYK, and drops channels without information."""

from PIL import Image

from proxy.imaging.content import bands

_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
_KEY_SCALE = {"L;2": 85, "L;4": 17}  # Pillow scales samples of 2 and 4 bits to 8, but not the transparent colour


def to_plain_channels(image: Image.Image, stored: str) -> Image.Image:
    """Converts palettes, bitmaps and transparent colours of up to 8 bits. `stored`: raw mode of the file's samples."""
    key = _decoded_key(image.info.get("transparency"), stored)
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if key is not None or image.mode == "PA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if key is not None and image.mode in ("L", "RGB"):
        image.info["transparency"] = key
        return image.convert("LA" if image.mode == "L" else "RGBA")
    return image


def premultiply(image: Image.Image) -> Image.Image:
    """Multiplies colours by their alpha, as averages over several pixels require."""
    return image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image


def unpremultiply(image: Image.Image) -> Image.Image:
    """Divides colours by their alpha. Returns an image that is not premultiplied unchanged."""
    return image.convert(image.mode.upper()) if image.mode in _PREMULTIPLIED.values() else image


def clear_hidden_colors(image: Image.Image) -> Image.Image:
    """Makes fully transparent pixels of a LA or RGBA image black: their colours are private, and only add bytes."""
    if image.mode not in _PREMULTIPLIED:
        return image
    visible = image.getchannel("A").point([0] + [255] * 255)
    return Image.composite(image, Image.new(image.mode, image.size), visible)


def is_transparent(image: Image.Image) -> bool:
    """Whether any pixel of a LA, La, RGBA or RGBa image is not opaque. False for images without alpha."""
    return image.getbands()[-1] in ("A", "a") and image.getchannel(len(image.getbands()) - 1).getextrema() != (255, 255)


def drop_redundant_channels(image: Image.Image) -> Image.Image:
    """Drops alpha if all pixels are opaque, and colour if all pixels are grey: they only add bytes."""
    if image.mode in ("LA", "RGBA") and not is_transparent(image):
        image = image.convert(image.mode[:-1])
    if image.mode in ("RGB", "RGBA") and _is_grey(image):
        red = image.getchannel("R")
        return red if image.mode == "RGB" else Image.merge("LA", (red, image.getchannel("A")))
    return image


def _is_grey(image: Image.Image) -> bool:
    """Whether red, green and blue are equal everywhere. Reads some rows at a time: most images differ in the first."""
    for band in bands(image):
        red, green, blue = band.split()[:3]
        if not red.tobytes() == green.tobytes() == blue.tobytes():
            return False
    return True


def _decoded_key(key: object, stored: str) -> object:
    """Converts a PNG's transparent colour `key` to the 8 bits of the decoded samples. `stored`: the raw mode."""
    if isinstance(key, int):
        return key * _KEY_SCALE.get(stored, 1)
    return key
