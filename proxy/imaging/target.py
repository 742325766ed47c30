"""What to make of an original: everything that decides a variant's pixels and bytes, as plain data."""

from dataclasses import dataclass
from math import isfinite

from proxy.model import Fit, Format


@dataclass(frozen=True, slots=True)
class Target:
    """Sides are device pixels, `None` for a side left open; `background` is `#rrggbb`.

    With a `score` (on SSIMULACRA2's scale) the quality that reaches it is searched for, from `quality` on; a picture
    too small to be measured gets just that.
    """

    width: int | None
    height: int | None
    fit: Fit
    format: Format
    quality: int | None
    background: str
    keep_exif: bool
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a search for the quality came to: the quality, and what the file scores, on SSIMULACRA2's scale."""

    quality: int
    score: float

    def __post_init__(self) -> None:
        """Raises ValueError for what no search finds: it comes back from render processes, and from the store."""
        if self.quality not in range(1, 101) or not isfinite(self.score):
            raise ValueError("not a quality and its score")
