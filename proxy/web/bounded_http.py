"""uvicorn's connections, with the bounds that uvicorn leaves to a proxy before it: for heads, silence and slow readers.

Why this is ours: docs/decisions/0018-connections.md.
"""

import asyncio

from starlette.responses import Response
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.web.middleware.security_headers import secured
from proxy.web.problems import BAD_REQUEST, HEADERS_TOO_LARGE, document

HEAD_BYTES = 32 * 1024
"""Request line and headers; what CloudFront and nginx as we configure it pass on at most."""
HEAD_LINES = 100


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection that owes the rest of a request for `head_seconds` while no answer is due (a body that is
    waited for has deadlines of its own), or that takes nothing of an answer for `send_seconds`.

    Heads beyond the limits get 431, what is no HTTP gets 400, both as problem documents.
    """

    head_seconds = 10.0  # as nginx as we configure it
    send_seconds = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio gives no other
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = self._oversized = False
        self._owes = True
        self._overdue: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clock()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data) if self._in_head else 0
        super().data_received(data)  # which stops uvicorn's own clock for idle connections
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._oversized = True
            self.send_400_response("")
        elif self.cycle is not None and not self.cycle.response_complete:
            return
        elif self._owes:
            self._start_clock()
        else:
            self._stop_clock()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._owes = True

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._oversized = True
            raise ValueError  # which makes the parser stop, and uvicorn refuse the request
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError  # the parser takes HTTP/0.9, whose answers had no heads
        self._stop_clock()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._owes = False

    @override
    def send_400_response(self, msg: str) -> None:  # not with uvicorn's `msg`: it would answer plain
        if (cycle := self.cycle) is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()  # or it would be read as a part of that answer
                return
            if not cycle.more_body:  # what follows a whole request: that one is answered, and nothing after it
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # what it answers would go to a closed connection
            cycle.message_event.set()
        self.transport.write(_serialized(oversized() if self._oversized else not_http()))
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def _start_clock(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._overdue:
            self._overdue.cancel()
            self._overdue = None

    def _watch_reader(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self.send_seconds, self._check_reader, unsent)

    def _check_reader(self, unsent: int) -> None:
        """Progress is enough: a large picture over a slow line takes its time."""
        if self.transport.get_write_buffer_size() < unsent:
            self._watch_reader()
        else:
            self.transport.abort()


def not_http() -> Response:
    return document(BAD_REQUEST, "The request breaks the rules of HTTP (RFC 9112).")


def oversized() -> Response:
    detail = f"Send at most {HEAD_LINES} headers, and {HEAD_BYTES // 1024} KiB of them with the path."
    return document(HEADERS_TOO_LARGE, detail)


def _serialized(answer: Response) -> bytes:
    """What uvicorn makes of an answer, for where there is no request to answer through it."""
    headers = [*secured(answer.raw_headers), (b"connection", b"close")]
    lines = [b"%s: %s" % header for header in headers]
    return b"\r\n".join([b"HTTP/1.1 %d " % answer.status_code, *lines, b"", bytes(answer.body)])
