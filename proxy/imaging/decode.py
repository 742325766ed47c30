"""Decodes a file to pixels, at a reduced scale where the targets need no more."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from proxy.imaging import vips
from proxy.imaging.alpha import premultiply, to_plain_channels
from proxy.imaging.containers import MAX_CHUNKS, TooManyParts, gif_blocks, png_chunks, read_body
from proxy.imaging.exif import true_exif
from proxy.imaging.header import read_header
from proxy.imaging.jpeg_end import decode_without_end, draft, file_to_check
from proxy.imaging.limits import PILLOW_NAMES, Limits, open_image
from proxy.imaging.metadata import MAX_GIF_BLOCKS, Source, metadata_blocks
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.profile import read_profile
from proxy.imaging.resize import DECODE_TIER, SMALL_TIER, decode_scale, decode_size, reduction_factor
from proxy.imaging.sixteen_bit import DeepSamples, is_deep, split_profile, to_eight_bits
from proxy.imaging.tiff_decoding import keep_as_stored, tiff_exif, tiff_orientation
from proxy.model import ColorSpace, SourceFormat

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
"""Output rows of one reduction step: few enough for memory, enough for speed."""
_JPEG = ("JPEG", "MPO")
_MAX_FRAMES = 1 << 31  # of an animated PNG; more is nonsense
_ANY_SIDES = Limits(1, 1 << 16)
_MAX_EXIF = 1 << 20  # bytes; a JPEG's has 64 KiB at most


@dataclass(frozen=True, slots=True)
class Original:
    """A decoded original.

    `pixels` are L, LA, RGB, RGBA or CMYK, or La or RGBa after a reduction. `size` is the size in the file, in stored
    orientation. `scale` is decoded pixels per stored pixel, across and down.
    """

    format: SourceFormat
    pixels: Image.Image
    size: tuple[int, int]
    scale: tuple[float, float]
    orientation: int
    profile: bytes | None
    exif: Image.Exif
    animated: bool = False

    @property
    def is_sideways(self) -> bool:
        """Whether the upright image has the stored width as its height."""
        return self.orientation >= 5

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the upright image, in the pixels of the file."""
        return self.size[::-1] if self.is_sideways else self.size

    def turn_upright(self, image: Image.Image) -> Image.Image:
        """Turns and mirrors `image`, which is in stored orientation, as the EXIF orientation says."""
        transpose = _TRANSPOSE.get(self.orientation)
        return image if transpose is None else image.transpose(transpose)

    def to_stored(self, point: tuple[float, float]) -> tuple[float, float]:
        """Returns where a point of the upright image is in the file. Both are shares of the sides."""
        x, y = reversed(point) if self.is_sideways else point
        return 1 - x if self.orientation in (2, 3, 7, 8) else x, 1 - y if self.orientation in (3, 4, 6, 7) else y

    def exif_bytes(self, width: int = 0, height: int = 0, space: ColorSpace = ColorSpace.SRGB) -> bytes | None:
        """Returns the EXIF as it is true of a variant of these sides in `space`.

        Returns None if it is empty or cannot be written.
        """
        return true_exif(self.exif, width, height, space)


def decode(path: OriginalFile, tier: int, limits: Limits, *, strict: bool = False) -> Original:
    """Decodes the file at `path`, at a scale that suffices for `tier`. Of an animation, decodes the first frame.

    `tier`: a side in pixels that the targets do not exceed, from `decode_tier`. `strict`: also refuses a JPEG that has
    an end marker, but lacks rows of pixels, which viewers show as grey.

    Raises UnsupportedFormat, Undecodable, TooSmall, TooManyPixels or TooHeavy.
    """
    with open_image(path, limits) as image:
        if image.format == "TIFF":
            keep_as_stored(image)
        size = image.size
        exif, orientation = read_exif(image, path)
        if strict and image.format in _JPEG and (checked := file_to_check(path, *image.size)):
            image.fp = checked  # type: ignore[attr-defined] # of ImageFile alone
        pixels, scale, profile = _decode_opened(image, path, read_profile(path), tier)
        if image.format in _JPEG:  # the frames of an MPO are no animation
            return Original(SourceFormat.JPEG, pixels, size, scale, orientation, profile, exif)
        format = next(each for each, name in PILLOW_NAMES.items() if name == image.format)
        animated = _is_animated(path, image, format)
        return Original(format, pixels, size, scale, orientation, profile, exif, animated)


def decode_frame(file: OriginalFile, profile: bytes | None) -> Image.Image:
    """Decodes `file`, one frame of an animation as a GIF or PNG of its own, to plain channels at its full size.

    `profile`: of the whole file, which is applied as `decode` applies it. Raises Undecodable or TooHeavy.
    """
    with open_image(file, _ANY_SIDES) as image:
        return _decode_opened(image, file, profile, max(image.size))[0]


def read_exif(image: Image.Image, path: OriginalFile) -> tuple[Image.Exif, int]:
    """Returns the EXIF without its orientation, and the orientation (1 to 8). Ignores broken EXIF, as viewers do."""
    if image.format == "PNG" and (chunk := _find_exif_chunk(path)):
        image.info["exif"] = b"Exif\0\0" + chunk
    exif, orientation = Image.Exif(), 1  # Image.getexif would take an orientation from XMP, which viewers do not
    try:
        if image.format == "TIFF":
            orientation = tiff_orientation(path)
            exif = tiff_exif(image)
        else:
            exif.load(image.info.get("exif", b""))
            orientation = exif.pop(_ORIENTATION, 1)
    except Exception:  # hostile bytes make the parser raise anything
        exif = Image.Exif()
    return exif, orientation if isinstance(orientation, int) and orientation in _TRANSPOSE else 1


