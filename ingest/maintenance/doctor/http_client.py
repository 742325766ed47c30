"""Fetches a URL without following redirects, or announces an upload to one.

The standard library suffices for a few requests.
"""

import http.client
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import anyio.to_thread

from ingest.ingest_errors import CdnUnavailable
from proxy.errors import Unavailable

_TIMEOUT = 5.0  # seconds for each blocking socket operation
_MAX_BODY = 1 << 20  # bytes of a body that are read
_MAX_LINE = 1024  # bytes of a status line that are read
_AGENT = "darkroom doctor"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. Header names are case-insensitive."""

    status: int
    headers: Message
    body: bytes = b""


Fetch = Callable[[str], Awaitable[Answer]]
"""Fetches a URL. Raises CdnUnavailable."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


async def fetch(url: str) -> Answer:
    """Implements `Fetch`. Reads at most 1 MiB of the body."""
    # When the check's deadline passes, the thread goes on until its own timeout.
    return await anyio.to_thread.run_sync(_fetch, url, abandon_on_cancel=True)


def _fetch(url: str) -> Answer:
    request = Request(url, headers={"User-Agent": _AGENT, "Accept": "image/*"})  # noqa: S310 - settings allow http and https alone
    try:
        with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT) as answer:
            return Answer(answer.status, answer.headers, answer.read(_MAX_BODY))
    except HTTPError as error:  # a response like any other
        with error:
            return Answer(error.code, error.headers, error.read(_MAX_BODY))
    except (OSError, http.client.HTTPException, UnicodeError) as error:  # UnicodeError: no such name in IDNA
        reason = getattr(error, "reason", None) or error
        raise CdnUnavailable(f"Cannot fetch {url} ({reason}): check CDN_URL, its DNS and its certificate.") from error


async def announce_upload(url: str, length: int) -> Answer | None:
    """Announces a multipart body of `length` bytes and sends none of it. Returns the server's response.

    Status 100: the server would accept the body. None: it waits for the body. Raises Unavailable. Uses no proxy.
    """
    return await anyio.to_thread.run_sync(_announce, url, length, abandon_on_cancel=True)


def _announce(url: str, length: int) -> Answer | None:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    try:
        connection.connect()
        connection.putrequest("POST", parts.path)
        for name, value in {
            "User-Agent": _AGENT,
            "Accept": "application/json",
            "Content-Type": "multipart/form-data; boundary=doctor",
            "Content-Length": str(length),
            "Expect": "100-continue",
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        return _read_head(connection)
    except (OSError, http.client.HTTPException, UnicodeError) as error:  # UnicodeError: no such name in IDNA
        raise Unavailable(
            f"Cannot reach {url} from this machine ({error}): check PUBLIC_URL, its DNS and its certificate."
        ) from error
    finally:
        connection.close()


def _read_head(connection: http.client.HTTPConnection) -> Answer | None:
    """Reads status and headers of the next response. Unlike http.client, does not skip the response 100."""
    with connection.sock.makefile("rb") as reader:
        try:
            match = re.match(rb"HTTP/1\.[01] (\d{3})\b", reader.readline(_MAX_LINE))
        except TimeoutError:
            return None
        if match is None:
            raise http.client.BadStatusLine("not an HTTP response")
        return Answer(int(match[1]), http.client.parse_headers(reader))
