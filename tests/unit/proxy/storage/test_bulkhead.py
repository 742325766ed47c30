"""Bulkhead: limited concurrency, deadlines, and no calls on an open circuit."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from proxy.errors import StoreUnavailable
from proxy.storage.bulkhead import LATE, Bulkhead
from proxy.storage.circuit_breaker import FAILURES
from proxy.storage.object_store import ObjectExists, ObjectNotFound
from proxy.telemetry import Metrics

SLOTS = 3
LONG = 30.0  # seconds; no test waits for it


class Store:
    """Blocks each thread until `let_go`."""

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
def bulkhead(metrics: Metrics) -> Bulkhead:
    return Bulkhead("reads", SLOTS, metrics)


@contextmanager
def hanging() -> Iterator[Store]:
    store = Store()
    try:
        yield store
    finally:
        store.let_go()


def raising(error: Exception) -> str:
    raise error


def fail() -> str:
    raise StoreUnavailable("Gone.", reason="unreachable", is_outage=True)


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


async def test_concurrent_calls_are_limited_to_the_slots(bulkhead: Bulkhead) -> None:
    with hanging() as store:
        calls = [asyncio.create_task(bulkhead.run("get", store.hang, LONG)) for _ in range(10)]
        await until_inside(store, SLOTS)
        store.let_go()
        assert await asyncio.gather(*calls) == ["answer"] * 10
    assert store.most <= SLOTS


async def test_call_past_its_deadline_raises(bulkhead: Bulkhead, metrics: Metrics) -> None:
    with hanging() as store, pytest.raises(StoreUnavailable, match="in time"):
        await bulkhead.run("get", store.hang, 0.01)
    assert value(metrics, "errors_total", operation="get", code="timeout") == 1


@pytest.mark.promise("E1")
async def test_cancelled_call_keeps_its_slot(bulkhead: Bulkhead) -> None:
    """Its thread still runs."""
    with hanging() as store:
        given_up = [asyncio.create_task(bulkhead.run("get", store.hang, LONG)) for _ in range(SLOTS)]
        await until_inside(store, SLOTS)
        for call in given_up:
            call.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        with pytest.raises(StoreUnavailable):
            await bulkhead.run("get", lambda: "answer", 0.02)
        assert store.inside == SLOTS
        store.let_go()
        assert await bulkhead.run("get", lambda: "answer", LONG) == "answer"


async def test_late_call_that_fails_later_counts_once(bulkhead: Bulkhead, metrics: Metrics) -> None:
    with hanging() as store:

        def hang_then_fail() -> str:
            store.hang()
            return fail()

        late = await outcomes(*(bulkhead.run("get", hang_then_fail, 0.01) for _ in range(SLOTS)))
        store.let_go()
        assert await bulkhead.run("get", lambda: "answer", LONG) == "answer"  # in a slot that is free again
    assert late == [LATE] * SLOTS
    assert value(metrics, "errors_total", operation="get", code="timeout") == SLOTS
    assert value(metrics, "errors_total", operation="get", code="unreachable") is None


async def test_call_without_a_slot_does_not_open_the_circuit(bulkhead: Bulkhead, metrics: Metrics) -> None:
    """The store is only busy with slow calls."""
    with hanging() as store:
        holders = [asyncio.create_task(bulkhead.run("download", store.hang, LONG)) for _ in range(SLOTS)]
        await until_inside(store, SLOTS)
        late = await outcomes(*(bulkhead.run("get", lambda: "answer", 0.01) for _ in range(2 * FAILURES)))
        store.let_go()
        assert await asyncio.gather(*holders) == ["answer"] * SLOTS
    assert late == [LATE] * 2 * FAILURES
    assert value(metrics, "errors_total", operation="get", code="timeout") == 2 * FAILURES
    assert value(metrics, "circuit_open", calls="reads") == 0


async def test_cancelled_waiter_takes_no_slot(bulkhead: Bulkhead) -> None:
    with hanging() as store:
        holders = [asyncio.create_task(bulkhead.run("get", store.hang, LONG)) for _ in range(SLOTS)]
        await until_inside(store, SLOTS)
        waiting = asyncio.create_task(bulkhead.run("get", store.hang, LONG))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        store.let_go()
        await asyncio.gather(*holders)
    assert await outcomes(*(bulkhead.run("get", lambda: "answer", LONG) for _ in range(9))) == ["answer"] * 9
    assert store.most == SLOTS


async def test_waiters_fail_as_soon_as_the_circuit_opens(bulkhead: Bulkhead, metrics: Metrics) -> None:
    with hanging() as store:
        holders = [asyncio.create_task(bulkhead.run("get", store.hang, LONG)) for _ in range(SLOTS - 1)]
        await until_inside(store, SLOTS - 1)
        crowd = [asyncio.create_task(bulkhead.run("get", fail, LONG)) for _ in range(FAILURES)]
        late = [asyncio.create_task(bulkhead.run("get", store.hang, LONG)) for _ in range(20)]
        async with asyncio.timeout(LONG / 2):
            told = await outcomes(*crowd, *late)
        assert told[:FAILURES] == ["Gone."] * FAILURES
        assert value(metrics, "circuit_open", calls="reads") == 1
        store.let_go()
        await asyncio.gather(*holders)


async def test_open_circuit_stops_calls(bulkhead: Bulkhead, metrics: Metrics) -> None:
    calls = 0

    def counted() -> str:
        nonlocal calls
        calls += 1
        return fail()

    for _ in range(FAILURES + 20):
        assert await outcomes(bulkhead.run("head", counted, LONG)) == ["Gone."]
    assert calls == FAILURES
    assert value(metrics, "errors_total", operation="head", code="unreachable") == FAILURES
    assert value(metrics, "circuit_open", calls="reads") == 1


async def test_opening_circuit_is_logged_once_with_its_cause(bulkhead: Bulkhead) -> None:
    with capture_logs() as logs:
        await outcomes(*(bulkhead.run("head", fail, LONG) for _ in range(FAILURES + 3)))
    assert logs == [{"event": "object store circuit opened", "log_level": "error", "calls": "reads", "error": "Gone."}]


@pytest.mark.parametrize(
    "answer", [ObjectNotFound("key"), ObjectExists("key"), StoreUnavailable("Refused.", reason="AccessDenied")]
)
async def test_answer_about_one_object_counts_as_success(
    bulkhead: Bulkhead, metrics: Metrics, answer: Exception
) -> None:
    for _ in range(FAILURES):
        await outcomes(*(bulkhead.run("get", fail, LONG) for _ in range(FAILURES - 1)))
        with pytest.raises(type(answer)):
            await bulkhead.run("get", lambda: raising(answer), LONG)
    assert value(metrics, "circuit_open", calls="reads") == 0


async def test_local_disk_error_does_not_open_the_circuit(bulkhead: Bulkhead, metrics: Metrics) -> None:
    for _ in range(2 * FAILURES):
        with pytest.raises(OSError, match="full"):
            await bulkhead.run("download", lambda: raising(OSError("full")), LONG)
    assert await bulkhead.run("download", lambda: "answer", LONG) == "answer"
    assert value(metrics, "circuit_open", calls="reads") == 0
