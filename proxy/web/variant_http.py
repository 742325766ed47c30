"""uvicorn's HTTP protocol as the proxy uses it: it sends memory cache hits itself, without calling the application."""

from collections.abc import Callable
from functools import partial
from typing import Any

from typing_extensions import override

from proxy.web.bounded_http import BoundedHttp

Hit = tuple[bytes, bytes]
"""Status line and headers, each ending with CRLF; and the body."""

_OTHERWISE = frozenset((b"content-length", b"expect", b"if-modified-since", b"range", b"transfer-encoding", b"upgrade"))
"""Headers of requests that have a body or want another response."""


def variant_http(least_rate: int) -> Any:
    """Returns the protocol class for uvicorn. `least_rate`: DOWNLOAD_MIN_RATE, in bytes a second.

    The result can be sent to worker processes, which a subclass made here could not.
    """
    return partial(VariantHttp, least_rate=least_rate)


class VariantHttp(BoundedHttp):
    """Asks the application's `find_hit` for each plain GET, and calls the application only if that returns nothing.

    Asks `find_hit` only while nothing is pending on the connection: responses keep the order of their requests, and a
    client that does not read has one of them unread at most. Why: docs/decisions/0035-hits.md.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        app: Any = self.app
        self._find_hit: Callable[[bytes, bytes | None], Hit | None] = app.find_hit
        self._is_hit = False
        self._dated: list[tuple[bytes, bytes]] = []
        self._end_of_head = b""

    @override
    def on_request(self) -> None:
        hit = self._hit() if self.cycle is None or self.cycle.response_complete else None
        if hit is None:
            super().on_request()
            return
        self._is_hit = True
        head, body = hit
        # Not an empty body: asyncio of Python 3.12 and 3.13 would try for ever to send its no bytes.
        self.transport.writelines((head, self._date(), body) if body else (head, self._date()))
        self.expect_reader()

    def on_message_complete(self) -> None:
        if self._is_hit:
            self._is_hit = self._request_incomplete = False
        else:
            super().on_message_complete()

    def _hit(self) -> Hit | None:
        if self.parser.get_method() != b"GET" or not self.parser.should_keep_alive():
            return None
        if self.parser.get_http_version() != "1.1" or self.transport.get_write_buffer_size():
            return None
        etags = None
        for name, value in self.headers:
            if name in _OTHERWISE:
                return None
            if name == b"if-none-match":
                etags = value if etags is None else etags + b", " + value  # as `join_lines` does
        return self._find_hit(self.url.partition(b"?")[0], etags)

    def _date(self) -> bytes:
        """The headers that uvicorn gives to every response, and the end of the head. It renews them each second."""
        if (headers := self.server_state.default_headers) is not self._dated:
            self._dated = headers
            self._end_of_head = b"".join(b"%s: %s\r\n" % header for header in headers) + b"\r\n"
        return self._end_of_head
