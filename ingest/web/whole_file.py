"""Responses that send a file, always whole."""

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override


class WholeFile(FileResponse):
    """Sends a file, and ignores `Range`: Starlette refuses invalid ranges in plain text, not by a problem document."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del self.headers["accept-ranges"]
        headers = [each for each in scope["headers"] if each[0] != b"range"]
        await super().__call__(dict(scope) | {"headers": headers}, receive, send)
