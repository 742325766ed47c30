"""Request bodies with deadlines, and answers to those that are still coming."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from ingest.errors import Aborted, UploadTimeout

MIN_RATE = 1024
"""Bytes a second that an upload must come by on average, after the first seconds; modems of 1995 sent three times as
many. Without it, a byte now and then would keep an upload open for all of its time."""
_LINGER_SECONDS = 5
_LINGER_BYTES = 64 << 20


class TimedBody:
    """The chunks of a request's body; iterating raises UploadTimeout after `total` seconds, `stall` seconds without
    a byte, or so many more than `MIN_RATE` allows for the bytes that came, and Aborted when the client hangs up.
    """

    def __init__(self, request: Request, *, total: float, stall: float) -> None:
        self._request = request
        self._total = total
        self._stall = stall
        self._begun = self._finished = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._request.stream()
        clock = asyncio.get_running_loop().time
        end = clock() + self._total
        allowed = self._stall  # seconds of waiting for the client; what is done with its bytes is not its fault
        self._begun = True
        try:
            while True:
                start = clock()
                async with asyncio.timeout(min(self._stall, allowed, end - start)):
                    chunk = await anext(stream, None)
                if chunk is None:
                    self._finished = True
                    return
                allowed += len(chunk) / MIN_RATE - (clock() - start)
                if chunk:
                    yield chunk
        except TimeoutError:
            raise UploadTimeout(
                f"The picture must arrive within {self._total:g} seconds, without pauses of {self._stall:g}, "
                f"at {MIN_RATE} bytes a second or more."
            ) from None
        except ClientDisconnect:
            self._finished = True
            raise Aborted("The connection closed before the whole picture had come.") from None

    def answer(self, response: Response) -> Response:
        """`response`, in a way that also reaches a client who is still sending."""
        if self._finished:
            return response
        # Who waits for `100 Continue` has sent nothing, and reading would tell it to go on.
        waits = self._request.headers.get("expect", "").lower() == "100-continue" and not self._begun
        return EarlyAnswer(response, linger=not waits)


class EarlyAnswer(Response):
    """An answer given while the client is still sending: sent at once, then the connection is closed, gently.

    Closing a socket with unread bytes makes the kernel reset it, and the client may never see the answer; so what
    comes is read and dropped for a while.
    """

    def __init__(self, response: Response, *, linger: bool) -> None:
        super().__init__(response.body, response.status_code, dict(response.headers) | {"connection": "close"})
        self._linger = linger

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
