"""Downloads images from web servers: within limits, and only from addresses that were checked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

import structlog

from ingest.checked_connection import PORTS, CheckedConnection, read_retry_after
from ingest.importing.import_sources import Outcome, SourceProblem
from ingest.importing.temporary_download import temporary_file
from ingest.public_addresses import AddressNotPublic, resolve_public
from ingest.uploads.multipart import too_large
from proxy.errors import Unavailable
from proxy.retries import Attempts

log = structlog.get_logger()

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_RETRIES = (1, 4)  # seconds before each
_LONGEST_RETRY_AFTER = 60  # seconds; if a server asks for more, the download is not retried
_STALL = 10.0  # seconds to connect, and for each read
_DEADLINE = 60.0  # seconds for a download, with its redirects
_CHUNK = 64 * 1024  # bytes
_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%~"


class InvalidUrl(Exception):
    """The URL is not allowed. The message says why, without a password that the URL may have."""

    code = "invalid_url"


def is_url(text: str) -> bool:
    """Whether `text` begins as an http or https URL does. It may be invalid: see `parse_url`."""
    return text.lower().startswith(("http://", "https://"))


def parse_url(url: str) -> SplitResult:
    """Returns the parts of a URL with a host. Raises InvalidUrl."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidUrl("It is not a URL.") from None
    if parts.scheme not in PORTS:
        raise InvalidUrl("Only http:// and https:// are supported.")
    if not parts.hostname or port == 0 or not url.isprintable():
        raise InvalidUrl("It is not a URL.")
    if parts.username is not None or parts.password is not None:
        raise InvalidUrl("It contains a user name or password, which the output would show. Remove it.")
    return parts


def canonical_url(url: str, *, with_query: bool = True) -> str:
    """Returns the same text for URLs that differ in the case of the host, the default port or the fragment.

    Raises InvalidUrl.
    """
    parts = parse_url(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, PORTS[parts.scheme]) else f":{parts.port}"
    query = parts.query if with_query else ""
    return urlunsplit((parts.scheme, host + port, parts.path or "/", query, ""))


