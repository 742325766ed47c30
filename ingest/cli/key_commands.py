"""Commands that print new API keys and secrets."""

import base64
import secrets
from typing import Annotated

import typer

from ingest.cli.console import AsJson, out, print_json, stop
from ingest.cli.help import examples, help_text

KEYS_HELP = help_text(
    "Make API keys. To rotate a key, add a second one of the same name, let clients use it, then remove the first.",
    [
        "darkroom keys new",
        "darkroom keys new shop --scopes upload+read",
        "darkroom keys secret",
        "darkroom keys webhook",
    ],
)
_BYTES = 24  # random bytes of a key, which make 32 characters
_SECRET_BYTES = 32  # as many as HMAC-SHA256 returns (RFC 7518, 3.2); 43 characters


@examples("darkroom keys new", "darkroom keys new shop --scopes upload+read")
def new(
    name: Annotated[str, typer.Argument(help="Name of the caller, for logs and idempotency.")] = "default",
    scopes: Annotated[str, typer.Option(help="upload, read, delete, admin; joined by +.")] = "admin",
    as_json: AsJson = False,
) -> None:
    """Print a new key for API_KEYS. It is stored nowhere.

    Clients send only the secret, after the last colon. Without a name and scopes, the key is the secret alone.
    """
    from proxy.settings import parse_api_keys

    secret = secrets.token_urlsafe(_BYTES)
    key = f"{name}:{scopes}:{secret}"
    try:
        parse_api_keys([key])
    except ValueError as error:
        stop(f"The key {str(error).removeprefix('key 1 ')}.", code=2)
    if as_json:
        print_json({"name": name, "scopes": scopes.split("+"), "secret": secret, "key": key})
    else:
        out().print(secret if (name, scopes) == ("default", "admin") else key)


@examples("darkroom keys secret")
def secret(as_json: AsJson = False) -> None:
    """Print a secret for UPLOAD_KEYS, SIGNING_KEYS or EDGE_SECRET.

    It is stored nowhere. To rotate UPLOAD_KEYS or SIGNING_KEYS, put it before the present one: it signs, and both
    verify. Remove the old one when the tickets and tokens that it signed have expired.
    """
    _print_secret(secrets.token_urlsafe(_SECRET_BYTES), as_json=as_json)


@examples("darkroom keys webhook")
def webhook(as_json: AsJson = False) -> None:
    """Print a new secret for WEBHOOK_SECRET. It is stored nowhere.

    To rotate, put it before the present one, give it to the receiver, then remove the old one: until then both sign.
    """
    made = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    _print_secret(made, as_json=as_json)


def _print_secret(made: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"secret": made})
    else:
        out().print(made)
