"""Request bodies with deadlines, and responses to bodies that are still arriving."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from ingest.ingest_errors import Aborted, TooLarge, UploadTimeout

MIN_RATE = 1024
"""Minimum average bytes per second of an upload, after the stall time; a third of a modem's rate in 1995. Without it, a
client could keep an upload open for the whole timeout by sending a byte now and then."""
MIN_RATE_OF_LONG = 64 * 1024
"""Minimum average bytes per second of an upload that takes longer than `UPLOAD_TIMEOUT`: half a megabit, as on a slow
phone. So a large file has the time that it needs there."""
MAX_JSON = 16 * 1024  # bytes of the JSON of a call
_LINGER_SECONDS = 5
_LINGER_BYTES = 64 << 20


class TimedBody:
    """The chunks of a request's body, with deadlines. Iterating raises UploadTimeout after:

    - `stall` seconds without a byte,
    - `stall` seconds more than the bytes received so far need at `MIN_RATE`,
    - `total` seconds, if the body is slower than `MIN_RATE_OF_LONG`.

    It raises Aborted when the client disconnects.
    """

    def __init__(self, request: Request, *, total: float, stall: float) -> None:
        self._request = request
        self._total = total
        self._stall = stall
        self._has_begun = self._has_finished = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._request.stream()
        clock = asyncio.get_running_loop().time
        begun, received = clock(), 0
        allowed = self._stall  # seconds of waiting for the client; processing time does not count
        self._has_begun = True
        try:
            while True:
                start = clock()
                end = begun + longest_upload(received, self._total)
                async with asyncio.timeout(min(self._stall, allowed, end - start)):
                    chunk = await anext(stream, None)
                if chunk is None:
                    self._has_finished = True
                    return
                received += len(chunk)
                allowed += len(chunk) / MIN_RATE - (clock() - start)
                if chunk:
                    yield chunk
        except TimeoutError:
            raise UploadTimeout(
                f"The body must arrive within {self._total:g} seconds or at {MIN_RATE_OF_LONG} bytes a second, "
                f"without pauses of {self._stall:g} seconds, at {MIN_RATE} bytes a second or more."
            ) from None
        except ClientDisconnect:
            self._has_finished = True
            raise Aborted("The connection closed before the whole body had arrived.") from None

    def wrap_response(self, response: Response) -> Response:
        """Returns a response that also reaches a client that is still sending."""
        if self._has_finished:
            return response
        return EarlyResponse(response, self._request.headers, has_begun=self._has_begun)


def longest_upload(size: int, total: float) -> float:
    """Seconds that an upload of `size` bytes may take. `total`: the time limit without a minimum rate."""
    return max(total, size / MIN_RATE_OF_LONG)


async def read_small_body(body: TimedBody) -> bytes:
    """Returns the JSON of a call. Raises TooLarge beyond `MAX_JSON`, UploadTimeout or Aborted."""
    received = b""
    async for chunk in body:
        received += chunk
        if len(received) > MAX_JSON:
            raise TooLarge(f"The body may have at most {MAX_JSON} bytes.")
    return received


class EarlyResponse(Response):
    """A response sent while the client is still sending. Closes the connection afterwards.

    Closing a socket with unread bytes makes the kernel reset it, and the client may never see the response. So this
    reads and discards incoming bytes for a while. `request`: the request's headers. `has_begun`: its body was read.
    """

    def __init__(self, response: Response, request: Headers, *, has_begun: bool = False) -> None:
        super().__init__(response.body, response.status_code, dict(response.headers) | {"connection": "close"})
        # A client that waits for `100 Continue` has sent nothing, and reading would ask it to send.
        self._linger = has_begun or request.get("expect", "").lower() != "100-continue"

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        if self._linger:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    seen = 0
    while seen < _LINGER_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        seen += len(message.get("body", b""))
