"""The rendering target: everything that decides a variant's pixels and bytes, as plain data."""

from dataclasses import dataclass
from math import isfinite

from proxy.model import ColorSpace, Fit, Focus, Format, Position, Watermark


@dataclass(frozen=True, slots=True)
class Target:
    """Sides are device pixels, None for an open side; `background` is `#rrggbb`.

    `enlarge`: whether `cover` and `pad` enlarge small originals. `blur` is a standard deviation in CSS pixels, of which
    each is `density` device pixels (1 without a blur: nothing else depends on it); `sharpen` is the share of the detail
    that is added, or None. `focus`: the upload's, only with `Position.FOCUS`; None is the centre.
    `animated`: shows animations whole; only with `Format.WEBP`. `color_space`: for originals with colours beyond sRGB.

    With a `score` (on SSIMULACRA2's scale), the renderer searches for the lowest quality that reaches it, starting at
    `quality`. An image that is too small to be measured gets `quality`.
    """

    width: int | None
    height: int | None
    fit: Fit
    format: Format
    quality: int | None
    background: str
    keep_exif: bool
    score: float | None = None
    enlarge: bool = True
    grayscale: bool = False
    blur: float | None = None
    sharpen: float | None = None
    density: int = 1
    position: Position = Position.CENTER
    focus: Focus | None = None
    animated: bool = False
    watermark: Watermark | None = None
    color_space: ColorSpace = ColorSpace.SRGB


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a quality search: the quality, and the file's score on SSIMULACRA2's scale."""

    quality: int
    score: float

    def __post_init__(self) -> None:
        """Raises ValueError for impossible values: render workers and the object store are not trusted."""
        if self.quality not in range(1, 101) or not isfinite(self.score):
            raise ValueError("not a quality and its score")
