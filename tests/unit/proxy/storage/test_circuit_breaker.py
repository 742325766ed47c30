"""CircuitBreaker: opens on failures, admits probes, closes on success."""

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.circuit_breaker import FAILURES, PAUSE, REPORTED, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def fail(circuit: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        circuit.record_failure(circuit.admit(), "The store failed.")


def refused(circuit: CircuitBreaker) -> bool:
    try:
        circuit.admit()
    except StoreUnavailable:
        return True
    return False


def test_few_failures_keep_the_circuit_closed(circuit: CircuitBreaker) -> None:
    fail(circuit, FAILURES - 1)

    assert not circuit.is_open
    assert not refused(circuit)


def test_failures_between_successes_keep_the_circuit_closed(circuit: CircuitBreaker) -> None:
    for _ in range(3):
        fail(circuit, FAILURES - 1)
        circuit.record_success()

    assert not refused(circuit)


def test_consecutive_failures_open_the_circuit_with_the_last_error(circuit: CircuitBreaker) -> None:
    fail(circuit, FAILURES)

    assert circuit.is_open
    with pytest.raises(StoreUnavailable, match="The store failed") as caught:
        circuit.admit()
    assert caught.value.retry_after == 1


@pytest.mark.promise("E1")
def test_open_circuit_admits_one_probe_per_pause(circuit: CircuitBreaker, clock: Clock) -> None:
    fail(circuit, FAILURES)
    for _ in range(3):
        clock.now += PAUSE
        assert [refused(circuit) for _ in range(3)] == [False, True, True]


def test_pauses_have_jitter(clock: Clock) -> None:
    """Without jitter, all processes would probe at the same time."""
    pauses = set()
    for _ in range(20):
        circuit = CircuitBreaker(clock)
        fail(circuit, FAILURES)
        start = clock.now
        while refused(circuit):
            clock.now += PAUSE / 100
        pauses.add(round(clock.now - start, 2))
    assert PAUSE / 2 <= min(pauses) < max(pauses) <= PAUSE + 0.02


def test_success_closes_the_circuit(circuit: CircuitBreaker, clock: Clock) -> None:
    fail(circuit, FAILURES)
    clock.now += PAUSE
    circuit.admit()
    circuit.record_success()

    assert not circuit.is_open
    assert [refused(circuit) for _ in range(3)] == [False] * 3


def test_open_circuit_without_calls_is_no_longer_reported(circuit: CircuitBreaker, clock: Clock) -> None:
    """The store may have recovered, and deletions are rare."""
    fail(circuit, FAILURES)
    clock.now += REPORTED
    assert circuit.is_reported
    clock.now += PAUSE
    assert not circuit.is_reported
    assert circuit.is_open
    fail(circuit, 1)
    assert circuit.is_reported


def test_failures_admitted_before_a_success_are_ignored(circuit: CircuitBreaker, clock: Clock) -> None:
    """Calls that hung during an outage fail long after the store recovered."""
    asked = [circuit.admit() for _ in range(FAILURES)]
    clock.now += 1
    circuit.admit()
    circuit.record_success()
    for each in asked:
        circuit.record_failure(each, "The store failed.")

    assert not circuit.is_open