class UrlDownloader:
    """Downloads from http and https URLs. Uses no proxy and no cache, and sends no cookies or credentials."""

    def __init__(
        self,
        *,
        allow_private: bool,
        max_bytes: int,
        temporary: Path,
        deadline: float = _DEADLINE,
        stall: float = _STALL,
    ) -> None:
        """`allow_private`: also from addresses that are not public. `deadline`, `stall`: seconds."""
        self._allow_private = allow_private
        self._max_bytes = max_bytes
        self._temporary = temporary
        self._deadline = deadline
        self._stall = stall
        self._tls: ssl.SSLContext | None = None

    def open(self, url: str) -> Callable[[], AbstractAsyncContextManager[Path]]:
        """Returns a function for `Source.open`, which downloads `url` to a temporary file for the time of its block."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[Path]:
            async with temporary_file(self._temporary) as path:
                await self._download(url, path)
                yield path

        return opened

    async def _download(self, url: str, path: Path) -> None:
        """Downloads `url` to `path`, with retries. Raises SourceProblem, TooLarge or Unavailable."""
        attempts = Attempts(_RETRIES)
        async for pause in attempts:
            try:
                async with asyncio.timeout(self._deadline):
                    await self._follow(url, path)
            except TimeoutError:
                problem = _failed(f"The download took longer than {self._deadline:g} seconds.", retryable=True)
            except SourceProblem as error:
                problem = error
            else:
                return
            if pause is None or not problem.retryable:
                raise problem
            retry_in = attempts.wait_at_least(problem.retry_after)
            # Not the URL: its query may be a signature.
            host = urlsplit(url).hostname
            log.warning("download failed, retry scheduled", host=host, error=str(problem), retry_in=retry_in)

    async def _follow(self, url: str, path: Path) -> None:
        """Downloads `url` to `path`. Checks each of at most `_MAX_REDIRECTS` redirects as it checks `url`."""
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                parts = parse_url(url)
            except InvalidUrl as error:
                raise _failed(f"The server redirects to a URL that is not allowed. {error}") from None
            addresses = await self._resolve(parts.hostname or "", parts.port or PORTS[parts.scheme])
            location = await self._fetch(parts, addresses, path)
            if location is None:
                return
            try:
                url = urljoin(url, location)
            except ValueError:
                raise _failed("The server redirects to a URL that is not allowed. It is not a URL.") from None
        raise _failed(f"The server redirects more than {_MAX_REDIRECTS} times.")

    async def _resolve(self, host: str, port: int) -> list[str]:
        try:
            return await resolve_public(host, port, allow_private=self._allow_private)
        except AddressNotPublic as error:
            raise SourceProblem(
                "private_address",
                f"{error} If it is meant to be downloaded from, import with --allow-private.",
                outcome=Outcome.REFUSED,
            ) from None
        except OSError as error:
            raise _failed(f"The host {host} has no address: {error.strerror or error}.", retryable=True) from error

    async def _fetch(self, parts: SplitResult, addresses: list[str], path: Path) -> str | None:
        """Requests one URL. Returns the URL that the server redirects to, or None after the download."""
        self._tls = self._tls or ssl.create_default_context()
        connection = CheckedConnection(parts, addresses, stall=self._stall, tls=self._tls)
        try:
            return await connection.run(lambda: self._request(connection, parts, path))
        except ssl.SSLCertVerificationError as error:
            raise _failed(f"The server's certificate was not accepted: {error.verify_message}.") from error
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a chunk size that is no number
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise _failed(f"The server does not answer as it should: {reason}.", retryable=True) from error

    def _request(self, connection: CheckedConnection, parts: SplitResult, path: Path) -> str | None:
        target = quote(parts.path or "/", _URL_CHARACTERS) + ("?" if parts.query else "")
        headers = {"User-Agent": "darkroom-import", "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
        connection.request("GET", target + quote(parts.query, _URL_CHARACTERS), headers=headers)
        with connection.getresponse() as response:
            return self._read(response, path)

    def _read(self, response: HTTPResponse, path: Path) -> str | None:
        if response.status in _REDIRECTS and (location := response.headers.get("Location")):
            return location.encode("latin-1").decode(errors="replace")  # http.client reads every header as Latin-1
        if response.status != 200:
            retry_after = read_retry_after(response)
            is_temporary = response.status in (408, 425, 429) or response.status >= 500
            is_temporary &= retry_after <= _LONGEST_RETRY_AFTER
            raise _failed(f"The server answers {response.status}.", retryable=is_temporary, retry_after=retry_after)
        if (response.headers.get("Content-Encoding") or "identity").lower() != "identity":
            raise _failed("The server sends the file compressed, although it was asked not to.")
        if (response.length or 0) > self._max_bytes:
            raise too_large(self._max_bytes)
        try:
            file = path.open("wb")
        except OSError as error:
            raise Unavailable(f"Temporary files cannot be written: {error.strerror}.") from error
        with file:
            self._save(response, file)
        return None

    def _save(self, response: HTTPResponse, file: BinaryIO) -> None:
        seen = 0
        while chunk := response.read1(_CHUNK):  # `read` would read everything for a negative chunk size
            seen += len(chunk)
            if seen > self._max_bytes:
                raise too_large(self._max_bytes)
            try:
                file.write(chunk)
            except OSError as error:
                raise Unavailable(f"Temporary files cannot be written: {error.strerror}.") from error
        if response.length:  # bytes that are missing; `read1` reports no early end
            raise _failed("The server closed the connection before the end of the file.", retryable=True)


def _failed(detail: str, *, retryable: bool = False, retry_after: float = 0) -> SourceProblem:
    return SourceProblem("download_failed", detail, retryable=retryable, retry_after=retry_after)
