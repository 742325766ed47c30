"""The end of a process: what it waits for."""

import asyncio
from pathlib import Path

import pytest

from proxy.keys import original_key
from proxy.model import Fit, Format, Size, Variant, new_upload_id
from proxy.rendering.pool import RenderPool
from proxy.services import build_services
from proxy.settings import Settings
from proxy.variants.encoded_variant import EncodedVariant
from tests.fakes import CountingStore

VARIANT = Variant(Size("medium", 400, 300, Fit.COVER), Format.WEBP, 1)


async def test_command_that_ends_does_not_wait_for_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_processes(_: RenderPool) -> None:
        pass

    store = CountingStore()
    monkeypatch.setattr("proxy.services.open_store", lambda *_: store)
    monkeypatch.setattr("proxy.services.sandbox.hide_memory", lambda: None)
    monkeypatch.setattr(RenderPool, "start", without_processes)
    services = build_services(Settings(data_dir=tmp_path), retrying=True)
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
