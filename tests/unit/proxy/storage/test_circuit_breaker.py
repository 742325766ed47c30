"""A store that is away is asked now and then, by one at a time, and by all again as soon as it has answered."""

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.circuit_breaker import FAILURES, PAUSE, CircuitBreaker


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
        circuit.record_failure(circuit.admit(), "It is away.")


def refused(circuit: CircuitBreaker) -> bool:
    try:
        circuit.admit()
    except StoreUnavailable:
        return True
    return False


def test_a_few_failures_stop_nobody(circuit: CircuitBreaker) -> None:
    fail(circuit, FAILURES - 1)

    assert not circuit.is_open
    assert not refused(circuit)


def test_failures_in_between_answers_stop_nobody(circuit: CircuitBreaker) -> None:
    for _ in range(3):
        fail(circuit, FAILURES - 1)
        circuit.record_success()

    assert not refused(circuit)


def test_so_many_in_a_row_stop_everybody_with_what_was_heard_last(circuit: CircuitBreaker) -> None:
    fail(circuit, FAILURES)

    assert circuit.is_open
    with pytest.raises(StoreUnavailable, match="It is away") as caught:
        circuit.admit()
    assert caught.value.retry_after == 1


@pytest.mark.promise("E1")
def test_after_a_pause_one_may_try_and_the_others_wait_for_the_next(circuit: CircuitBreaker, clock: Clock) -> None:
    fail(circuit, FAILURES)
    for _ in range(3):
        clock.now += PAUSE
        assert [refused(circuit) for _ in range(3)] == [False, True, True]


def test_pauses_are_not_all_alike(clock: Clock) -> None:
    """Or all processes would ask in the same moment."""
    pauses = set()
    for _ in range(20):
        circuit = CircuitBreaker(clock)
        fail(circuit, FAILURES)
        start = clock.now
        while refused(circuit):
            clock.now += PAUSE / 100
        pauses.add(round(clock.now - start, 2))
    assert PAUSE / 2 <= min(pauses) < max(pauses) <= PAUSE + 0.02


def test_an_answer_lets_everybody_in(circuit: CircuitBreaker, clock: Clock) -> None:
    fail(circuit, FAILURES)
    clock.now += PAUSE
    circuit.admit()
    circuit.record_success()

    assert not circuit.is_open
    assert [refused(circuit) for _ in range(3)] == [False] * 3


def test_what_was_asked_before_an_answer_came_says_nothing_any_more(circuit: CircuitBreaker, clock: Clock) -> None:
    """Calls that hung while the store was away fail long after it is back."""
    asked = [circuit.admit() for _ in range(FAILURES)]
    clock.now += 1
    circuit.admit()
    circuit.record_success()
    for each in asked:
        circuit.record_failure(each, "It was away.")

    assert not circuit.is_open
