"""The objects that a program left, and `darkroom gc` as if all leftovers were old."""

import asyncio
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ingest.ingest_services import build_ingest_services
from ingest.maintenance.garbage_collector import Collector, Garbage, GarbageKind
from proxy.services import open_store
from proxy.settings import Settings
from proxy.storage.disk import INCOMING


def collect(folder: Path, **environment: str) -> Counter[GarbageKind]:
    """Removes the leftovers of a program in `folder` with these settings. Returns their number by kind."""
    return Counter(garbage.kind for garbage in asyncio.run(_collect(_settings(folder, environment))))


def digests(folder: Path, **environment: str) -> dict[str, str]:
    """The SHA-256 of every object, by key."""
    return asyncio.run(_digests(_settings(folder, environment)))


def _settings(folder: Path, environment: dict[str, str]) -> Settings:
    values: dict[str, Any] = {"data_dir": folder / "data"} | {name.lower(): v for name, v in environment.items()}
    return Settings(**values)


async def _digests(settings: Settings) -> dict[str, str]:
    store = open_store(settings)
    try:
        keys = [info.key async for info in store.list("")]
        return {key: sha256((await store.get(key)).body).hexdigest() for key in keys}
    finally:
        await store.close()


async def _collect(settings: Settings) -> list[Garbage]:
    async with build_ingest_services(settings).connected() as ingest:
        proxy = ingest.proxy
        folders = (settings.temporary, settings.objects / INCOMING)  # the lock files of leases always stay
        parts = proxy.store, ingest.repository, proxy.variant_service, ingest.cdn
        collector = Collector(*parts, folders=folders, age=timedelta(0), trash_age=timedelta(days=30))
        found = [garbage for folder in folders async for garbage in collector.find_files(folder)]
        found += [garbage async for garbage in collector.find_uploads()]
        return [garbage for garbage in found if await collector.remove(garbage)]
