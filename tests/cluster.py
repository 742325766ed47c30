"""The real servers that several machines share, on loopback: an S3 bucket, Redis, and a migrated Postgres database."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import numpy as np
from PIL import Image
from sqlalchemy import select

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import images, upload_jobs
from ingest.records import JobStatus
from proxy.keys import INSTALLATION_KEY
from proxy.model import UploadId
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import Service, Worker
from tests.waiting import GUARD

T = TypeVar("T")

TINY = '[sizes.tiny]\nwidth = 24\nheight = 24\n[sizes.small]\nwidth = 48\nheight = 48\nfit = "cover"\n'
"""A `darkroom.toml` with two small sizes, whose warm-up takes a tenth of a second."""


@dataclass(frozen=True)
class Cluster:
    """Machines of one installation, each with its own data folder below `folder`."""

    folder: Path
    redis: RedisServer
    postgres: PostgresServer
    seaweedfs: SeaweedServer
    bucket: str
    database_url: str

    @classmethod
    def create(cls, folder: Path, redis: RedisServer, postgres: PostgresServer, seaweedfs: SeaweedServer) -> Self:
        """Creates an empty bucket and a migrated database."""
        cluster = cls(folder, redis, postgres, seaweedfs, f"darkroom-{uuid4().hex[:12]}", postgres.create_database())
        seaweedfs.create_bucket(cluster.bucket)
        asyncio.run(cluster._with_database(Database.migrate))
        return cluster

    @property
    def store_settings(self) -> dict[str, str]:
        return {
            "S3_BUCKET": self.bucket,
            "S3_ENDPOINT_URL": self.seaweedfs.endpoint_url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.seaweedfs.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.seaweedfs.secret_access_key,
            "RENDER_PROCESSES": "1",
        }

    @property
    def settings(self) -> dict[str, str]:
        return {**self.store_settings, "REDIS_URL": self.redis.url, "DATABASE_URL": self.database_url}

    def proxy(self, name: str, **settings: str) -> Service:
        """Returns a proxy without database settings."""
        known = self.store_settings | {"REDIS_URL": self.redis.url}
        return Service(self.machine(name), "--role", "proxy", **known | settings)

    def ingest(self, name: str = "ingest", **settings: str) -> Service:
        return Service(self.machine(name), "--role", "ingest", **self.settings | settings)

    def serve(self, name: str = "all", **settings: str) -> Service:
        return Service(self.machine(name), **self.settings | settings)

    def worker(self, name: str = "worker", *arguments: str, **settings: str) -> Worker:
        return Worker(self.machine(name), *arguments, **self.settings | settings)

    def machine(self, name: str) -> Path:
        """Returns the machine's folder, with the installation's `darkroom.toml` if it has one."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        if (shared := self.folder / "darkroom.toml").exists():
            (folder / "darkroom.toml").write_text(shared.read_text())
        return folder

    def objects(self, prefix: str = "") -> list[str]:
        """Returns every key in the bucket but that of the installation's id."""
        return [key for key in self.seaweedfs.keys(self.bucket, prefix) if key != INSTALLATION_KEY]

    def statuses(self) -> Counter[JobStatus]:
        """Counts accepted uploads by status."""
        return Counter(asyncio.run(self._with_database(lambda database: JobRepository(database).count())))

    def rows(self) -> tuple[list[UploadId], list[UploadId]]:
        """Returns the ids in both tables: jobs, images."""
        return asyncio.run(self._with_database(_ids))

    async def _with_database(self, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
        database = Database(self.database_url, deadline=GUARD)
        try:
            return await work(database)
        finally:
            await database.close()


async def _ids(database: Database) -> tuple[list[UploadId], list[UploadId]]:
    async with database.transaction() as connection:
        jobs, pictures = [
            [UploadId(row.upload_id) for row in await connection.execute(select(table.c.upload_id))]
            for table in (upload_jobs, images)
        ]
    return jobs, pictures


def small_picture(seed: int) -> bytes:
    """Returns a JPEG, different for each number: 160x120 of noise on a gradient, some kilobytes."""
    noise = np.random.default_rng(seed).integers(0, 40, (120, 160, 3), np.uint8)
    gradient = np.linspace(0, 200, 160, dtype=np.uint8)[None, :, None]
    file = BytesIO()
    Image.fromarray(noise + gradient).save(file, "JPEG", quality=90)
    return file.getvalue()
