"""Settings of webhooks: their receiver and the secrets that sign them."""

import re
from base64 import b64decode
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from proxy.settings.patterns import matching, split_list

_PREFIX = "whsec_"
_BYTES = range(24, 65)
"""Length of a secret: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""


def decode_webhook_secret(text: str) -> bytes:
    """Returns the key of a secret, `whsec_` and base64. Raises ValueError."""
    try:
        key = b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:  # not base64, or not ASCII
        key = b""
    if not text.startswith(_PREFIX) or len(key) not in _BYTES:
        raise ValueError(
            f"a secret is {_PREFIX} and the base64 of {_BYTES[0]} to {_BYTES[-1]} bytes: `darkroom keys webhook` "
            "prints one"
        )
    return key


def _check(secret: SecretStr) -> SecretStr:
    decode_webhook_secret(secret.get_secret_value())
    return secret


WebhookSecret = Annotated[SecretStr, AfterValidator(_check)]


class WebhookSettings(BaseModel):
    """The settings of webhooks."""

    webhook_secret: Annotated[tuple[WebhookSecret, ...], BeforeValidator(split_list)] = Field(
        (),
        description="Comma-separated secrets, each `whsec_` and base64, that sign webhooks. All of them sign, so that "
        "the receiver may verify with the old one while you change it",
    )
    webhook_allow_private: bool = Field(
        False, description="`true`: webhooks may go to loopback and private addresses, and to `http://` URLs"
    )
    webhook_url: (
        Annotated[
            str,
            matching(
                r"https?://[^\s\"'<>?#/@\\]+(/[^\s\"'<>#\\]*)?",
                "give an https:// URL without name, password and fragment",
            ),
        ]
        | None
    ) = Field(
        None,
        description="URL that gets a POST, signed as Standard Webhooks, when an upload is ready, has failed or was "
        "deleted; needs `WEBHOOK_SECRET`",
    )

    @field_validator("webhook_url")
    @classmethod
    def _validate_webhook_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_valid = value.isascii() and bool(parts.hostname) and parts.port != 0
        except ValueError:  # wrong brackets, or a port that is no number or too large
            is_valid = False
        if not is_valid:
            raise ValueError("it is not a URL: check host and port, and percent-encode other characters")
        if info.data.get("webhook_secret") == ():
            raise ValueError("the receiver could not verify the sender: set WEBHOOK_SECRET, too")
        if re.match("http:", value) and not info.data.get("webhook_allow_private", True):
            raise ValueError(
                "begin it with https://; http:// is for receivers on this machine or network, with "
                "WEBHOOK_ALLOW_PRIVATE=true"
            )
        return value
