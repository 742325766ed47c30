"""URLs of variants from an upload's id."""

from __future__ import annotations

import re
from typing import Literal, get_args

Format = Literal["auto", "jpg", "png", "webp", "avif"]
_FORMATS = get_args(Format)

_UPLOAD_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SIZE = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


_TOKEN = re.compile(r"v1\.[0-9]{1,12}\.[A-Za-z0-9_-]{43}", re.ASCII)


def is_upload_id(text: str) -> bool:
    """Whether the text is a canonical lower-case UUID."""
    return _UPLOAD_ID.fullmatch(text) is not None


def check_upload_id(upload_id: str) -> None:
    """Raise ValueError unless the id is a canonical lower-case UUID."""
    if not is_upload_id(upload_id):
        raise ValueError(f"an upload's id is a lower-case UUID, not {upload_id!r}")


def check_token(token: str) -> None:
    """Raise ValueError for anything that does not look like a token of `sign_token`."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token is what sign_token returns")


def variant_url(
    upload_id: str,
    size: str,
    format: Format = "auto",
    *,
    density: Literal[1, 2, 3] = 1,
    base: str = "",
    token: str | None = None,
) -> str:
    """Return the URL of a variant, or its path without `base`, the server's CDN_URL or PUBLIC_URL.

    `size` is a configured size; with the format `auto` the server chooses by the client's `Accept`. `token`, of
    `sign_token`, makes it the URL of a private upload.
    Raises ValueError for malformed arguments, so that client input cannot change the URL. Does not check that the
    upload exists.
    """
    check_upload_id(upload_id)
    if not _SIZE.fullmatch(size):
        raise ValueError(f"lower-case letters, digits and hyphens make a size's name, not {size!r}")
    if format not in _FORMATS:
        raise ValueError(f"a format is one of {', '.join(_FORMATS)}, not {format!r}")
    if density not in (1, 2, 3):
        raise ValueError(f"a density is 1, 2 or 3, not {density!r}")
    name = f"{size if density == 1 else f'{size}@{density}x'}.{format}"
    if token is None:
        return f"{base.rstrip('/')}/images/{upload_id}/{name}"
    check_token(token)
    return f"{base.rstrip('/')}/private/{upload_id}/{name}?token={token}"
