"""The catalogue behind PgBouncer in transaction mode, where prepared statements outlive their connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from proxy.model import UploadId
from tests.conftest import need
from tests.contracts.uploads import COMPLETE, PENDING, PROCESSING, accept_upload, job_of, newest_ids
from tests.pgbouncer import PgBouncerServer
from tests.postgres import PostgresServer
from tests.programs import find
from tests.waiting import GUARD

pytestmark = pytest.mark.slow


@pytest.fixture
async def pooled(postgres: PostgresServer) -> AsyncIterator[str]:
    need(find("pgbouncer"), "pgbouncer")
    url = postgres.create_database()
    with PgBouncerServer(url) as pgbouncer:
        yield pgbouncer.url(url)
    postgres.drop_database(url)


async def test_many_processes_share_two_server_connections(pooled: str) -> None:
    async def complete(repository: JobRepository) -> UploadId:
        upload_id = await accept_upload(repository)
        await repository.advance(upload_id, expect=PENDING, to=PROCESSING)
        await repository.advance(upload_id, expect=PROCESSING, to=COMPLETE, progress=100)
        assert (await job_of(repository, upload_id)).status is COMPLETE
        return upload_id

    async with AsyncExitStack() as stack:
        databases = [Database(pooled, deadline=GUARD) for _ in range(4)]
        for database in databases:
            stack.push_async_callback(database.close)
        await databases[0].migrate()
        repositories = [JobRepository(database) for database in databases]

        made = await asyncio.gather(*(complete(repository) for repository in repositories * 10))

        assert set(await newest_ids(repositories[0], 100)) == set(made)
        assert [(await repository.count())[COMPLETE] for repository in repositories] == [40] * 4


async def test_unknown_database_is_explained(pooled: str) -> None:
    """PgBouncer has one error code for every failed login, a wrong password included."""
    database = Database(f"{pooled}x")

    with pytest.raises(CatalogUnavailable, match=r"^The database refuses this user, password or database name\."):
        await database.revision()
    await database.close()
