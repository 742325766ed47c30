"""Pauses between attempts, for the units that retry."""

import pytest


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause before a retry, in order. The pauses take no time and are not randomised."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)

    monkeypatch.setattr("proxy.retries.sleep", sleep)
    monkeypatch.setattr("proxy.retries.random.uniform", lambda low, high: (low + high) / 2)
    return seconds
