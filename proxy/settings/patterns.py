"""Settings that have a form, with the words that describe it."""

import re
from typing import Annotated

from pydantic import AfterValidator


def matching(pattern: str, advice: str) -> AfterValidator:
    """A validator whose mistake is `advice`, because few people read a pattern."""

    def validate(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(advice)
        return value

    return AfterValidator(validate)


Color = Annotated[
    str,
    matching("#[0-9a-fA-F]{6}", "give a number sign and six hexadecimal digits, such as #ffffff"),
    AfterValidator(str.lower),  # equal colours are equal texts, in recipes and in the API
]
