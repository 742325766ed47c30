"""An ASGI application that sends one file with the headers of `headers.json` and does nothing else."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BODY = Path("variant.jpg").read_bytes()
HEADERS = [(name.encode(), value.encode()) for name, value in json.loads(Path("headers.json").read_text()).items()]


async def app(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
