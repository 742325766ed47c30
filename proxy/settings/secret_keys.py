"""Types of settings that hold secret keys: at least 32 characters, separated by commas or lines."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from proxy.settings.patterns import split_list

_MIN_LENGTH = 32  # characters; of random hexadecimal digits, that is 128 bits


def _check(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < _MIN_LENGTH or not re.fullmatch(r"[!-+\--~]*", text):
        raise ValueError(
            f"a key needs at least {_MIN_LENGTH} characters, without spaces and commas: "
            "`darkroom keys secret` prints one"
        )
    return secret


SecretKey = Annotated[SecretStr, AfterValidator(_check)]
SecretKeys = Annotated[tuple[SecretKey, ...], BeforeValidator(split_list)]
"""Keys separated by commas or lines. The first signs, all verify: to rotate, put a new one before the old."""
