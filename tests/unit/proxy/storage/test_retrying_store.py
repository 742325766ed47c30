"""Outages are waited for, within bounds. Pauses take no time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.errors import StoreUnavailable
from proxy.storage.object_store import ObjectExists, ObjectInfo, ObjectNotFound, ObjectStore
from proxy.storage.retrying_store import DELAYS, RetryingStore
from tests.fakes import CountingStore
from tests.memory_store import MemoryStore

Call = Callable[[ObjectStore, Path], Awaitable[object]]

KEYS = ("a/1/x", "a/2-b/x", "a/2/x", "a/2/y", "a/3/x")


async def list_keys(store: ObjectStore, *_: object) -> list[str]:
    return [info.key async for info in store.list("a/", after="a/1/x")]


async def list_folders(store: ObjectStore, *_: object) -> list[str]:
    return [name async for name in store.folders("a/")]


CALLS: dict[str, Call] = {
    "head": lambda store, _: store.head("a/1/x"),
    "get": lambda store, _: store.get("a/1/x"),
    "download": lambda store, folder: store.download("a/1/x", folder / "copy"),
    "put": lambda store, _: store.put("b", b"x", content_type="image/png", metadata={"k": "v"}, if_absent=True),
    "copy": lambda store, _: store.copy("a/1/x", "c"),
    "set_metadata": lambda store, _: store.set_metadata("a/1/x", {"k": "v"}),
    "delete": lambda store, _: store.delete("a/1/x", "a/2/x"),
    "delete_versions": lambda store, _: store.delete_versions("a/2"),
    "is_versioned": lambda store, _: store.is_versioned(),
    "list": list_keys,
    "folders": list_folders,
}


async def filled(store: MemoryStore) -> CountingStore:
    for key in KEYS:
        await store.put(key, key.encode(), content_type="image/png")
    return CountingStore(store)


@pytest.fixture
async def inner() -> CountingStore:
    return await filled(MemoryStore())


@pytest.fixture
async def store(inner: CountingStore) -> RetryingStore:
    """One that has answered."""
    store = RetryingStore(inner)
    await store.head("a/1/x")
    inner.calls.clear()
    return store


@pytest.mark.parametrize("method", CALLS)
async def test_call_is_repeated_until_the_outage_has_passed(
    store: RetryingStore, inner: CountingStore, method: str, slept: list[float], tmp_path: Path
) -> None:
    reliable = CountingStore(deepcopy(inner.inner))
    inner.fail(method, 3, is_outage=True)

    assert await CALLS[method](store, tmp_path) == await CALLS[method](reliable, tmp_path)

    assert inner.calls == reliable.calls * 4
    assert slept == [1, 2, 4]
    assert await inner.keys() == await reliable.keys()


@pytest.mark.parametrize("method", CALLS)
async def test_outage_longer_than_all_pauses_raises_its_error(
    store: RetryingStore, inner: CountingStore, method: str, slept: list[float], tmp_path: Path
) -> None:
    inner.fail(method, 1000, is_outage=True)

    with pytest.raises(StoreUnavailable, match="told to fail"):
        await CALLS[method](store, tmp_path)

    assert slept == list(DELAYS)
    assert sum(DELAYS) == 300


@pytest.mark.parametrize("method", CALLS)
async def test_refused_object_is_not_waited_for(
    store: RetryingStore, inner: CountingStore, method: str, slept: list[float], tmp_path: Path
) -> None:
    inner.fail(method, 1)

    with pytest.raises(StoreUnavailable):
        await CALLS[method](store, tmp_path)

    assert slept == []


async def test_store_that_never_answered_is_not_waited_for(inner: CountingStore, slept: list[float]) -> None:
    inner.fail("head", 1, is_outage=True)
    store = RetryingStore(inner)

    with pytest.raises(StoreUnavailable):
        await store.head("a/1/x")

    assert slept == []


async def test_stopping_ends_the_waiting_with_its_error(inner: CountingStore) -> None:
    stopping = asyncio.Event()
    store = RetryingStore(inner, [3600], stopping)
    await store.head("a/1/x")
    inner.calls.clear()
    inner.fail("head", 1000, is_outage=True)
    waiting = asyncio.create_task(store.head("a/1/x"))
    while not inner.calls:
        await asyncio.sleep(0)

    stopping.set()
    with pytest.raises(StoreUnavailable, match="told to fail"):
        await waiting
    with capture_logs() as logs, pytest.raises(StoreUnavailable, match="told to fail"):
        await store.head("a/1/x")

    assert inner.count("head") == 2
    assert logs == []  # no retry is announced that will not follow


@pytest.mark.parametrize("answer", [ObjectNotFound, ObjectExists])
async def test_missing_and_existing_objects_are_answers(
    inner: CountingStore, slept: list[float], answer: type[Exception]
) -> None:
    store = RetryingStore(inner)
    with pytest.raises(answer):
        await (
            store.get("a/none")
            if answer is ObjectNotFound
            else store.put("a/1/x", b"", content_type="image/png", if_absent=True)
        )
    inner.fail("head", 1, is_outage=True)

    assert (await store.head("a/1/x")).size == 5
    assert slept == [1]


async def test_outage_is_logged_once_for_all_calls(store: RetryingStore, inner: CountingStore) -> None:
    async def pause(*_: object) -> None:
        await asyncio.sleep(0)

    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        patch.setattr("proxy.retries.sleep", pause)
        for _ in range(2):
            inner.fail("head", 30, is_outage=True)
            await asyncio.gather(*(store.head("a/1/x") for _ in range(10)))

    assert (
        logs
        == [
            {
                "event": "object store unavailable, retrying",
                "log_level": "warning",
                "error": "The fake store was told to fail.",
                "up_to_seconds": 300,
            }
        ]
        * 2
    )


class Cut(MemoryStore):
    """Its listings meet an outage after each of these numbers of entries; later ones are whole."""

    def __init__(self, *cuts: int) -> None:
        super().__init__()
        self.cuts = list(cuts)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        cut = self.cuts.pop(0) if self.cuts else None
        number = 0
        async for info in super().list(prefix, after=after):
            if number == cut:
                raise StoreUnavailable("Silent.", is_outage=True)
            number += 1
            yield info

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        cut = self.cuts.pop(0) if self.cuts else None
        number = 0
        async for name in super().folders(prefix):
            if number == cut:
                raise StoreUnavailable("Silent.", is_outage=True)
            number += 1
            yield name


@pytest.mark.parametrize("read", [list_keys, list_folders])
@pytest.mark.parametrize("cuts", [(1,), (0, 1, 0, 2), (3,), (2, 0, 0)])
async def test_broken_listing_continues_after_its_last_entry(
    read: Callable[[ObjectStore], Awaitable[list[str]]], cuts: tuple[int, ...], slept: list[float]
) -> None:
    inner = Cut()
    expected = await read(await filled(inner))
    store = RetryingStore(inner)
    await store.head("a/1/x")
    inner.cuts = list(cuts)

    assert await read(store) == expected
    assert inner.cuts == []


async def test_refusal_within_a_listing_is_raised(slept: list[float]) -> None:
    class Refusing(MemoryStore):
        async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
            async for info in super().list(prefix, after=after):
                yield info
                raise StoreUnavailable("Refused.")

    store = RetryingStore((await filled(Refusing())).inner)

    with pytest.raises(StoreUnavailable, match="Refused"):
        await list_keys(store)

    assert slept == []
