"""URLs of variants from an upload's id."""

import re
from typing import Literal, get_args

Format = Literal["auto", "jpg", "png", "webp", "avif"]
_FORMATS = get_args(Format)

_UPLOAD_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SIZE = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


def variant_url(
    upload_id: str, size: str, format: Format = "auto", *, density: Literal[1, 2, 3] = 1, base: str = ""
) -> str:
    """Return the URL of a variant, or its path without `base`, the server's CDN_URL or PUBLIC_URL.

    `size` is a configured size; with the format `auto` the server chooses by the client's `Accept`.
    Raises ValueError for malformed arguments, so that client input cannot change the URL. Does not check that the
    upload exists.
    """
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise ValueError(f"an upload's id is a lower-case UUID, not {upload_id!r}")
    if not _SIZE.fullmatch(size):
        raise ValueError(f"lower-case letters, digits and hyphens make a size's name, not {size!r}")
    if format not in _FORMATS:
        raise ValueError(f"a format is one of {', '.join(_FORMATS)}, not {format!r}")
    if density not in (1, 2, 3):
        raise ValueError(f"a density is 1, 2 or 3, not {density!r}")
    name = size if density == 1 else f"{size}@{density}x"
    return f"{base.rstrip('/')}/images/{upload_id}/{name}.{format}"
