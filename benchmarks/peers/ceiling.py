"""An ASGI application that sends one file and does nothing else."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BODY = Path("variant.jpg").read_bytes()
HEADERS = [(b"content-type", b"image/jpeg"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
