"""How long a body may take: as a whole, in silence, and for the bytes that came."""

import asyncio
from itertools import count

import pytest
from starlette.requests import Request
from starlette.types import Message

from ingest.web.bodies import MIN_RATE, TimedBody
from proxy.errors import UploadTimeout

STALL = 0.4  # seconds


def body(size: int, pause: float, *, chunks: int) -> TimedBody:
    """So many chunks of `size` bytes, `pause` seconds apart."""
    number = count(1)

    async def receive() -> Message:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": bytes(size), "more_body": next(number) < chunks}

    return TimedBody(Request({"type": "http", "headers": []}, receive), total=1000, stall=STALL)


async def test_one_that_never_stalls_but_comes_too_slowly_is_refused() -> None:
    drip = body(1, 0.01, chunks=10_000)

    with pytest.raises(UploadTimeout, match="at 1024 bytes a second or more"):
        assert [chunk async for chunk in drip] == []


async def test_one_that_is_slow_but_fast_enough_may_take_its_time() -> None:
    chunks = [chunk async for chunk in body(MIN_RATE // 4, 0.05, chunks=20)]

    assert len(chunks) == 20  # a second in all, at five times the rate


async def test_what_comes_at_once_counts_for_later() -> None:
    pieces = iter([bytes(MIN_RATE), *[b"x"] * 10])

    async def receive() -> Message:
        await asyncio.sleep(0.1)
        piece = next(pieces, b"")
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    slow = TimedBody(Request({"type": "http", "headers": []}, receive), total=1000, stall=STALL)

    assert len([chunk async for chunk in slow]) == 11


async def test_the_time_that_we_take_is_not_the_clients() -> None:
    seen = 0

    async for _ in body(1, 0, chunks=4):
        await asyncio.sleep(STALL / 2)
        seen += 1

    assert seen == 4
