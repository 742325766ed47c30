"""Types of the API's JSON, as far as this package reads it."""

from __future__ import annotations

from typing import TypedDict


class Dimensions(TypedDict):
    """Width and height in pixels."""

    width: int
    height: int


class DisplayedSize(Dimensions, total=False):
    """Width and height in pixels. `effects`: those that change the content, such as `grayscale`; absent without any.

    `animated`: WebP shows the animation, other formats its first frame.
    """

    effects: list[str]


class Placeholder(TypedDict):
    """A ThumbHash in base64, a colour as `#rrggbb`, and a preview: a `data:` URL, or None for transparent images."""

    thumbhash: str
    color: str
    dataUrl: str | None


class Upload(TypedDict):
    """An upload. `sizes`: the dimensions of its variant of each size. `urls`: by size, then by format.

    Of the sizes that only have the original's own pixels, `urls` has the first. If the placeholder is unknown (its
    texts are empty), each size in `urls` also has the format `auto`.
    """

    sizes: dict[str, DisplayedSize]
    urls: dict[str, dict[str, str]]
    placeholder: Placeholder


class ConfiguredSize(TypedDict):
    """A size of `GET /sizes`, in CSS pixels. An open side is None."""

    width: int | None
    height: int | None
    fit: str
    mayBeSmaller: bool
    effects: list[str]
    look: int
    densities: list[int]
    formats: list[str]


class ConfiguredSizes(TypedDict):
    """The JSON of `GET /sizes`. `base` begins the URLs of variants."""

    base: str
    sizes: dict[str, ConfiguredSize]
