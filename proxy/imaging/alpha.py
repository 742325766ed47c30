"""Plain channels: what a file stores as 8-bit L, LA, RGB, RGBA or CMYK, and none that the picture does not need."""

from functools import cache

from PIL import Image

_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
_KEY_SCALE = {"L;2": 85, "L;4": 17}  # Pillow widens samples of 2 and 4 bits to 8, and leaves the key as it is stored


def expand(image: Image.Image, stored: str) -> Image.Image:
    """Palettes, bitmaps, 16 bits and colour keys made plain. `stored` is the raw mode that the file was decoded from.

    Pillow reads 16-bit colour as 8-bit by itself; 16-bit grey it can neither reduce nor encode.
    """
    key = _stored_key(image.info.get("transparency"), stored)
    if image.mode.startswith("I"):
        wide = image.convert("I")
        grey = wide.point(_to_8_bit(), "L")
        if isinstance(key, int):
            grey.putalpha(wide.point([0 if value == key else 255 for value in range(65536)], "L"))
        return grey
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if key is not None or image.mode == "PA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if key is not None and image.mode in ("L", "RGB"):
        image.info["transparency"] = key
        return image.convert("LA" if image.mode == "L" else "RGBA")
    return image


@cache
def _to_8_bit() -> list[int]:
    """For each value of 16 bits."""
    return [(value + 128) // 257 for value in range(65536)]


def premultiply(image: Image.Image) -> Image.Image:
    """Colours weighed by their alpha, as means over several pixels need them."""
    return image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image


def unpremultiply(image: Image.Image) -> Image.Image:
    return image.convert(image.mode.upper()) if image.mode in _PREMULTIPLIED.values() else image


def without_useless_channels(image: Image.Image) -> Image.Image:
    """Alpha that is opaque everywhere, and colour that is grey everywhere, only cost bytes."""
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert(image.mode[:-1])
    if image.mode == "RGB":
        red, green, blue = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return red
    return image


def _stored_key(key: object, stored: str) -> object:
    """A PNG's transparent colour as the samples have it after decoding."""
    if isinstance(key, int):
        return key * _KEY_SCALE.get(stored, 1)
    if isinstance(key, tuple) and stored == "RGB;16B":
        return tuple(value >> 8 for value in key)
    return key
