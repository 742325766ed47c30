"""HTTP connections to addresses that `public_addresses.py` has checked. The host's name is not resolved again."""

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import SplitResult

import anyio
import anyio.to_thread
from typing_extensions import override

PORTS = {"http": 80, "https": 443}
_MAX_HEAD = 65_536  # bytes

T = TypeVar("T")


def read_retry_after(response: HTTPResponse) -> float:
    """Reads `Retry-After` in seconds; 0 without one. A date, which needs equal clocks, counts as none."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0


class _Head:
    """Wraps a response's file, and limits its status line and headers to `_MAX_HEAD` bytes together.

    `http.client` alone would accept 100 headers of 64 KiB each.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self._left = _MAX_HEAD

    def readline(self, limit: int) -> bytes:
        line: bytes = self.file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise HTTPException("the headers are too long")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class _BoundedResponse(HTTPResponse):
    @override
    def begin(self) -> None:
        self.fp: Any = _Head(self.fp)
        super().begin()
        if isinstance(self.fp, _Head):  # None after a response without a body
            self.fp = self.fp.file


class CheckedConnection(HTTPConnection):
    """Connects to the first of `addresses` that accepts a connection.

    `stall`: seconds to connect, which all addresses share, and for each read. `url`: gives host, port and scheme.
    `tls`: verifies the certificate of an https server, for the host's name. Uses no proxy of the environment
    (`HTTP_PROXY`).
    """

    response_class = _BoundedResponse

    def __init__(self, url: SplitResult, addresses: Sequence[str], *, stall: float, tls: ssl.SSLContext) -> None:
        super().__init__(url.hostname or "", url.port or PORTS[url.scheme], timeout=stall)
        self.default_port = PORTS[url.scheme]  # which the header `Host` leaves out
        self._addresses = addresses
        self._stall = stall
        self._tls = tls if url.scheme == "https" else None
        self._used: socket.socket | None = None  # `sock` is None once the response owns the socket
        self._is_aborted = False

    async def run(self, work: Callable[[], T], limiter: anyio.CapacityLimiter | None = None) -> T:
        """Runs `work`, which uses the connection, in a thread, then closes the connection.

        `limiter`: of the threads; the default one of anyio if None. A cancellation shuts down the socket, which ends
        the thread's read.

        Raises what `work` raises.
        """

        def run() -> T:
            with closing(self):
                return work()

        try:
            return await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=limiter)
        finally:
            self._abort()

    @override
    def connect(self) -> None:
        self.sock = self._open()
        self.sock.settimeout(self._stall)
        if self._tls:
            self.sock = self._used = self._tls.wrap_socket(self.sock, server_hostname=self.host)
        if self._is_aborted:
            raise TimeoutError("aborted")

    def _open(self) -> socket.socket:
        timeout = self._stall / len(self._addresses)  # a silent address must leave time for the others
        *others, last = self._addresses
        for address in others:
            with suppress(OSError):  # the failure of the last one is reported
                return self._connect(address, timeout)
        return self._connect(last, timeout)

    def _connect(self, address: str, timeout: float) -> socket.socket:
        if self._is_aborted:
            raise TimeoutError("aborted")
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        self._used = opened  # before it connects, so that `_abort` ends that, too
        try:
            opened.settimeout(timeout)
            opened.connect((address, self.port))
        except BaseException:
            opened.close()
            raise
        return opened

    def _abort(self) -> None:
        self._is_aborted = True
        if self._used is not None:
            with suppress(OSError):
                self._used.shutdown(socket.SHUT_RDWR)
