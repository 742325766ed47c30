"""Requests that no HTTP client would send."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message

from tests.asgi import scope_of


@dataclass
class Exchange:
    """One request and its response, from the server's side of ASGI.

    Each item of `body` is one message; the last one ends the body if `ends`. After that the client waits, or
    disconnects if `hangs_up`. It always disconnects once the response is complete.
    """

    body: Iterable[bytes] = ()
    ends: bool = True
    hangs_up: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    received: int = 0
    received_before_answer: int = 0
    received_after_end: int = 0

    async def run(self, app: ASGIApp, method: str, path: str, **headers: str) -> "Exchange":
        scope = scope_of(method, path, {name.replace("_", "-"): value for name, value in headers.items()})
        messages = self._messages()
        answered = asyncio.Event()

        async def receive() -> Message:
            await asyncio.sleep(0)  # as a server's `receive` does
            self.received += 1
            if not self.status:
                self.received_before_answer += 1
            for message in messages:
                return message
            if self.ends:
                self.received_after_end += 1
            if self.hangs_up or self.status:  # a client disconnects after a response with `close`
                return {"type": "http.disconnect"}
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
                return
            self.answer += message.get("body", b"")
            if not message.get("more_body"):
                answered.set()

        await app(scope, receive, send)
        assert answered.is_set()
        return self

    def _messages(self) -> Any:
        for piece in self.body:
            yield {"type": "http.request", "body": piece, "more_body": True}
        if self.ends:
            yield {"type": "http.request", "body": b"", "more_body": False}
