"""Renders an original to its variants, in named steps.

    open_image     checks the header against the limits                       (limits)
    decode         EXIF; pixels at a reduced scale, in plain channels         (decode, vips, alpha)
    resize         finds what `cover` crops around (attention); one Lanczos pass over it, alpha premultiplied
    to_color_space, drop_redundant_channels, clear_hidden_colors, turn_upright: on the small image, where they are cheap
    apply_effects  grayscale, blur, sharpen, pad: those that the size has     (effects)
    draw           the watermark over everything, if the size has one         (watermark)
    encode         at a fixed quality, or at one that is searched for         (encode, auto_quality)
    no_larger_copy again, if the original has the same pixels in fewer bytes  (copies)

An animation takes the same steps for each of its frames, one after the other (animation).

One variant and all variants take the same steps, so a warmed-up variant and a requested one have the same bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from time import perf_counter

from PIL import Image

from proxy.imaging import vips
from proxy.imaging.alpha import clear_hidden_colors, drop_redundant_channels, premultiply, unpremultiply
from proxy.imaging.animation.animation_encoder import AnimationEncoder
from proxy.imaging.animation.animation_limits import count_frames, is_played
from proxy.imaging.animation.frames import count_loops, play
from proxy.imaging.attention import attention_point
from proxy.imaging.color import color_in, reached_space, to_color_space
from proxy.imaging.copies import no_larger_copy
from proxy.imaging.decode import Original, decode
from proxy.imaging.effects import apply_effects
from proxy.imaging.encode import encode, flatten, profile_of
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.resize import CENTER, Box, decode_tier, place
from proxy.imaging.target import Measured, Target
from proxy.imaging.watermark import NO_WATERMARKS, Overlay, Watermarks, draw, prepare_overlay
from proxy.imaging.webp_end import with_true_end
from proxy.model import ColorSpace, Fit, Format, Position, focus_point

REDUCING_GAP = 2.0
"""How far a box filter may reduce before Lanczos, in multiples of the result: invisible at 2 (Pillow documents 3 as
exact)."""


@dataclass(slots=True)
class Rendered:
    """One finished file. `timings` are seconds by stage (decode, resize, encode) spent for this file.

    `measured` is None if the quality was fixed.
    """

    index: int
    body: bytes
    width: int
    height: int
    timings: dict[str, float] = field(default_factory=dict)
    measured: Measured | None = None


def render(
    path: OriginalFile,
    targets: Sequence[Target],
    limits: Limits,
    accept: Callable[[int], bool] | None = None,
    watermarks: Watermarks = NO_WATERMARKS,
) -> Iterator[Rendered]:
    """Renders all targets of the original at `path`. Yields each when it is ready; decodes once for each tier.

    `accept` is called with each index just before its target is rendered; if it returns False, the target is left out.
    `watermarks`: the files of all watermarks that the targets name.

    Raises UnsupportedFormat, Undecodable, TooSmall, TooManyPixels or TooHeavy.
    """
    path = with_true_end(path)
    tier = shape = None
    image: Image.Image | None = None
    header = read_header(path)
    tier_of = partial(decode_tier, scaled_cheaply=header is not None and header.is_scaled_cheaply)
    for index, wanted in sorted(enumerate(targets), key=lambda item: _shape(item[1])):
        if accept and not accept(index):
            continue
        timings: dict[str, float] = {}
        if tier != (tier := tier_of(wanted.width, wanted.height)):
            with timed(timings, "decode"):
                original = decode(path, tier, limits)
        target = _in_reached_space(wanted, original)
        if target.animated:
            animation = animate(path, original, target, limits, watermarks=watermarks, timings=timings)
            if animation:
                yield replace(animation, index=index)
                continue
        if shape != (shape := _shape(target)):
            image = None  # not held in memory while the next one is made
            with timed(timings, "resize"):
                image = resize(original, target)
                image = draw(image, prepare_overlay(watermarks, target, image.size))
        assert image is not None
        with timed(timings, "encode"):
            exif = _exif_of_variant(original, image, target)
            body, measured = encode_target(image, target, exif)
            body = no_larger_copy(body, image, target, path=path, original=original, exif=exif)
        yield Rendered(index, body, image.width, image.height, timings, measured)


def animate(
    path: OriginalFile,
    original: Original,
    target: Target,
    limits: Limits,
    *,
    watermarks: Watermarks,
    timings: dict[str, float],
) -> Rendered | None:
    """Renders an animation, if the original is one of two sound frames or more and within the limits.

    `timings`: gets the seconds by stage. Raises TooHeavy.
    """
    count = count_frames(path) if original.animated else 1
    if not is_played(original.upright_size, count, target):
        return None
    middle = _middle_of_crop(original, target)  # of the first frame: the others must not jump
    frames = islice(play(path, original, limits), count)  # a second acTL chunk may state more frames
    image: Image.Image | None = None
    overlay: Overlay | None = None
    while True:
        with timed(timings, "decode"):
            frame = next(frames, None)
        if frame is None:
            break
        with timed(timings, "resize"):
            resized = resize(replace(original, pixels=frame.pixels, scale=(1.0, 1.0)), target, middle)
            if image is None:
                overlay = prepare_overlay(watermarks, target, resized.size)
            resized = draw(resized, overlay)
        with timed(timings, "encode"):
            if image is None:
                image = resized
                measured = _search(image, target)
                quality = measured.quality if measured else target.quality
                assert quality is not None  # WebP has one
                encoder = AnimationEncoder(image.size, count, count_loops(path, original.format), quality)
            encoder.add(resized, frame.milliseconds)
    if image is None or encoder.frames < 2:
        return None
    with timed(timings, "encode"):
        exif = original.exif_bytes(*image.size, target.color_space) if target.keep_exif else None
        body = encoder.finish(exif, profile_of(target.color_space))
    return Rendered(0, body, *image.size, timings, measured)


def _in_reached_space(target: Target, original: Original) -> Target:
    """Returns `target` with the space in which `original` is rendered, and the background in that space."""
    space = reached_space(original.profile, original.pixels.mode, target.color_space)
    return replace(target, color_space=space, background=color_in(space, target.background))


def resize(original: Original, target: Target, middle: tuple[float, float] | None = None) -> Image.Image:
    """Returns the target's pixels, upright, in 8 bits of its colour space, or in grey.

    `middle`: the point of the upright image that a crop shows in its middle, in shares of the sides; None finds it.
    """
    width, height = (target.height, target.width) if original.is_sideways else (target.width, target.height)
    around = original.to_stored(middle or _middle_of_crop(original, target))
    placement = place(original.size, width, height, target.fit, enlarge=target.enlarge, around=around)
    pixels, (across, down) = original.pixels, original.scale
    left, top, right, bottom = placement.box
    box = (left * across, top * down, min(right * across, pixels.width), min(bottom * down, pixels.height))
    # One name, so that no step holds the image before it in memory.
    image = _lanczos(pixels, *placement.scaled, box)
    image = to_color_space(unpremultiply(image), original.profile, target.color_space)
    image = clear_hidden_colors(drop_redundant_channels(image))
    image = original.turn_upright(image)
    return apply_effects(image, target, original.upright_size)


def _middle_of_crop(original: Original, target: Target) -> tuple[float, float]:
    """Returns the point that a crop shows in its middle, in shares of the upright image's sides."""
    if target.position is Position.ATTENTION:
        return attention_point(original, target)
    return focus_point(target.focus) if target.focus else CENTER


