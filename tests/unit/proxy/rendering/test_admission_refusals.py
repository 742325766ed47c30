"""Refused requests: when to try again, and how they are counted."""

import asyncio
from contextlib import ExitStack

import pytest

from proxy.errors import Overloaded
from proxy.rendering import admission as admission_module
from proxy.rendering.admission import Admission
from proxy.telemetry import Metrics
from tests.fakes import sample
from tests.unit.proxy.rendering.callers import BACKGROUND, BUDGET, LIVE, open_callers, settle


@pytest.fixture(autouse=True)
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After depends on how long requests have run: here, only on the test's figures."""
    monkeypatch.setattr(admission_module, "monotonic", lambda: 1000.0)


@pytest.mark.promise("C11")
async def test_full_queue_raises_overloaded_with_retry_after() -> None:
    async with open_callers(max_waiting=2) as callers:
        for name in "abc":
            await callers.arrive(name)

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert callers.entered == ["a"]
        assert callers.admission.waiting == 2


async def test_wait_past_the_limit_raises_overloaded_with_retry_after() -> None:
    async with open_callers(max_wait=0.01) as callers:
        await callers.arrive("a")

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

        assert raised.value.retry_after is not None
        assert raised.value.retry_after >= 1
        assert callers.admission.waiting == 0
        await callers.leave("a")
        await callers.arrive("b")
        assert callers.entered == ["a", "b"]


async def test_retry_after_grows_with_the_queue() -> None:
    async with open_callers(max_waiting=40) as callers:
        for number in range(41):
            await callers.arrive(str(number))

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

    assert raised.value.retry_after == 9  # 41 before the next, at the initial guess of 0.2 seconds each


async def test_retry_after_considers_which_requests_fit_together() -> None:
    async with open_callers(slots=4, max_waiting=8) as callers:
        for name in "abcdefghi":
            await callers.arrive(name, memory=60)

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 60)

    assert raised.value.retry_after == 2  # nine before it, one at a time despite the slots, at 0.2 seconds each


async def test_retry_after_considers_how_long_admitted_requests_have_run() -> None:
    async with open_callers(max_waiting=2) as callers:
        for name in "abc":
            await callers.arrive(name)
        next(iter(callers.admission._admitted)).admitted_at -= 4

        with pytest.raises(Overloaded) as raised:
            await callers.admission.admit(LIVE, 1)

    assert raised.value.retry_after == 12  # three before it, at four seconds each


async def test_waits_and_refusals_are_counted() -> None:
    metrics = Metrics()
    admission = Admission(1, BUDGET, max_waiting=1, max_wait=0.01, metrics=metrics)
    admitted = await admission.admit(BACKGROUND, 1)
    waiting = asyncio.create_task(admission.admit(LIVE, 1))
    await settle()
    for _ in range(2):
        with pytest.raises(Overloaded):
            await admission.admit(LIVE, 1)
    with pytest.raises(Overloaded):
        await waiting
    admission.release(admitted)

    assert sample(metrics, "darkroom_render_refusals_total", reason="full") == 2
    assert sample(metrics, "darkroom_render_refusals_total", reason="late") == 1
    assert sample(metrics, "darkroom_render_wait_seconds_count", priority="background") == 1
    assert sample(metrics, "darkroom_render_wait_seconds_count", priority="live") == 0


async def test_reserved_places_increase_retry_after() -> None:
    async with open_callers(slots=1, max_waiting=40) as callers:
        callers.admission._mean_seconds = 2.0
        with ExitStack() as places:
            for _ in range(41):
                places.enter_context(callers.admission.reserve_place(LIVE))
            with pytest.raises(Overloaded) as refused, callers.admission.reserve_place(LIVE):
                pass

        assert refused.value.retry_after == 82
