"""uvicorn's HTTP protocol with limits on header size, slow requests and slow readers.

uvicorn leaves these to a reverse proxy. Why they are here: docs/decisions/0018-connections.md.
"""

import asyncio
import re
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.responses import Response
from typing_extensions import override
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from proxy.web.middleware.security_headers import secured
from proxy.web.problems import BAD_REQUEST, HEADERS_TOO_LARGE, problem_response

HEAD_BYTES = 32 * 1024
"""Request line and headers. CloudFront, and nginx as configured here, forward at most this much."""
HEAD_LINES = 100
_HOST = re.compile(rb"(\[[\w.:%~-]+\]|[\w.~!$&'()*+,;=%-]+)(:\d*)?")  # RFC 3986: host and port


_BYTES_ACKED = 120
"""Offset of `tcpi_bytes_acked`, an unsigned 64-bit integer, in Linux's `struct tcp_info` (RFC 4898, tcpEStatsAppHC-
ThruOctetsAcked)."""


def bounded_http(least_rate: int) -> Any:
    """Returns the protocol class for uvicorn. `least_rate`: DOWNLOAD_MIN_RATE, in bytes a second.

    The result can be sent to worker processes, which a subclass made here could not.
    """
    return partial(BoundedHttp, least_rate=least_rate)


class BoundedHttp(HttpToolsProtocol):
    """Closes connections that send or read too slowly.

    `head_seconds`: for the rest of a request while no response is pending (a body that is being read has its own
    deadlines). `least_rate`: bytes a second that a client must read of a response, on average; it may be twice
    `read_seconds` behind. Heads beyond the limits get 431 and malformed HTTP gets 400, as problem documents, also
    without exactly one valid `Host`.
    """

    head_seconds = 10.0  # the same as in nginx.conf
    read_seconds = 30.0  # the time that nginx gives a client that reads nothing

    def __init__(self, *arguments: Any, least_rate: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._least_bytes = least_rate * self.read_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio passes no other type
        super().connection_made(transport)
        self._head_bytes = 0  # received since the last bytes of a body; of a chunked one also extensions and trailers
        self._in_head = False
        self._refusal: Callable[[], Response] = malformed_http
        self._request_incomplete = True
        self._request_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._taken: int | None = None
        self._lead = 0.0  # bytes that the client has taken beyond the least rate
        self._start_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_request_timer()
        if self._reader_timer:
            self._reader_timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)  # also stops uvicorn's keep-alive timer
        if self._request_incomplete and self._head_bytes > HEAD_BYTES:
            self._refusal = headers_too_large
            self.send_400_response("")
        elif self._ends_http_09_request(data):
            self.send_400_response("")
        elif self.cycle is not None and not self.cycle.response_complete:
            return
        elif self._request_incomplete:
            self._start_request_timer()
        else:
            self._stop_request_timer()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._request_incomplete = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer would change the head of a request that was judged already (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._refusal = headers_too_large
            raise ValueError  # stops the parser; uvicorn then calls send_400_response
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError  # the parser accepts HTTP/0.9, whose responses have no head
        hosts = [value for name, value in self.headers if name == b"host"]
        is_old = self.parser.get_http_version() == "1.0"
        if len(hosts) > 1 or not (hosts or is_old) or not all(map(_HOST.fullmatch, hosts)):
            self._refusal = bad_host
            raise ValueError
        self._stop_request_timer()
        self.on_request()

    def on_request(self) -> None:
        """Lets the application answer a request whose head is valid."""
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            self.cycle.send = _Unchunked(self.cycle).send  # type: ignore[method-assign] # uvicorn has no setting for it

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._request_incomplete = False

    @override
    def send_400_response(self, msg: str) -> None:  # `msg` is uvicorn's plain text
        if (cycle := self.cycle) is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()  # a client would read a 400 as part of the response that was started
                return
            if not cycle.more_body:  # the fault follows a complete request: answer that one, then close
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # discards the app's response, which comes too late
            cycle.message_event.set()
        self.transport.write(_serialize(self._refusal()))
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken = None  # the client has taken most of it

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.expect_reader()

    def expect_reader(self) -> None:
        """Restarts the check of the client's reading speed. Call after each response."""
        self._taken = None
        self._watch_reader()

    def _ends_http_09_request(self, data: bytes) -> bool:
        """Whether a connection begins with a line without a version. The parser would wait for headers."""
        if not self._in_head or not data.endswith(b"\n") or self.transport.is_closing():
            return False
        return bool(self.url) and self.parser.get_http_version() == "0.0"

    def _start_request_timer(self) -> None:
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_request_timer(self) -> None:
        if self._request_timer:
            self._request_timer.cancel()
            self._request_timer = None

    def _watch_reader(self) -> None:
        """Checks the reader after a while, also of a response that is complete and of a connection that is closing."""
        if self._reader_timer is None:
            self._reader_timer = self.loop.call_later(self.read_seconds, self._check_reader)

    def _check_reader(self) -> None:
        """Closes the connection if more is left to send and the client is two spans (`read_seconds`) or more behind.

        The client may also be up to two spans ahead. A kernel opens its window in steps, of 128 KB on the same machine,
        so a steady client takes nothing for a span or two. The first check only measures: the response may have begun
        just before it.
        """
        self._reader_timer = None
        before, self._taken = self._taken, None
        if unsent := self.transport.get_write_buffer_size():
            self._taken = _acknowledged(self.transport) or -unsent
            slack = 2 * self._least_bytes
            self._lead = 0 if before is None else min(self._lead + self._taken - before - self._least_bytes, slack)
            if self._lead < -slack:
                _reset(self.transport)
            else:
                self._watch_reader()


class _Unchunked:
    """Sends a response without Content-Length as HTTP/1.0 knows it: its end is the end of the connection.

    uvicorn would send chunks, which HTTP/1.0 does not have.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send = cycle.send
        self._has_length = True

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            self._has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
            if not self._has_length:
                self._cycle.chunked_encoding = False
        elif message["type"] == "http.response.body" and not self._has_length:
            self._cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)


def _acknowledged(transport: asyncio.Transport) -> int:
    """Returns the bytes that the client's kernel has acknowledged on this connection; 0 where this is unknown.

    What this process has not written yet is a coarse measure: the kernel takes more only when a third of its own
    buffer, which grows to megabytes, is free.
    """
    if sys.platform == "linux":
        with suppress(OSError, struct.error):  # not TCP, or another kernel's emulation
            info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
            return int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])
    return 0


def _reset(transport: asyncio.Transport) -> None:
    """Closes the connection at once. Otherwise the kernel would go on sending what it has, up to megabytes."""
    linger = struct.pack("ii", 1, 0)  # on, for 0 seconds
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def malformed_http() -> Response:
    return problem_response(BAD_REQUEST, "The request is not valid HTTP (RFC 9112).")


def bad_host() -> Response:
    return problem_response(BAD_REQUEST, "Send one `Host` header with a host and, if needed, a port (RFC 9112).")


def headers_too_large() -> Response:
    detail = f"Send at most {HEAD_LINES} headers, with at most {HEAD_BYTES // 1024} KiB in total, path included."
    return problem_response(HEADERS_TOO_LARGE, detail)


def _serialize(response: Response) -> bytes:
    """Returns the response as HTTP/1.1 bytes. uvicorn cannot send one without a parsed request."""
    headers = [*secured(response.raw_headers), (b"connection", b"close")]
    lines = [b"%s: %s" % header for header in headers]
    return b"\r\n".join([b"HTTP/1.1 %d " % response.status_code, *lines, b"", bytes(response.body)])
