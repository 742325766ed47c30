"""Pixels to files. Each encoder gets 8-bit sRGB or grey and writes nothing but the picture."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageStat, features

from proxy.imaging import vips
from proxy.imaging.channels import without_useless_channels
from proxy.imaging.target import Target
from proxy.model import Format

# fmt: off
ROBIDOUX = (
    16, 16, 16, 18, 25, 37, 56, 85,
    16, 17, 20, 27, 34, 40, 53, 75,
    16, 20, 24, 31, 43, 62, 91, 135,
    18, 27, 31, 40, 53, 74, 106, 156,
    25, 34, 43, 53, 69, 94, 131, 189,
    37, 40, 62, 74, 94, 124, 169, 238,
    56, 53, 91, 106, 131, 169, 226, 311,
    85, 75, 135, 156, 189, 238, 311, 418,
)
# fmt: on
"""N. Robidoux's quantisation table for ImageMagick, which mozjpeg uses by default (its table 3): at equal SSIMULACRA2
6.6 % fewer bytes than the standard's. Pillow scales it by the quality, as libjpeg does."""

AVIF_SPEED = 8
WEBP_METHOD = 4
_RUNS: dict[str, Any] = {"optimize": True, "compress_type": 3}
"""zlib's Z_RLE. A photograph's filtered rows have little else to find, and a full search takes ten times as long."""
_SEARCHES: tuple[dict[str, Any], ...] = (
    {"compress_level": 9, "compress_type": 0},  # for text and drawings: down to a fiftieth of the bytes
    {"compress_level": 9, "compress_type": 1},  # Z_FILTERED, for smooth gradients
)
_FEW_COLORS = 4096  # no photograph measured had as few
_WORTH_SEARCHING = 0.85  # of the bytes that runs alone give; photographs stay above 0.95
_SAMPLE_ROWS, _SAMPLE_STRIPS = 16, 4


def versions() -> dict[str, str]:
    """The libraries that decide what bytes come out."""
    names = ("pil", "libjpeg_turbo", "webp", "zlib", "zlib_ng", "avif", "littlecms2")
    return {name: features.version(name) or "" for name in names} | {"vips": vips.installed()}


def encode(image: Image.Image, target: Target, exif: bytes | None) -> bytes:
    """`image` (L, LA, RGB, RGBA) as a file of `target.format`; `exif` is written where given."""
    image.info = {}  # or the encoders write the original's profile and comments
    file = BytesIO()
    options = {"exif": exif} if exif else {}
    match target.format:
        case Format.JPG:
            flatten(image, target.background).save(
                file,
                "JPEG",
                quality=target.quality,
                qtables=[ROBIDOUX, ROBIDOUX],
                subsampling="4:2:0",
                optimize=True,
                progressive=True,
                **options,
            )
        case Format.PNG:
            _save_png(image, file, options)
        case Format.WEBP:
            _without_rim(_colored(image)).save(file, "WEBP", quality=target.quality, method=WEBP_METHOD, **options)
        case Format.AVIF:
            # One thread: the pool already keeps every processor busy, and the bytes do not depend on the machine.
            _without_rim(_colored(image)).save(
                file, "AVIF", quality=target.quality, speed=AVIF_SPEED, subsampling="4:2:0", max_threads=1, **options
            )
    return file.getvalue()


def flatten(image: Image.Image, background: str) -> Image.Image:
    """What is partly transparent, laid over a colour; the rest as it is."""
    if image.mode not in ("LA", "RGBA"):
        return image
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return without_useless_channels(canvas)


def _colored(image: Image.Image) -> Image.Image:
    """WebP and AVIF have no grey."""
    return image.convert({"L": "RGB", "LA": "RGBA"}.get(image.mode, image.mode))


def _without_rim(image: Image.Image) -> Image.Image:
    """The mean colour under what is wholly transparent: lossy codecs would let the black there shine through edges."""
    if image.mode != "RGBA":
        return image
    alpha = image.getchannel("A")
    shown = alpha.point([0] + [255] * 255)
    if shown.getbbox() is None:
        return image
    colors = image.convert("RGB")
    canvas = Image.new("RGB", image.size, tuple(round(value) for value in ImageStat.Stat(colors, shown).mean))
    canvas.paste(colors, mask=shown)
    canvas.putalpha(alpha)
    return canvas


def _save_png(image: Image.Image, file: BytesIO, options: dict[str, bytes]) -> None:
    """Small by kind of picture, within what a person waits for; figures in docs/decisions/0003-pipeline.md."""
    palette = _as_palette(image)
    if palette is not None:
        palette.save(file, "PNG", optimize=True, **options)
        return
    ways = _SEARCHES
    if image.mode == "L" or image.getcolors(_FEW_COLORS) is None:
        ways = (_way_by_sample(image),)
    file.write(min((_png(image, way | options) for way in ways), key=len))


def _way_by_sample(image: Image.Image) -> dict[str, Any]:
    """What suits some rows from all over the picture; a short search tells the ways apart as well as a long one."""
    strips = range(_SAMPLE_ROWS // 2, image.height, max(_SAMPLE_ROWS, image.height // _SAMPLE_STRIPS))
    sample = Image.new(image.mode, (image.width, _SAMPLE_ROWS * len(strips)))
    for number, top in enumerate(strips):
        sample.paste(image.crop((0, top, image.width, top + _SAMPLE_ROWS)), (0, number * _SAMPLE_ROWS))
    sizes = [len(_png(sample, way | {"compress_level": 6})) for way in _SEARCHES]
    if min(sizes) > _WORTH_SEARCHING * len(_png(sample, _RUNS)):
        return _RUNS
    return _SEARCHES[sizes.index(min(sizes))]


def _png(image: Image.Image, options: dict[str, Any]) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def _as_palette(image: Image.Image) -> Image.Image | None:
    """The same pixels by a palette of at most 256 colours; None where that would change one."""
    if image.mode != "RGB" or image.getcolors(256) is None:
        return None
    palette = image.quantize(256, dither=Image.Dither.NONE)
    return palette if palette.convert("RGB").tobytes() == image.tobytes() else None
