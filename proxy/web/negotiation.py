"""Content negotiation by `Accept` (RFC 9110, 12.5.1): the format of `.auto` variants, and HTML or JSON.

tests/negotiation.json lists examples of formats.
"""

import re
from collections.abc import Sequence

from proxy.model import Format

_MODERN = (Format.AVIF, Format.WEBP)  # at equal weight, the first: its files are smaller
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_PARAMETER = re.compile(r"([^\s=]+=\S*)?", re.ASCII)
_MAX_LENGTH = 4096  # characters of a header; browsers send about a hundred


def modern_format(accept: str | None, among: Sequence[Format] = _MODERN) -> Format | None:
    """Returns AVIF or WebP if `accept` names it with at least the weight of JPEG and PNG; otherwise None.

    A wildcard is not enough: clients that send only `*/*` are often too old for either. `among`: the formats that may
    be chosen; others than AVIF and WebP are ignored.
    """
    weights = _weights(accept or "")
    any_image = weights.get("image/*", weights.get("*/*", 0.0))
    old = max(weights.get("image/jpeg", any_image), weights.get("image/png", any_image))
    welcome = [format for format in _MODERN if format in among and weights.get(format.media_type, 0.0) > 0]
    best = max(welcome, key=lambda format: weights[format.media_type], default=None)
    return best if best and weights[best.media_type] >= old else None


def prefers_page(accept: str | None) -> bool:
    """Whether `accept` names HTML with more weight than JSON, as browsers do for pages and forms."""
    weights = _weights(accept or "")
    json = weights.get("application/json", weights.get("application/*", weights.get("*/*", 0.0)))
    return weights.get("text/html", 0.0) > json


def _weights(accept: str) -> dict[str, float]:
    """Weights by media range, in lower case. Ignores malformed members; of duplicates, the first counts."""
    weights: dict[str, float] = {}
    if '"' in accept:
        return weights  # a quoted parameter may contain commas; browsers do not send any
    for member in accept[:_MAX_LENGTH].lower().split(","):
        media_range, *parameters = (part.strip() for part in member.split(";"))
        weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        if _WEIGHT.fullmatch(weight) and all(_PARAMETER.fullmatch(value) for value in parameters):
            weights.setdefault(media_range, float(weight))
    return weights
