"""Fakes that several suites share: they record calls, and fail or wait on request."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from proxy.errors import Overloaded, ServiceError, StoreUnavailable, TooHeavy
from proxy.imaging.target import Measured, Target
from proxy.rendering.admission import Priority
from proxy.rendering.render_worker import RenderedFile
from proxy.storage.object_store import ObjectInfo, ObjectStore
from proxy.storage.wrapping_store import WrappingStore
from proxy.telemetry import Metrics
from tests.memory_store import MemoryStore

T = TypeVar("T")


class Gate:
    """Callers wait until it is opened. `reached` is set when the first one waits."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


class CountingStore(WrappingStore):
    """An ObjectStore over `inner` that records every call as (method, key), and fails or waits on request."""

    def __init__(self, inner: ObjectStore | None = None) -> None:
        super().__init__(inner or MemoryStore())
        self.calls: list[tuple[str, str]] = []
        self._failures: Counter[str] = Counter()
        self._is_outage = False
        self._successes: Counter[str] = Counter()
        self._refused: dict[tuple[str, str], StoreUnavailable] = {}
        self._before: dict[str, Gate] = {}
        self._after: dict[str, Gate] = {}

    def count(self, method: str, key: str | None = None) -> int:
        return sum(1 for call in self.calls if call[0] == method and key in (None, call[1]))

    def fail(self, method: str, times: int = 1, *, is_outage: bool = False) -> None:
        """Makes the next `times` calls of `method` raise StoreUnavailable without effect. 0 stops this."""
        self._failures[method] = times
        self._is_outage = is_outage

    def fail_from(self, method: str, *, after: int) -> None:
        """Calls of `method` fail once `after` more of them have succeeded, until `fail(method, 0)`."""
        self._successes[method] = after
        self._failures[method] = 1_000_000

    def refuse(self, method: str, key: str, *, is_outage: bool = False) -> None:
        """Makes every call of `method` for one key raise StoreUnavailable without effect."""
        self._refused[method, key] = StoreUnavailable(f"The fake store refuses {key}.", is_outage=is_outage)

    def hold(self, method: str, *, done: bool = False) -> Gate:
        """Makes calls of `method` wait at the gate: before they have an effect or, with `done`, before they return."""
        gates = self._after if done else self._before
        gates[method] = Gate()
        return gates[method]

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        assert isinstance(call, partial)
        return await self._count(
            call.func.__name__, " ".join(each for each in call.args if isinstance(each, str)), call
        )

    async def _count(self, method: str, key: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls.append((method, key))
        if gate := self._before.get(method):
            await gate.wait()
        if refusal := self._refused.get((method, key)):
            raise refusal
        if self._failures[method] and self._successes[method]:
            self._successes[method] -= 1
        elif self._failures[method]:
            self._failures[method] -= 1
            raise StoreUnavailable("The fake store was told to fail.", is_outage=self._is_outage)
        result = await call()
        if gate := self._after.get(method):
            await gate.wait()
        return result

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        async def read() -> Sequence[ObjectInfo]:
            return [info async for info in self.inner.list(prefix, after=after)]

        for info in await self._count("list", prefix, read):
            yield info

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        async def read() -> Sequence[str]:
            return [name async for name in self.inner.folders(prefix)]

        for name in await self._count("folders", prefix, read):
            yield name

    async def close(self) -> None:
        await self._count("close", "", self.inner.close)

    async def keys(self, prefix: str = "") -> Sequence[str]:
        """Returns the stored keys, without recording the call."""
        return [info.key async for info in self.inner.list(prefix)]


class FakePool:
    """A RenderPool without processes. A rendered file is a sentence that describes its target.

    It yields files in reverse order, because the real pool chooses its own order too.
    """

    def __init__(self) -> None:
        self.requests: list[Sequence[Target]] = []
        self.priorities: list[Priority] = []
        self.estimates: list[int] = []
        self.most: int | None = None
        """Bytes; an estimate above it raises TooHeavy."""
        self.full = False
        self.live_waiting = False
        self.renderings = 0
        self.places = 0
        """How many were reserved."""
        self.in_use = 0
        self.failure: ServiceError | None = None
        self.measured: Measured | None = None
        self._gates: dict[int, Gate] = {}
        self._entrances: dict[Priority, Gate] = {}

    def hold_entrance(self, priority: Priority) -> Gate:
        """Returns the gate before every process for `priority`."""
        return self._entrances.setdefault(priority, Gate())

    def hold(self, rendering: int = 1) -> Gate:
        """Returns the gate before that rendering, counted from 1 over the pool's life."""
        return self._gates.setdefault(rendering, Gate())

    @property
    def has_live_waiting(self) -> bool:
        return self.live_waiting

    def raise_if_full(self, priority: Priority) -> None:
        if self.full and priority is Priority.LIVE:
            raise Overloaded(retry_after=3)

    def reserve_place(self, priority: Priority) -> AbstractContextManager[None]:
        self.raise_if_full(priority)
        self.places += 1
        return nullcontext()

    async def estimate_memory(self, path: Path, targets: Sequence[Target]) -> int:
        """Returns 1000 bytes for each target, plus the size of the original."""
        cost = 1000 * len(targets) + (await anyio.Path(path).stat()).st_size
        if self.most is not None and cost > self.most:
            raise TooHeavy
        return cost

    @asynccontextmanager
    async def acquire(self, priority: Priority, memory: int) -> AsyncIterator["FakePool"]:
        self.priorities.append(priority)
        self.estimates.append(memory)
        if gate := self._entrances.get(priority):
            await gate.wait()
        self.in_use += 1
        try:
            yield self
        finally:
            self.in_use -= 1

    async def render(
        self, path: Path, targets: Sequence[Target], accept: Callable[[int], Awaitable[bool]] | None = None
    ) -> AsyncIterator[RenderedFile]:
        self.requests.append(targets)
        original = await anyio.Path(path).read_bytes()
        for index, target in reversed(list(enumerate(targets))):
            if accept and not await accept(index):
                continue
            self.renderings += 1
            if gate := self._gates.get(self.renderings):
                await gate.wait()
            if self.failure:
                raise self.failure
            timings = {"decode": 0.25, "resize": 0.125, "encode": 0.0625}
            yield RenderedFile(index, rendering_of(original, target), timings, self.measured)


def rendering_of(original: bytes, target: Target) -> bytes:
    """Returns the file that FakePool renders."""
    return original + f" as {target.width}x{target.height} {target.format}".encode()


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """Returns a metric's value, 0 if it was never set."""
    return metrics.registry.get_sample_value(name, labels) or 0


def listing(folder: Path) -> list[str]:
    """Returns the names in a folder, none if it does not exist."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def eventually(condition: Callable[[], bool]) -> None:
    """Polls a condition that signals no event, such as garbage collection."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)
