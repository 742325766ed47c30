"""Which readers are too slow. The clock does not move: each test says what the client's kernel has acknowledged."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import Mock

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from proxy.web import bounded_http
from proxy.web.bounded_http import BoundedHttp

LEAST_RATE = 1024
STEPS = (0, 66_000, 196_000, *range(291_000, 10**7, 95_000))
"""Bytes that a client reads before its kernel takes more, as measured on loopback of Linux 6.18."""
TAKEN = (128_000, 67_584, *[95_232] * 200)
"""Bytes that it then takes."""


class Transport(asyncio.Transport):
    """Has megabytes to send, of which the client has `taken` some."""

    def __init__(self) -> None:
        super().__init__({"socket": Mock()})
        self.taken = 1
        self.is_reset = False

    def get_write_buffer_size(self) -> int:
        return 1 << 23

    def abort(self) -> None:
        self.is_reset = True

    def close(self) -> None:
        pass


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Gets no request."""


class Reader:
    def __init__(self) -> None:
        self._transport = Transport()
        config = uvicorn.Config(app, ws="none", log_config=None)
        self.protocol = BoundedHttp(config, ServerState(), {}, asyncio.get_running_loop(), least_rate=LEAST_RATE)
        self.protocol.connection_made(self._transport)
        self.protocol.pause_writing()

    def is_reset_after(self, taken: int) -> bool:
        """Lets 30 seconds pass, at whose end the client has taken so many bytes since the begin."""
        timer = self.protocol._reader_timer
        assert timer, "nothing checks the reader"
        timer.cancel()
        self._transport.taken = 1 + taken
        self.protocol._check_reader()
        return self._transport.is_reset


@pytest.fixture
async def reader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    def acknowledged(transport: Any) -> int:
        return int(transport.taken)

    monkeypatch.setattr(bounded_http, "_acknowledged", acknowledged)
    reader = Reader()
    yield reader
    reader.protocol.connection_lost(None)


def checks_until_reset(reader: Reader, taken_at: Callable[[float], float]) -> int | None:
    """`taken_at`: bytes by seconds. None: not within 50 minutes."""
    return next((check for check in range(1, 101) if reader.is_reset_after(int(taken_at(30 * check)))), None)


def in_steps(rate: float) -> Callable[[float], float]:
    """Taken by a kernel whose program reads `rate` bytes a second."""
    return lambda seconds: sum(taken for begin, taken in zip(STEPS, TAKEN, strict=False) if begin <= seconds * rate)


@pytest.mark.promise("B5")
@pytest.mark.parametrize("rate", [1300, 1331, 1400, 2000, 3000])
async def test_steady_reader_survives_the_steps_of_its_kernel(reader: Reader, rate: int) -> None:
    assert checks_until_reset(reader, in_steps(rate)) is None


@pytest.mark.promise("B5")
async def test_reader_far_below_the_least_rate_is_reset_within_two_minutes(reader: Reader) -> None:
    assert checks_until_reset(reader, in_steps(35)) == 4


@pytest.mark.parametrize(("rate", "most"), [(512, 12), (800, 24)])
async def test_reader_below_the_least_rate_is_reset_at_any_step_size(reader: Reader, rate: int, most: int) -> None:
    assert checks_until_reset(reader, in_steps(rate)) in range(4, most)


async def test_reader_that_was_ahead_may_pause_for_two_minutes(reader: Reader) -> None:
    assert not any(map(reader.is_reset_after, (0, *[10**6] * 5)))
    assert reader.is_reset_after(10**6)


async def test_new_response_is_judged_by_its_own_rate(reader: Reader) -> None:
    assert not any(map(reader.is_reset_after, (0, 0, 0)))
    reader.protocol.resume_writing()
    reader.protocol.pause_writing()

    assert not any(map(reader.is_reset_after, (0, 0, 0)))
    assert reader.is_reset_after(0)
