"""What this package reads of an upload's document: the answer to `POST /images/upload` or `GET /images/{uploadId}`."""

from typing import TypedDict


class Dimensions(TypedDict):
    """Pixels."""

    width: int
    height: int


class Placeholder(TypedDict):
    """`thumbhash` is base64, `color` is `#rrggbb`."""

    thumbhash: str
    color: str


class Upload(TypedDict):
    """`sizes`: how large each size shows this picture. `urls`: by size, then by format. The document holds more."""

    sizes: dict[str, Dimensions]
    urls: dict[str, dict[str, str]]
    placeholder: Placeholder
