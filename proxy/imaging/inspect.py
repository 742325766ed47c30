"""Inspects an original: decodes it once, at a reduced scale, and reports its properties."""

from base64 import b64encode
from dataclasses import dataclass

from PIL import Image

from proxy.imaging import vips
from proxy.imaging.alpha import is_transparent, unpremultiply
from proxy.imaging.color import to_srgb
from proxy.imaging.decode import decode
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.pipeline import REDUCING_GAP
from proxy.imaging.png_pixels import pixel_chunks, raise_if_rows_are_missing
from proxy.imaging.privacy import private_exif, private_metadata
from proxy.imaging.resize import DECODE_TIER
from proxy.imaging.thumbhash import thumbhash
from proxy.imaging.webp_end import with_true_end
from proxy.model import SourceFormat

_PLACEHOLDER_SIDE = 32  # pixels; a ThumbHash keeps at most 7x7 frequencies


@dataclass(frozen=True, slots=True)
class Inspection:
    """Properties of an original. `width` and `height` are upright pixels; `thumbhash` is base64, `color` is `#rrggbb`.

    `alpha`: whether any pixel of the reduced decode is transparent. `animated`: whether it has more frames than the one
    that variants show.
    `private` lists the kinds of private metadata in the file (see `privacy`), `private_exif` those that variants keep
    if EXIF is kept.
    """

    format: SourceFormat
    width: int
    height: int
    thumbhash: str
    color: str
    alpha: bool
    animated: bool
    private: list[str]
    private_exif: list[str]

    @property
    def can_play(self) -> bool:
        """Whether animated sizes show the original as an animation, within their limits."""
        return self.animated and self.format.can_play


def inspect(path: OriginalFile, limits: Limits) -> Inspection:
    """Inspects the original at `path`. Decodes it to the end, which finds truncated and corrupt files.

    Raises UnsupportedFormat, Undecodable, TooSmall, TooManyPixels or TooHeavy.
    """
    readable = with_true_end(path)
    files = [path] if readable is path else [path, readable]
    header = read_header(readable)
    is_scaled = header is not None and (
        header.is_scaled_cheaply or (vips.is_installed() and header.kind == "webp lossy")
    )
    tier = _PLACEHOLDER_SIDE if is_scaled else DECODE_TIER
    original = decode(readable, tier, limits, strict=True)
    by_pillow = not vips.is_installed() or header is None or header.kind.endswith("16")
    if original.format is SourceFormat.PNG and by_pillow:  # libvips refuses missing rows itself
        raise_if_rows_are_missing(pixel_chunks(path))
    width, height = original.upright_size
    small = to_srgb(unpremultiply(_downscale(original.pixels)), original.profile)
    image = original.turn_upright(small).convert("RGBA")
    return Inspection(
        format=original.format,
        width=width,
        height=height,
        thumbhash=b64encode(thumbhash(image)).decode(),
        color=_mean_color(image),
        alpha=is_transparent(original.pixels),
        animated=original.animated,
        private=list(private_metadata(*files)),  # the original is stored as it is
        private_exif=list(private_exif(original.exif_bytes())),
    )


def _downscale(pixels: Image.Image) -> Image.Image:
    scale = _PLACEHOLDER_SIDE / max(pixels.size)
    size = (max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale)))
    return pixels.resize(size, Image.Resampling.BOX, reducing_gap=REDUCING_GAP)


def _mean_color(image: Image.Image) -> str:
    """Returns the mean colour over white, a background to show before any variant."""
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image)
    pixel = canvas.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return "#{:02x}{:02x}{:02x}".format(*pixel)
