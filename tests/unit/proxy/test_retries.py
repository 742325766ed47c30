"""Attempts and the pauses between them. The clock does not move."""

import asyncio
from collections.abc import Callable
from itertools import repeat

import pytest

from proxy.retries import Attempts


async def test_each_attempt_announces_the_following_pause(slept: list[float]) -> None:
    seen = [(seconds, list(slept)) async for seconds in Attempts([0.2, 1, 4])]

    assert seen == [(0.2, []), (1, [0.2]), (4, [0.2, 1]), (None, [0.2, 1, 4])]


async def test_without_delays_the_only_attempt_is_the_last(slept: list[float]) -> None:
    assert [seconds async for seconds in Attempts([])] == [None]
    assert slept == []


async def test_endless_delays_are_endless_attempts(slept: list[float]) -> None:
    async for seconds in Attempts(repeat(1)):
        assert seconds == 1
        if len(slept) == 1000:
            break


@pytest.mark.parametrize(("pick", "pauses"), [(min, [0.75, 3]), (max, [1.25, 5])])
async def test_pauses_are_randomised_by_a_quarter(
    slept: list[float], monkeypatch: pytest.MonkeyPatch, pick: Callable[..., float], pauses: list[float]
) -> None:
    monkeypatch.setattr("proxy.retries.random.uniform", pick)

    assert [seconds async for seconds in Attempts([1, 4])] == [*pauses, None]
    assert slept == pauses


async def test_each_pause_is_randomised_separately(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    factors = iter([0.8, 1.1])
    monkeypatch.setattr("proxy.retries.random.uniform", lambda *_: next(factors))

    assert [seconds async for seconds in Attempts([1, 1])] == [0.8, 1.1, None]
    assert slept == [0.8, 1.1]


async def test_pause_is_lengthened_but_not_shortened(slept: list[float]) -> None:
    attempts = Attempts([1, 1])

    announced = [attempts.wait_at_least(0.5 if slept else 30) async for _ in attempts]

    assert announced == [30, 1, None]
    assert slept == [30, 1]


async def test_stopping_ends_the_pause_and_the_attempts() -> None:
    stopping = asyncio.Event()
    attempts = []

    async for retry_in in Attempts([3600, 3600], stopping):
        attempts.append(retry_in)
        asyncio.get_running_loop().call_soon(stopping.set)

    assert len(attempts) == 1


async def test_cancellation_ends_the_pause() -> None:
    attempts = 0

    async def work() -> None:
        nonlocal attempts
        async for _ in Attempts([3600]):
            attempts += 1

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempts == 1
