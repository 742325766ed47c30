"""Types of settings whose text must match a pattern, with a message that describes it."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator


def matching(pattern: str, advice: str) -> AfterValidator:
    """Returns a validator whose error message is `advice`, because few people read a pattern."""

    def validate(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(advice)
        return value

    return AfterValidator(validate)


def split_list(value: Any) -> Any:
    """Splits text at commas and line ends; returns anything else as it is."""
    if isinstance(value, str):
        return [item for part in re.split(r"[,\n]", value) if (item := part.strip())]
    return value


Origin = Annotated[
    str,
    matching(
        r"https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?",
        "give a scheme and a host in lower case, without a path, such as https://shop.example or "
        "http://localhost:3000; * is not possible",
    ),
]
"""An origin as browsers send it (RFC 6454)."""

Color = Annotated[
    str,
    matching("#[0-9a-fA-F]{6}", "give a number sign and six hexadecimal digits, such as #ffffff"),
    AfterValidator(str.lower),  # equal colours are equal texts, in recipes and in the API
]
