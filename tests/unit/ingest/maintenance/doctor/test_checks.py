"""The settings select the checks."""

from pathlib import Path
from typing import Any

import pytest

from ingest.catalog.database import Database
from ingest.catalog.installation_table import InstallationTable
from ingest.installation import Installation
from ingest.maintenance.doctor.checks import checks_for
from proxy.settings import Settings
from tests.memory_store import MemoryStore
from tests.unit.ingest.fakes import RecordingCdn

ALWAYS = [
    "settings",
    "object store",
    "listing",
    "conditional writes",
    "versions",
    "database",
    "installation",
    "queue",
    "clock",
]
MACHINE = [
    "memory",
    "sizes",
    "temporary files",
    "data folder",
    "file descriptors",
    "codecs",
    "render processes",
    "libvips",
    "numpy",
]


@pytest.mark.parametrize(
    ("values", "others"),
    [
        ({}, []),
        ({"cdn_url": "https://cdn.example"}, ["CDN, missing", "CDN, stored"]),
        ({"public_url": "https://pictures.example"}, ["upload limit"]),
        ({"redis_url": "redis://127.0.0.1:9"}, ["queue, sharing"]),
        ({"cdn_distribution_id": "E1"}, ["CDN, invalidation"]),
    ],
)
async def test_checks_follow_the_settings(tmp_path: Path, values: dict[str, Any], others: list[str]) -> None:
    settings = Settings(data_dir=tmp_path, **values)
    database = Database.from_settings(settings)

    store = MemoryStore()
    checks = checks_for(settings, store, database, Installation(store, InstallationTable(database)), RecordingCdn())
    await database.close()

    assert list(checks) == [*ALWAYS[:-1], *others, ALWAYS[-1], *MACHINE]
