"""Deadlines of a body: total, stall and minimum rate. In virtual time."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import Request
from starlette.types import Message

from ingest.ingest_errors import UploadTimeout
from ingest.web.request_bodies import MIN_RATE, MIN_RATE_OF_LONG, TimedBody
from tests.unit.ingest.tasks import at_once

STALL = 0.4  # seconds


def body(chunks: Iterable[bytes], pause: float, *, total: float = 1000) -> TimedBody:
    """A body whose chunks arrive `pause` seconds apart."""
    left = [*chunks, b""]

    async def receive() -> Message:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return TimedBody(Request({"type": "http", "headers": []}, receive), total=total, stall=STALL)


async def sizes(body: TimedBody, *, taking: float = 0) -> list[int]:
    """Returns the sizes of the chunks, after `taking` seconds of work for each."""
    found = []
    async for chunk in body:
        await asyncio.sleep(taking)
        found.append(len(chunk))
    return found


@pytest.mark.promise("B5")
def test_body_below_the_least_rate_is_refused() -> None:
    with pytest.raises(UploadTimeout, match="at 1024 bytes a second or more"):
        at_once(sizes(body([b"x"] * 10_000, 0.01)))


@pytest.mark.parametrize(("rate", "arrives"), [(MIN_RATE_OF_LONG + 1024, True), (MIN_RATE_OF_LONG - 1024, False)])
def test_body_that_takes_longer_than_the_time_limit_needs_a_higher_rate(rate: int, arrives: bool) -> None:
    chunks = [bytes(rate // 10)] * 2000  # 200 seconds
    slow = sizes(body(chunks, 0.1, total=60))

    if arrives:
        assert len(at_once(slow)) == 2000
    else:
        with pytest.raises(UploadTimeout, match="within 60 seconds or at 65536 bytes a second"):
            at_once(slow)


def test_body_that_stalls_is_refused() -> None:
    with pytest.raises(UploadTimeout, match=r"^The body must .* without pauses of 0\.4"):
        at_once(sizes(body([bytes(MIN_RATE)] * 2, STALL * 1.1)))


def test_slow_body_above_the_least_rate_is_accepted() -> None:
    chunks = [bytes(MIN_RATE // 4)] * 2000

    assert len(at_once(sizes(body(chunks, 0.24)))) == 2000  # eight minutes, slightly above the least rate


@pytest.mark.parametrize(("pieces", "enough"), [(12, True), (15, False)])
def test_early_bytes_allow_later_pauses(pieces: int, enough: bool) -> None:
    """Allows a second for the first 1024 bytes, plus the stall time; each piece takes a tenth of a second."""
    slow = sizes(body([bytes(MIN_RATE), *[b"x"] * (pieces - 1)], 0.1))

    if enough:
        assert len(at_once(slow)) == pieces
    else:
        with pytest.raises(UploadTimeout):
            at_once(slow)


def test_server_time_does_not_count() -> None:
    assert at_once(sizes(body([b"x"] * 4, 0), taking=STALL * 2)) == [1] * 4
