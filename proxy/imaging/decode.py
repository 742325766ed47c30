"""From a file to pixels, at a reduced scale where more would be wasted."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from proxy.imaging import vips
from proxy.imaging.alpha import expand, premultiply
from proxy.imaging.limits import Limits, open_picture
from proxy.imaging.resize import decode_scale, decode_size, reduction

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BAND = 64
"""Reduced rows at a time: few enough for memory, enough for speed."""
_MAX_CHUNKS = 10_000  # of a PNG are searched for EXIF; encoders make them of 8 KiB and more
_MAX_EXIF = 1 << 20  # bytes; JPEG's has 64 KiB at most


@dataclass(frozen=True, slots=True)
class Original:
    """A decoded original. `format` is jpeg, png or webp.

    `pixels` are L, LA, RGB, RGBA or CMYK, or La or RGBa where they were reduced. `size` is that of the file, in stored
    orientation, and `scale` how many of `pixels` there are for one of its, across and down.
    """

    format: str
    pixels: Image.Image
    size: tuple[int, int]
    scale: tuple[float, float]
    orientation: int
    profile: bytes | None
    exif: Image.Exif

    @property
    def sideways(self) -> bool:
        return self.orientation >= 5

    @property
    def upright_size(self) -> tuple[int, int]:
        return self.size[::-1] if self.sideways else self.size

    def turn_upright(self, image: Image.Image) -> Image.Image:
        transpose = _TRANSPOSE.get(self.orientation)
        return image if transpose is None else image.transpose(transpose)

    def exif_bytes(self) -> bytes | None:
        """What is left of the EXIF once the picture is upright; None where there is none or it cannot be written."""
        try:
            return self.exif.tobytes() if len(self.exif) else None
        except Exception:  # whatever its values made the writer raise
            return None


def decode(path: Path, tier: int, limits: Limits) -> Original:
    """The picture at `path` with at least the pixels that `tier` needs. Animated input: its first frame.

    Raises UnsupportedFormat, Undecodable, TooSmall or TooManyPixels.
    """
    with open_picture(path, limits) as image:
        size = image.size
        exif, orientation = read_exif(image, path)
        profile = image.info.get("icc_profile")
        pixels, scale = _pixels(image, path, tier)
        format = "jpeg" if image.format == "MPO" else str(image.format).lower()
        return Original(format, pixels, size, scale, orientation, profile, exif)


def read_exif(image: Image.Image, path: Path) -> tuple[Image.Exif, int]:
    """EXIF without its orientation, and the orientation (1 to 8). Broken EXIF is ignored, as viewers do."""
    if image.format == "PNG" and "exif" not in image.info and (late := _late_exif(path)):
        image.info["exif"] = b"Exif\0\0" + late
    try:
        exif = Image.Image.getexif(image)  # PNG's own would decode the picture to look behind it
        orientation = exif.pop(_ORIENTATION, 1)
    except Exception:  # whatever its bytes made the parser raise
        return Image.Exif(), 1
    return exif, orientation if isinstance(orientation, int) and orientation in _TRANSPOSE else 1


def _late_exif(path: Path) -> bytes | None:
    """A PNG's eXIf chunk, wherever it stands: the specification allows it behind the pixels."""
    with path.open("rb", buffering=0) as file:
        start = 8
        for _ in range(_MAX_CHUNKS):
            file.seek(start)
            head = file.read(8)
            length = int.from_bytes(head[:4])
            if head[4:] == b"eXIf":
                return file.read(min(length, _MAX_EXIF))
            if len(head) < 8:
                break
            start += 12 + length
    return None


def _pixels(image: Image.Image, path: Path, tier: int) -> tuple[Image.Image, tuple[float, float]]:
    width, height = image.size
    stored = _raw_mode(image)
    if vips.takes(image, stored):
        if image.format == "PNG":
            factor = reduction(image.size, tier)
            return vips.decode_png(path, factor), (1 / factor, 1 / factor)
        pixels = vips.decode_webp(path, decode_scale(image.size, tier))
        return pixels, (pixels.width / width, pixels.height / height)
    drafted = image.draft(None, decode_size(image.size, tier))
    image.load()
    scale = 1.0 if drafted is None else drafted[1][2] / width
    factor = reduction(image.size, tier)
    return _reduced(image, stored, factor), (scale / factor, scale / factor)


def _raw_mode(image: Image.Image) -> str:
    """How the file's samples are packed, before it is loaded: what a colour key is written in."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0].args) if tiles else ""


def _reduced(image: Image.Image, stored: str, factor: int) -> Image.Image:
    """Plain channels, each square of `factor` pixels as their mean (of premultiplied colours), band by band of rows."""
    if factor == 1:
        return expand(image, stored)
    bands = []
    for top in range(0, image.height, BAND * factor):
        band = image.crop((0, top, image.width, min(top + BAND * factor, image.height)))
        bands.append(premultiply(expand(band, stored)).reduce(factor))
    whole = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    for number, band in enumerate(bands):
        whole.paste(band, (0, number * BAND))
    return whole
