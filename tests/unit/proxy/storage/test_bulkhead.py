"""Calls in threads: so many at a time, each with a deadline, and none while the store is away."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.bulkhead import LATE, Bulkhead
from proxy.storage.circuit_breaker import FAILURES
from proxy.storage.object_store import ObjectExists, ObjectNotFound
from proxy.telemetry import Metrics

PLACES = 3
LONG = 30.0  # seconds; no test waits for it


class Store:
    """Blocks each thread until the test lets go."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self._gate = threading.Event()
        self._lock = threading.Lock()

    def hang(self) -> str:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._gate.wait(LONG)
        with self._lock:
            self.inside -= 1
        return "answer"

    def let_go(self) -> None:
        self._gate.set()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lane(metrics: Metrics) -> Bulkhead:
    return Bulkhead("reads", PLACES, metrics)


@contextmanager
def hanging() -> Iterator[Store]:
    store = Store()
    try:
        yield store
    finally:
        store.let_go()


def raising(error: Exception) -> str:
    raise error


def away() -> str:
    raise StoreUnavailable("Gone.", reason="unreachable")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    metrics.sample()
    return metrics.registry.get_sample_value(f"darkroom_store_{name}", labels)


async def outcomes(*calls: Awaitable[str]) -> list[object]:
    return [
        str(one) if isinstance(one, StoreUnavailable) else one
        for one in await asyncio.gather(*calls, return_exceptions=True)
    ]


async def until_inside(store: Store, count: int) -> None:
    while store.inside != count:
        await asyncio.sleep(0.001)


async def test_no_more_at_a_time_than_there_are_places(lane: Bulkhead) -> None:
    with hanging() as store:
        calls = [asyncio.create_task(lane.run("get", store.hang, LONG)) for _ in range(10)]
        await until_inside(store, PLACES)
        store.let_go()
        assert await asyncio.gather(*calls) == ["answer"] * 10
    assert store.most <= PLACES


async def test_who_has_waited_long_enough_is_told(lane: Bulkhead, metrics: Metrics) -> None:
    with hanging() as store, pytest.raises(StoreUnavailable, match="in time"):
        await lane.run("get", store.hang, 0.01)
    assert value(metrics, "errors_total", operation="get", code="late") == 1


@pytest.mark.promise("E1")
async def test_a_call_that_nobody_waits_for_keeps_its_place(lane: Bulkhead) -> None:
    """Its thread is still there."""
    with hanging() as store:
        given_up = [asyncio.create_task(lane.run("get", store.hang, LONG)) for _ in range(PLACES)]
        await until_inside(store, PLACES)
        for call in given_up:
            call.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        with pytest.raises(StoreUnavailable):
            await lane.run("get", lambda: "answer", 0.02)
        assert store.inside == PLACES
        store.let_go()
        assert await lane.run("get", lambda: "answer", LONG) == "answer"


async def test_a_call_that_is_late_and_fails_later_has_failed_once(lane: Bulkhead, metrics: Metrics) -> None:
    with hanging() as store:

        def hang_then_fail() -> str:
            store.hang()
            return away()

        late = await outcomes(*(lane.run("get", hang_then_fail, 0.01) for _ in range(PLACES)))
        store.let_go()
        assert await lane.run("get", lambda: "answer", LONG) == "answer"  # with a place that is free again
    assert late == [LATE] * PLACES
    assert value(metrics, "errors_total", operation="get", code="late") == PLACES
    assert value(metrics, "errors_total", operation="get", code="unreachable") is None


async def test_who_waits_for_a_place_in_vain_says_nothing_about_the_store(lane: Bulkhead, metrics: Metrics) -> None:
    """Which is busy with what takes long, and answers it."""
    with hanging() as store:
        holders = [asyncio.create_task(lane.run("download", store.hang, LONG)) for _ in range(PLACES)]
        await until_inside(store, PLACES)
        late = await outcomes(*(lane.run("get", lambda: "answer", 0.01) for _ in range(2 * FAILURES)))
        store.let_go()
        assert await asyncio.gather(*holders) == ["answer"] * PLACES
    assert late == [LATE] * 2 * FAILURES
    assert value(metrics, "errors_total", operation="get", code="late") == 2 * FAILURES
    assert value(metrics, "circuit_open", calls="reads") == 0


async def test_who_gives_up_waiting_for_a_place_takes_none(lane: Bulkhead) -> None:
    with hanging() as store:
        holders = [asyncio.create_task(lane.run("get", store.hang, LONG)) for _ in range(PLACES)]
        await until_inside(store, PLACES)
        waiting = asyncio.create_task(lane.run("get", store.hang, LONG))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        store.let_go()
        await asyncio.gather(*holders)
    assert await outcomes(*(lane.run("get", lambda: "answer", LONG) for _ in range(9))) == ["answer"] * 9
    assert store.most == PLACES


async def test_who_waits_for_a_place_is_told_as_soon_as_the_store_is_away(lane: Bulkhead, metrics: Metrics) -> None:
    with hanging() as store:
        holders = [asyncio.create_task(lane.run("get", store.hang, LONG)) for _ in range(PLACES - 1)]
        await until_inside(store, PLACES - 1)
        crowd = [asyncio.create_task(lane.run("get", away, LONG)) for _ in range(FAILURES)]
        late = [asyncio.create_task(lane.run("get", store.hang, LONG)) for _ in range(20)]
        async with asyncio.timeout(LONG / 2):
            told = await outcomes(*crowd, *late)
        assert told[:FAILURES] == ["Gone."] * FAILURES
        assert value(metrics, "circuit_open", calls="reads") == 1
        store.let_go()
        await asyncio.gather(*holders)


async def test_a_store_that_is_away_is_left_alone(lane: Bulkhead, metrics: Metrics) -> None:
    calls = 0

    def counted() -> str:
        nonlocal calls
        calls += 1
        return away()

    for _ in range(FAILURES + 20):
        assert await outcomes(lane.run("head", counted, LONG)) == ["Gone."]
    assert calls == FAILURES
    assert value(metrics, "errors_total", operation="head", code="unreachable") == FAILURES
    assert value(metrics, "circuit_open", calls="reads") == 1


@pytest.mark.parametrize("answer", [ObjectNotFound("key"), ObjectExists("key")])
async def test_no_such_object_is_an_answer(lane: Bulkhead, metrics: Metrics, answer: Exception) -> None:
    for _ in range(FAILURES):
        await outcomes(*(lane.run("get", away, LONG) for _ in range(FAILURES - 1)))
        with pytest.raises(type(answer)):
            await lane.run("get", lambda: raising(answer), LONG)
    assert value(metrics, "circuit_open", calls="reads") == 0


async def test_a_full_disk_of_ours_says_nothing_about_the_store(lane: Bulkhead, metrics: Metrics) -> None:
    for _ in range(2 * FAILURES):
        with pytest.raises(OSError, match="full"):
            await lane.run("download", lambda: raising(OSError("full")), LONG)
    assert await lane.run("download", lambda: "answer", LONG) == "answer"
    assert value(metrics, "circuit_open", calls="reads") == 0
