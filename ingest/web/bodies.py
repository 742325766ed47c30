"""Request bodies with deadlines, and how to refuse one that is still coming."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proxy.errors import Malformed, UploadTimeout

_LINGER_SECONDS = 5
_LINGER_BYTES = 64 << 20


async def timed_body(request: Request, *, total: float, stall: float) -> AsyncIterator[bytes]:
    """The body's chunks. Raises UploadTimeout after `total` seconds, or `stall` seconds without a byte; Malformed."""
    stream = request.stream()
    end = asyncio.get_running_loop().time() + total
    try:
        while True:
            left = end - asyncio.get_running_loop().time()
            async with asyncio.timeout(min(stall, left)):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            if chunk:
                yield chunk
    except TimeoutError:
        raise UploadTimeout(f"The picture must arrive within {total:g} seconds, without pauses of {stall:g}.") from None
    except ClientDisconnect:
        raise Malformed("The connection closed before the whole picture had come.") from None


class EarlyAnswer(Response):
    """An answer given while the client is still sending: sent at once, then the connection is closed, gently.

    Closing a socket with unread bytes makes the kernel reset it, and the client may never see the answer; so what
    comes is read and dropped for a while. A client that waits for `100 Continue` has sent nothing: it gets no linger,
    for reading would tell it to go on.
    """

    def __init__(self, response: Response, request: Request) -> None:
        super().__init__(response.body, response.status_code, dict(response.headers) | {"connection": "close"})
        self._waits = request.headers.get("expect", "").lower() == "100-continue"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        if not self._waits:
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