def _find_exif_chunk(path: OriginalFile) -> bytes | None:
    """Finds a PNG's eXIf chunk, which the specification also allows after the pixels; else ImageMagick's older text."""
    with path.open("rb") as file:
        for chunk in png_chunks(file, MAX_CHUNKS):
            if chunk.kind == b"eXIf":
                return read_body(file, chunk, _MAX_EXIF)
    return next((block.body for block in metadata_blocks(path) if block.source is Source.EXIF), None)


def _is_animated(path: OriginalFile, image: Image.Image, format: SourceFormat) -> bool:
    """Whether the file has more than one frame. Pages of a TIFF and images of a HEIC do not count."""
    match format:
        case SourceFormat.PNG:
            return _is_animated_png(path)
        case SourceFormat.GIF:
            with path.open("rb") as file, suppress(TooManyParts):
                return sum(1 for block in gif_blocks(file, MAX_GIF_BLOCKS) if block.kind == b",") > 1
            return False
        case SourceFormat.WEBP | SourceFormat.AVIF:
            return bool(getattr(image, "is_animated", False))
        case _:
            return False


def _is_animated_png(path: OriginalFile) -> bool:
    """Whether a PNG announces more than one frame, before its pixels."""
    with path.open("rb") as file:
        for chunk in png_chunks(file, MAX_CHUNKS):
            if chunk.kind == b"IDAT":
                break
            if chunk.kind == b"acTL":
                return 1 < int.from_bytes(read_body(file, chunk, 4)) <= _MAX_FRAMES
    return False


def _decode_opened(
    image: Image.Image, path: OriginalFile, profile: bytes | None, tier: int
) -> tuple[Image.Image, tuple[float, float], bytes | None]:
    """Returns the pixels, their scale, and the profile that they have after the conversion of 16 bits to 8."""
    if is_deep(image, stored := _raw_mode(image)):
        tables, profile = split_profile(profile, stored)
        return *_decode_deep(image, stored, tables, reduction_factor(image.size, tier)), profile
    return *_decode_pixels(image, path, stored, tier), profile


def _decode_pixels(
    image: Image.Image, path: OriginalFile, stored: str, tier: int
) -> tuple[Image.Image, tuple[float, float]]:
    width, height = image.size
    if vips.can_decode(image):
        factor = reduction_factor(image.size, tier)
        if image.format == "PNG":
            return vips.decode_png(_in_memory(image).getvalue(), factor), (1 / factor, 1 / factor)
        header = read_header(path)
        if header and header.is_decoded_whole:
            return vips.decode_transparent_webp(path, factor), (1 / factor, 1 / factor)
        pixels = vips.decode_webp(path, decode_scale(image.size, tier))
        return pixels, (pixels.width / width, pixels.height / height)
    scale = draft(image, decode_size(image.size, tier))
    try:
        image.load()
    except OSError:
        if image.format not in _JPEG:
            raise
        # At an eighth of the size, as inspections decode, the missing half of a last block would not be seen.
        larger = tier if tier >= SMALL_TIER else DECODE_TIER
        image, scale = decode_without_end(path, decode_size((width, height), larger))
    if image.mode == "I;16":  # HEIC of 10 or 12 bits
        image = to_eight_bits(image)
    if image.format == "GIF":
        image = _clear_beyond_frame(image)
    factor = reduction_factor(image.size, tier)
    if factor == 1:
        return to_plain_channels(image, stored), (scale, scale)
    reduced = _reduce(
        lambda top, bottom: to_plain_channels(image.crop((0, top, image.width, bottom)), stored), image.height, factor
    )
    return reduced, (scale / factor, scale / factor)


def _clear_beyond_frame(image: Image.Image) -> Image.Image:
    """Makes the canvas around a GIF's first frame transparent, as viewers do; Pillow fills it with a colour."""
    frame = getattr(image, "dispose_extent", None)
    if frame in (None, (0, 0, *image.size)):
        return image
    cleared = Image.new("RGBA", image.size)
    cleared.paste(image.crop(frame).convert("RGBA"), frame[:2])
    return cleared


def _decode_deep(
    image: Image.Image, stored: str, tables: list[list[int]], factor: int
) -> tuple[Image.Image, tuple[float, float]]:
    with Image.open(BytesIO(_in_memory(image).getvalue()), formats=(str(image.format),)) as lower:
        if image.format == "TIFF":
            keep_as_stored(lower)
        samples = DeepSamples(image, lower, stored, tables)
        return _reduce(samples.plain, image.height, factor), (1 / factor, 1 / factor)


def _in_memory(image: Image.Image) -> BytesIO:
    file = getattr(image, "fp", None)
    assert isinstance(file, BytesIO)  # see `limits.open_image`
    return file


def _raw_mode(image: Image.Image) -> str:
    """Returns the layout of the file's samples, in which a PNG's transparent colour is stated too.

    Call it before the image is loaded: Pillow forgets the layout then.
    """
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    args = tiles[0].args
    return str(args[0] if isinstance(args, tuple) and image.format == "TIFF" else args)


def _reduce(rows: Callable[[int, int], Image.Image], height: int, factor: int) -> Image.Image:
    """Averages each square of `factor` pixels, premultiplied, one band of `rows` (from, to) at a time."""
    bands = []
    for top in range(0, height, BAND * factor):
        band = rows(top, min(top + BAND * factor, height))
        bands.append(premultiply(band).reduce(factor) if factor > 1 else band)
    whole = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    for number, band in enumerate(bands):
        whole.paste(band, (0, number * BAND))
    return whole
