"""One look at a URL, as it is: no redirect is followed. The standard library does, for a few requests by hand."""

import http.client
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import anyio.to_thread

from ingest.errors import CdnUnavailable

_PATIENCE = 5.0  # seconds for each wait of a connection
_MOST = 1 << 20  # bytes of a body that are read


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names in any case."""

    status: int
    headers: Message
    body: bytes = b""


Fetch = Callable[[str], Awaitable[Answer]]
"""Raises CdnUnavailable."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_opener = build_opener(_NoRedirects)


async def fetch(url: str) -> Answer:
    # Left alone when the check's deadline passes: it ends by its own.
    return await anyio.to_thread.run_sync(_fetch, url, abandon_on_cancel=True)


def _fetch(url: str) -> Answer:
    request = Request(url, headers={"User-Agent": "darkroom doctor", "Accept": "image/*"})  # noqa: S310 - settings allow http and https alone
    try:
        with _opener.open(request, timeout=_PATIENCE) as answer:
            return Answer(answer.status, answer.headers, answer.read(_MOST))
    except HTTPError as error:  # an answer, too
        with error:
            return Answer(error.code, error.headers, error.read(_MOST))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CdnUnavailable(
            f"{url} cannot be fetched ({reason}): check CDN_URL, its DNS and its certificate."
        ) from error
