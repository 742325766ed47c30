"""What suits a client, by its `Accept` (RFC 9110, 12.5.1): a picture's format under `.auto`, a page or JSON.

The table of formats: tests/negotiation.json.
"""

import re

from proxy.model import Format

_NEW = (Format.AVIF, Format.WEBP)  # of equals, the smaller file
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_PARAMETER = re.compile(r"([^\s=]+=\S*)?", re.ASCII)
_MAX_LENGTH = 4096  # of a header; browsers send a hundred characters


def new_format(accept: str | None) -> Format | None:
    """AVIF or WebP, if `accept` names it and wants JPEG and PNG no more than it; None for one of these.

    A wildcard promises nothing: those who send `*/*` are often too old for either.
    """
    weights = _weights(accept or "")
    any_image = weights.get("image/*", weights.get("*/*", 0.0))
    old = max(weights.get("image/jpeg", any_image), weights.get("image/png", any_image))
    best = max(_NEW, key=lambda format: weights.get(format.media_type, 0.0))
    weight = weights.get(best.media_type, 0.0)
    return best if weight > 0 and weight >= old else None


def prefers_page(accept: str | None) -> bool:
    """Whether `accept` names HTML, and wants JSON less: browsers do that when they open a page or post a form."""
    weights = _weights(accept or "")
    json = weights.get("application/json", weights.get("application/*", weights.get("*/*", 0.0)))
    return weights.get("text/html", 0.0) > json


def _weights(accept: str) -> dict[str, float]:
    """By media range, in lower case. Members that are not to the grammar are ignored; said twice, the first counts."""
    weights: dict[str, float] = {}
    if '"' in accept:
        return weights  # a quoted parameter may hide commas, and no browser sends one
    for member in accept[:_MAX_LENGTH].lower().split(","):
        media_range, *parameters = (part.strip() for part in member.split(";"))
        weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        if _WEIGHT.fullmatch(weight) and all(_PARAMETER.fullmatch(value) for value in parameters):
            weights.setdefault(media_range, float(weight))
    return weights
