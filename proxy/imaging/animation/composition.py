"""Draws the frames of an animation, each of which may change only a part of the canvas, one after the other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction

from PIL import Image

from proxy.imaging.alpha import is_transparent


class Dispose(Enum):
    """What happens to the rectangle of a patch when its time is over. KEEP: nothing."""

    KEEP = auto()
    CLEAR = auto()
    """Its rectangle becomes transparent."""
    RESTORE = auto()
    """Its rectangle becomes what it was before."""


@dataclass(frozen=True, slots=True)
class Patch:
    """The drawing of one frame: `pixels` (L, LA, RGB or RGBA) with their top left corner at `corner`.

    `blends`: lays them over the canvas, instead of replacing its rectangle. `milliseconds`: as stated by the file.
    """

    pixels: Image.Image
    corner: tuple[int, int]
    milliseconds: Fraction
    dispose: Dispose
    blends: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole canvas (L, LA, RGB or RGBA), and how long it is shown. It is valid until the next frame is made."""

    pixels: Image.Image
    milliseconds: Fraction


def compose(size: tuple[int, int], patches: Iterable[Patch]) -> Iterator[Frame]:
    """Yields the canvas of `size` pixels after each patch. It is transparent before the first one.

    What is outside of the canvas is not drawn.
    """
    canvas = Image.new("RGBA", size)
    for patch in patches:
        left, top = patch.corner
        right, bottom = min(left + patch.pixels.width, size[0]), min(top + patch.pixels.height, size[1])
        is_visible = left < right and top < bottom
        box = (left, top, right, bottom) if is_visible else (0, 0, 0, 0)
        before = canvas.crop(box) if patch.dispose is Dispose.RESTORE else None
        if is_visible:
            drawn = patch.pixels.crop((0, 0, right - left, bottom - top)).convert("RGBA")
            if patch.blends:
                canvas.alpha_composite(drawn, (left, top))
            else:
                canvas.paste(drawn, box)
        is_grey = patch.pixels.mode in ("L", "LA")  # alike in all frames, whose profile may be for grey
        mode = ("LA" if is_grey else "RGBA") if is_transparent(canvas) else ("L" if is_grey else "RGB")
        yield Frame(canvas.convert(mode), patch.milliseconds)  # without alpha, scaling takes half the time
        if before is not None:
            canvas.paste(before, box)
        elif patch.dispose is Dispose.CLEAR:
            canvas.paste((0, 0, 0, 0), box)
