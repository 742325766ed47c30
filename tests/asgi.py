"""Calls an ASGI application without a server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. Header names are lower-case, and none may be repeated."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def scope_of(method: str, raw_path: str, headers: Mapping[str, str], query: str = "") -> Scope:
    sent = {"host": "localhost"} | {name.lower(): value for name, value in headers.items()}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("latin-1"),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
    }


async def ask(
    app: ASGIApp, raw_path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, query: str = ""
) -> Answer:
    """Sends `raw_path` unchanged, which HTTP clients would not, decoded as servers do for `scope["path"]`."""
    scope = scope_of(method, raw_path, headers or {}, query)
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *rest = messages
    received = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"]]
    assert len(dict(received)) == len(received), f"a header came twice: {received}"
    return Answer(start["status"], dict(received), b"".join(message.get("body", b"") for message in rest))


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Starts `app` and stops it, as a server does."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    server = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
        await server
