"""Keys, times and signatures of the test vectors."""

import base64
import subprocess
from typing import Any

NOW = 1_800_000_000  # 15 January 2027
OLD, NEW, OTHER = (
    "old-secret-0123456789abcdef012345678",
    "new-secret-0123456789abcdef012345678",
    "another-secret-0123456789abcdef0123",
)
UNICODE = "schlüssel-ключ-鍵-0123456789abcdef"  # the key is its UTF-8
BOTH = f"{NEW},{OLD}"
IDS = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "00000000-0000-4000-8000-000000000000"

Document = dict[str, Any]


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(key: str, text: str) -> str:
    """HMAC-SHA256 of `text`, as unpadded base64url."""
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.encode().hex()}", "-binary"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)  # noqa: S603 - constants of this file
    return base64url(done.stdout)


def other_last_bits(signature: str) -> str:
    """The same bytes in another spelling: 43 characters have two bits more than 32 bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(other + "=") == base64.urlsafe_b64decode(signature + "=")
    return other
