"""What to make of an original: everything that decides a variant's pixels and bytes, as plain data."""

from dataclasses import dataclass

from proxy.model import Fit, Format


@dataclass(frozen=True, slots=True)
class Target:
    """Sides are device pixels, `None` for a side left open; `background` is `#rrggbb`."""

    width: int | None
    height: int | None
    fit: Fit
    format: Format
    quality: int | None
    background: str
    keep_exif: bool
