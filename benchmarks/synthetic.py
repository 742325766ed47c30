"""A catalogue and an object store of any number of uploads, without a picture in them.

The upload at position `i` of `count` has the id `upload_id(i, count)`: ids ascend with the position, so the store's
sorted listing is computed instead of kept. Rows are inserted in the order of their creation, which is another one.
"""

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from ingest.catalog.database import Database
from proxy.keys import ORIGINALS_PREFIX
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.storage.object_store import ObjectInfo, ObjectNotFound
from tests.memory_store import MemoryStore

_VARIANTS_PREFIX = "images/"
_START = datetime(2020, 1, 1, tzinfo=UTC)
_STRIDE = 1_000_003  # a prime, so every position has one place in the order of creation
_PENDING = 20  # the newest uploads
_FAILED = 1000  # one upload of so many
_JOBS = ("upload_id", "status", "progress", "created_at", "updated_at", "heartbeat_at")
_IMAGES = (
    *("upload_id", "format", "original_size", "width", "height", "thumbhash", "color", "variants", "created_at"),
    "private",
)
_VARIANTS = json.dumps(
    {
        variant.name: {
            "url": f"/images/ID/{variant.name}",
            "state": "stored",
            "bytes": 40_000,
            "milliseconds": 95.5,
            "quality": None,
            "score": None,
        }
        for variant in Settings().sizes.standard(alpha=False)
    }
)


def upload_id(position: int, count: int) -> UploadId:
    return UploadId(str(UUID(int=position * (2**128 // count))))


async def fill(url: str, count: int) -> None:
    """Creates the tables of an empty database and `count` uploads in them."""
    database = Database(url)
    await database.migrate()
    await database.close()
    if url.startswith("sqlite"):
        await asyncio.to_thread(_fill_sqlite, Path(url.partition(":///")[2]), count)
    else:
        await _fill_postgres(url.replace("+asyncpg", ""), count)


def _fill_sqlite(path: Path, count: int) -> None:
    def text(value: Any) -> Any:
        return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value

    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000")
        for table, columns, rows in (("upload_jobs", _JOBS, _jobs(count)), ("images", _IMAGES, _images(count))):
            marks = ", ".join("?" * len(columns))
            values = ((row[0].replace("-", ""), *map(text, row[1:])) for row in rows)
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _fill_postgres(url: str, count: int) -> None:
    connection = await asyncpg.connect(url, timeout=60, command_timeout=3600)
    try:
        await connection.copy_records_to_table("upload_jobs", columns=_JOBS, records=_jobs(count))
        await connection.copy_records_to_table("images", columns=_IMAGES, records=_images(count))
        await connection.execute("VACUUM ANALYZE")  # as autovacuum does, which is off here
    finally:
        await connection.close()


def _in_order_of_creation(count: int) -> Iterator[tuple[UploadId, int, datetime]]:
    for rank in range(count):
        yield upload_id(rank * _STRIDE % count, count), rank, _START + timedelta(seconds=rank)


def _jobs(count: int) -> Iterator[tuple[Any, ...]]:
    for name, rank, moment in _in_order_of_creation(count):
        status = "pending" if rank >= count - _PENDING else "failed" if rank % _FAILED == 0 else "complete"
        yield name, status, 100 if status == "complete" else 0, moment, moment, moment


def _images(count: int) -> Iterator[tuple[Any, ...]]:
    for name, _, moment in _in_order_of_creation(count):
        yield (
            *(name, "jpeg", 3_500_000, 4032, 3024, "1QcSHQRnh493V4dIh4eXh1h4kJUI", "#7a6b5c"),
            *(_VARIANTS.replace("ID", name), moment, '{"found": ["gps"], "in_exif": ["gps"]}'),
        )


class SyntheticStore(MemoryStore):
    """Has the original and every standard variant, in its current recipe, of `count` uploads.

    Other objects are in memory.
    """

    def __init__(self, count: int, settings: Settings) -> None:
        super().__init__()
        self._count = count
        recipes = Recipes(settings)
        self._metadata = {
            each.name: {"recipe": recipes.fingerprint(each)} for each in settings.sizes.standard(alpha=False)
        }
        self._names = sorted(self._metadata)

    async def head(self, key: str) -> ObjectInfo:
        prefix, _, rest = key.partition("/")
        name, _, variant = rest.partition("/")
        if f"{prefix}/" == ORIGINALS_PREFIX and self._has(name):
            return ObjectInfo(key, 3_500_000, _START, "image/jpeg")
        if f"{prefix}/" == _VARIANTS_PREFIX and variant in self._metadata and self._has(name):
            return ObjectInfo(key, 40_000, _START, "image/jpeg", None, self._metadata[variant])
        raise ObjectNotFound(key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        assert not after
        for position in range(self._count):
            name = upload_id(position, self._count)
            if prefix == ORIGINALS_PREFIX:
                yield ObjectInfo(f"{prefix}{name}", 3_500_000, _START)
            elif prefix == _VARIANTS_PREFIX:
                for variant in self._names:
                    yield ObjectInfo(f"{prefix}{name}/{variant}", 40_000, _START)

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        if prefix == _VARIANTS_PREFIX:
            for position in range(self._count):
                yield upload_id(position, self._count)

    def _has(self, name: str) -> bool:
        position, left = divmod(UUID(name).int, 2**128 // self._count)
        return left == 0 and position < self._count


def cursor_after(count: int, number: int) -> str:
    """The cursor of a page that ends after the `number` newest uploads."""
    rank = count - number
    moment = _START + timedelta(seconds=rank)
    name = upload_id(rank * _STRIDE % count, count)
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {name}".encode()).decode()
