"""Repeats calls that may fail for a while: pauses between attempts, with jitter."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain


class Attempts:
    """Iterates over attempts and waits between them. Yields the seconds until the next attempt, None for the last.

    `delays`: seconds before each retry. Each is changed at random by up to a quarter, so that calls that met the same
    fault do not all retry at the same moment. The caller logs each retry, and leaves the loop on success and on
    permanent errors. `stopping`: when it is set, a pause ends at once, and no attempt follows.
    """

    def __init__(self, delays: Iterable[float], stopping: asyncio.Event | None = None) -> None:
        self._stopping = stopping or asyncio.Event()
        self._pauses = chain(map(randomise, delays), [None])
        self._pause: float | None = 0.0

    def __aiter__(self) -> "Attempts":
        return self

    async def __anext__(self) -> float | None:
        if self._pause is None:
            raise StopAsyncIteration
        if self._pause:
            await sleep(self._pause, self._stopping)
            if self._stopping.is_set():
                raise StopAsyncIteration
        self._pause = next(self._pauses)
        return self._pause

    def wait_at_least(self, seconds: float) -> float | None:
        """Lengthens the pause before the next attempt to at least `seconds`. Returns it; None: no attempt follows."""
        if self._pause is not None:
            self._pause = max(self._pause, seconds)
        return self._pause


async def sleep(seconds: float, stopping: asyncio.Event) -> None:
    """Waits for `seconds`, or until `stopping` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


def randomise(delay: float) -> float:
    """Returns `delay`, made up to a quarter shorter or longer at random."""
    return round(delay * random.uniform(0.75, 1.25), 3)  # noqa: S311 - jitter needs no secure random
