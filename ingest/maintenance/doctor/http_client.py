"""Fetches a URL without following redirects. The standard library suffices for a few requests."""

import http.client
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import anyio.to_thread

from ingest.ingest_errors import CdnUnavailable

_TIMEOUT = 5.0  # seconds for each blocking socket operation
_MAX_BODY = 1 << 20  # bytes of a body that are read


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. Header names are case-insensitive."""

    status: int
    headers: Message
    body: bytes = b""


Fetch = Callable[[str], Awaitable[Answer]]
"""Raises CdnUnavailable."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


async def fetch(url: str) -> Answer:
    # When the check's deadline passes, the thread goes on until its own timeout.
    return await anyio.to_thread.run_sync(_fetch, url, abandon_on_cancel=True)


def _fetch(url: str) -> Answer:
    request = Request(url, headers={"User-Agent": "darkroom doctor", "Accept": "image/*"})  # noqa: S310 - settings allow http and https alone
    try:
        with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT) as answer:
            return Answer(answer.status, answer.headers, answer.read(_MAX_BODY))
    except HTTPError as error:  # a response like any other
        with error:
            return Answer(error.code, error.headers, error.read(_MAX_BODY))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CdnUnavailable(f"Cannot fetch {url} ({reason}): check CDN_URL, its DNS and its certificate.") from error