def encode_target(image: Image.Image, target: Target, exif: bytes | None) -> tuple[bytes, Measured | None]:
    """Returns the file, and the measured quality if it was searched for."""
    return (encode(image, target, exif), None) if target.score is None else _encode_with_search(image, target, exif)


def _search(image: Image.Image, target: Target) -> Measured | None:
    """Returns the quality for an animation, which is searched for on its first frame."""
    return None if target.score is None else _encode_with_search(image, target, None)[1]


def _encode_with_search(image: Image.Image, target: Target, exif: bytes | None) -> tuple[bytes, Measured | None]:
    # Importing numpy takes a tenth of a second and 20 MB: only workers that search need it.
    from proxy.imaging.auto_quality.search import encode_with_search  # noqa: PLC0415 - imports numpy

    return encode_with_search(image, target, exif)


def _lanczos(pixels: Image.Image, width: int, height: int, box: Box) -> Image.Image:
    left, top = int(box[0]), int(box[1])
    unscaled: Box = (left, top, left + width, top + height)
    if box == unscaled:
        # Even a crop of the whole is a new image: `save` of the decoder's own one asks for the folder, which the
        # lock forbids.
        return pixels.crop(unscaled)
    pixels = premultiply(pixels)
    resized = vips.resize(pixels, width, height, box)
    if resized is None:
        resized = pixels.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)
    return resized


def _exif_of_variant(original: Original, image: Image.Image, target: Target) -> bytes | None:
    if not target.keep_exif:
        return None
    shown = flatten(image, target.background) if target.format is Format.JPG else image
    space = ColorSpace.SRGB if shown.mode in ("L", "LA") else target.color_space
    return original.exif_bytes(*image.size, space)


def _shape(target: Target) -> tuple[int, int, int, str]:
    """Returns the sort key of a target. Targets with the same key share their pixels; the largest tier comes last.

    Only the fields that `encode_target` alone reads are left out, so a new field is part of the key.
    """
    background = target.background if target.fit is Fit.PAD else ""
    pixels = replace(
        target, format=Format.JPG, quality=None, background=background, keep_exif=False, score=None, animated=False
    )
    # For other originals the two smallest tiers are the same; sorting keeps their targets together.
    tier = decode_tier(target.width, target.height, scaled_cheaply=True)
    return tier, target.width or 0, target.height or 0, repr(pixels)


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Adds the seconds that the block takes."""
    start = perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + perf_counter() - start
