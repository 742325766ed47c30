"""Bodies to refuse, and the problem that is expected."""

import asyncio
import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from tests.unit.ingest.bodies import MULTIPART
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service

MIB = 1 << 20


FILE = 'name="image"; filename="photo.jpg"'


CHUNK = bytes(64 * 1024)


def problem(exchange: Exchange, status: int, code: str) -> dict[str, Any]:
    """Returns the problem document, after checking everything except its text."""
    document: dict[str, Any] = json.loads(exchange.answer)
    assert (exchange.status, document["status"], document["code"]) == (status, status, code)
    assert set(document) == {"type", "title", "status", "detail", "code"}
    assert document["type"].endswith(code)
    assert len(document["detail"]) > 15
    assert document["detail"] != document["title"]
    assert exchange.headers["content-type"] == "application/problem+json"
    assert exchange.headers["content-length"] == str(len(exchange.answer))
    assert exchange.headers["cache-control"] == "no-store"
    assert exchange.headers["x-content-type-options"] == "nosniff"
    return document


async def send(service: Service, exchange: Exchange, **headers: str) -> Exchange:
    """Posts it and checks that nothing is left."""
    before = await service.holdings()
    async with asyncio.timeout(20):
        await exchange.run(service.app, "POST", "/images/upload", **{"content_type": MULTIPART} | headers)
    assert await service.holdings() == before
    return exchange


def endless(first: bytes) -> Iterator[bytes]:
    yield first
    yield from repeat(CHUNK)
