"""The end of a process: what it waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.keys import original_key
from proxy.model import Fit, Format, Size, Variant, new_upload_id
from proxy.rendering.pool import RenderPool
from proxy.services import ProxyServices, build_services
from proxy.settings import Settings
from proxy.storage.retrying_store import RetryingStore
from proxy.variants.encoded_variant import EncodedVariant
from tests.fakes import CountingStore

VARIANT = Variant(Size("medium", 400, 300, Fit.COVER), Format.WEBP, 1)


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProxyServices:
    """Without render processes, and with a CountingStore."""

    async def without_processes(_: RenderPool) -> None:
        pass

    monkeypatch.setattr("proxy.services.open_store", lambda *_: CountingStore())
    monkeypatch.setattr("proxy.services.sandbox.hide_memory", lambda: None)
    monkeypatch.setattr(RenderPool, "start", without_processes)
    return build_services(Settings(data_dir=tmp_path), retrying=True)


async def test_cancelled_step_of_the_shutdown_skips_no_other_step(
    services: ProxyServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As repeated SIGTERM does."""
    steps: list[tuple[str, bool]] = []
    interrupted = asyncio.Event()

    async def step(name: str) -> None:
        steps.append((name, services.stopping.is_set()))
        interrupted.set()
        await asyncio.Event().wait()

    async def follow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await step("background tasks")

    monkeypatch.setattr(services.variant_service, "follow_invalidations", follow)
    monkeypatch.setattr(services.variant_service, "drain", lambda: step("drain"))
    monkeypatch.setattr(services.pool, "close", lambda: step("close"))

    async def serve() -> None:
        async with services.rendering():
            await asyncio.sleep(0)  # its tasks begin
            await step("run")

    serving = asyncio.create_task(serve())
    for _ in range(4):
        await interrupted.wait()
        interrupted.clear()
        serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving
    assert steps == [("run", False), ("background tasks", True), ("drain", True), ("close", True)]


async def test_connection_that_cannot_be_closed_keeps_no_other_open(
    services: ProxyServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    def refuse(name: str) -> Callable[[], Awaitable[None]]:
        async def close() -> None:
            closed.append(name)
            raise OSError(name)

        return close

    names = ["leases", "invalidation", "pauses", "store"]
    for name in names:
        monkeypatch.setattr(getattr(services, name), "close", refuse(name))

    with pytest.raises(OSError, match="store"):
        async with services.connected():
            pass

    assert closed == names


async def test_command_that_ends_does_not_wait_for_an_outage(services: ProxyServices) -> None:
    assert isinstance(services.store, RetryingStore)
    store = services.store.inner
    assert isinstance(store, CountingStore)
    upload_id = new_upload_id()
    encoded = EncodedVariant.from_rendering(upload_id, VARIANT, b"a picture", "a1b2c3")

    async with asyncio.timeout(60), services.rendering():
        await services.store.put(original_key(upload_id), b"an original", content_type="image/png")
        store.fail("put", 1000, is_outage=True)
        writing = asyncio.create_task(services.variant_service._variants.put(upload_id, VARIANT, encoded))
        while store.count("put") < 2:
            await asyncio.sleep(0)
        writing.cancel()

    assert store.count("put") == 2
