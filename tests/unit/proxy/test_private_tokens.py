"""Tokens for private variants. The expected ones were computed with `openssl dgst -sha256 -hmac KEY -binary`."""

import pytest

from proxy.errors import InvalidToken
from proxy.model import UploadId
from proxy.private_tokens import seconds_left, sign

KEY, OTHER = "0123456789abcdef0123456789abcdef", "another key of more than 32 bytes"
UPLOAD_ID = UploadId("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
TOKEN = "v1.1893456000.cgj-S52eDEI586CD4zPQTgAu3Gws5IIblS0t7BbFkpY"
NOW = 1_893_455_000


def left(token: str, *, keys: tuple[str, ...] = (KEY,), upload_id: UploadId = UPLOAD_ID, now: float = NOW) -> float:
    return seconds_left(keys, upload_id, token, now)


def test_token_is_the_one_that_openssl_computes() -> None:
    assert sign(KEY, UPLOAD_ID, 1_893_456_000) == TOKEN


def test_token_is_valid_until_it_expires() -> None:
    assert left(TOKEN) == 1000
    assert left(TOKEN, now=1_893_455_999.75) == 0.25
    with pytest.raises(InvalidToken, match="expired"):
        left(TOKEN, now=1_893_456_000)


@pytest.mark.parametrize("keys", [(OTHER, KEY), (KEY, OTHER)])
def test_every_key_verifies(keys: tuple[str, ...]) -> None:
    assert left(TOKEN, keys=keys) == 1000


@pytest.mark.parametrize(
    "token",
    [
        "",
        "v1",
        TOKEN[:-1],
        f"{TOKEN}=",
        f"{TOKEN}\n",
        f" {TOKEN}",
        TOKEN.replace("v1", "v2"),
        TOKEN.replace("1893456000", "01893456000"),
        TOKEN.replace("1893456000", "+1893456000"),
        TOKEN.replace("1893456000", "\N{ARABIC-INDIC DIGIT ONE}893456000"),
        TOKEN.replace("1893456000", "1893456001"),
        TOKEN.replace("1893456000", "9" * 5000),
        TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B"),
        TOKEN[:14] + "A" * 43,
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        left(token)


def test_token_opens_no_other_upload() -> None:
    with pytest.raises(InvalidToken):
        left(TOKEN, upload_id=UploadId("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2b"))


def test_without_keys_no_token_is_valid() -> None:
    with pytest.raises(InvalidToken):
        left(TOKEN, keys=())
