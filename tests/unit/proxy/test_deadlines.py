"""Deadlines, on time and late. In virtual time."""

import asyncio

import pytest

from proxy.deadlines import answer_within
from tests.virtual_time import VirtualTimeLoop


def run(answers_after: float, *, late_by: float = 0) -> float:
    """Waits two seconds for an answer in an event loop that is busy until `late_by` after the deadline.

    Returns the seconds until the answer or TimeoutError.
    """

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        start = loop.time()

        def stall() -> None:
            loop.skipped += late_by + 0.1  # timers that were due meanwhile fire late

        loop.call_at(start + 1.9, stall)
        try:
            async with answer_within(2):
                await asyncio.sleep(answers_after)
        except TimeoutError:
            waited.append(loop.time() - start)
            raise
        return loop.time() - start

    waited: list[float] = []
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        try:
            return runner.run(wait())
        except TimeoutError:
            return -waited[0]


def test_answer_in_time_is_taken() -> None:
    assert run(1.5) == pytest.approx(1.5, abs=0.2)


@pytest.mark.parametrize("late_by", [0, 0.5])
def test_late_answer_raises_at_the_deadline(late_by: float) -> None:
    assert run(10, late_by=late_by) == pytest.approx(-2 - late_by, abs=0.2)


def test_answer_is_taken_if_the_event_loop_was_late() -> None:
    assert run(4, late_by=1.5) == pytest.approx(4, abs=0.2)


def test_deadline_is_extended_once() -> None:
    assert run(60, late_by=1.5) == pytest.approx(-5.5, abs=0.2)


def test_cancellation_is_no_timeout() -> None:
    async def cancelled() -> None:
        async with answer_within(2):
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop()._scheduled == []  # no timer is left

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(cancel())
