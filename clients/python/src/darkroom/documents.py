"""Types of the JSON of `POST /images/upload` and `GET /images/{uploadId}`, as far as this package reads it."""

from __future__ import annotations

from typing import TypedDict


class Dimensions(TypedDict):
    """Width and height in pixels."""

    width: int
    height: int


class DisplayedSize(Dimensions, total=False):
    """Width and height in pixels. `effects`: those that change the content, such as `grayscale`; absent without any."""

    effects: list[str]


class Placeholder(TypedDict):
    """A ThumbHash in base64, a colour as `#rrggbb`, and a preview: a `data:` URL, or None for transparent images."""

    thumbhash: str
    color: str
    dataUrl: str | None


class Upload(TypedDict):
    """An upload. `sizes`: the dimensions of its variant of each size. `urls`: by size, then by format.

    Of the sizes that only have the original's own pixels, `urls` has the first.
    """

    sizes: dict[str, DisplayedSize]
    urls: dict[str, dict[str, str]]
    placeholder: Placeholder
