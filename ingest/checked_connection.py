"""HTTP connections to addresses that were checked (`public_addresses.py`), whatever the name resolves to by now."""

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TypeVar
from urllib.parse import SplitResult

import anyio
import anyio.to_thread
from typing_extensions import override

PORTS = {"http": 80, "https": 443}

T = TypeVar("T")


class CheckedConnection(HTTPConnection):
    """Connects to the first of `addresses` that accepts a connection.

    `stall`: seconds to connect, which all addresses share, and for each read.
    `url`: gives host, port and scheme. `tls`: verifies the certificate of an https server, for the host's name.
    Asks no proxies.
    """

    def __init__(self, url: SplitResult, addresses: Sequence[str], *, stall: float, tls: ssl.SSLContext) -> None:
        super().__init__(url.hostname or "", url.port or PORTS[url.scheme], timeout=stall)
        self.default_port = PORTS[url.scheme]  # which the header `Host` leaves out
        self._addresses = addresses
        self._stall = stall
        self._tls = tls if url.scheme == "https" else None
        self._used: socket.socket | None = None  # `sock` is None once the response owns the socket
        self._is_aborted = False

    async def run(self, work: Callable[[], T], limiter: anyio.CapacityLimiter | None = None) -> T:
        """Runs `work`, which uses the connection, in a thread, and closes it. If cancelled, ends the thread's reads.

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
        self._used = self._open()
        self._used.settimeout(self._stall)
        self.sock = self._used
        if self._tls:
            self.sock = self._used = self._tls.wrap_socket(self._used, server_hostname=self.host)
        if self._is_aborted:
            raise TimeoutError("aborted")

    def _open(self) -> socket.socket:
        timeout = self._stall / len(self._addresses)  # a silent address must leave time for the others
        *others, last = self._addresses
        for address in others:
            with suppress(OSError):  # the failure of the last one is reported
                return socket.create_connection((address, self.port), timeout)
            if self._is_aborted:
                raise TimeoutError("aborted")
        return socket.create_connection((last, self.port), timeout)

    def _abort(self) -> None:
        self._is_aborted = True
        if self._used is not None:
            with suppress(OSError):
                self._used.shutdown(socket.SHUT_RDWR)
