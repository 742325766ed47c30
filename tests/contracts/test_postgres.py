"""Postgres specifics: types, migrations, concurrency and outages."""

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import metadata
from ingest.catalog.upload_rows import select_page
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import JobNotClaimable, JobStatus
from proxy.model import UploadId, new_upload_id
from tests.postgres import PostgresServer
from tests.service import darkroom
from tests.unit.ingest.examples import accepted
from tests.waiting import GUARD

DEADLINE = 1.0  # seconds for a transaction
FAILURE_SECONDS = 20  # seconds within which calls to a hanging server must fail
NO_ANSWER = "The database failed or did not answer in time. See the log."
REFUSED = "The database refuses this user, password or database name. Correct DATABASE_URL."
UNREACHABLE = "The database cannot be reached. Check that it runs, and host and port in DATABASE_URL."

TROUBLES: dict[str, Callable[[PostgresServer], None]] = {
    "stopped": PostgresServer.stop,
    "killed": PostgresServer.kill,
    "paused": PostgresServer.pause,
}


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """Empty and not migrated."""
    url = postgres.create_database()
    database = Database(url, deadline=GUARD)
    yield database
    await database.close()
    postgres.drop_database(url)


@pytest.fixture
async def impatient(postgres: PostgresServer, database: Database) -> AsyncIterator[Database]:
    """The same database, migrated, with short deadlines."""
    await database.migrate()
    impatient = Database(database.engine.url, deadline=DEADLINE)
    yield impatient
    postgres.resume()
    postgres.start()
    await impatient.close()


async def ask(database: Database, question: Callable[[Connection], Any]) -> Any:
    async with database.transaction() as connection:
        return await connection.run_sync(question)


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def differences(connection: Connection) -> Any:
    return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


class TestMigrations:
    async def test_migrated_tables_match_the_code(self, database: Database) -> None:
        await database.migrate()

        assert await ask(database, differences) == []
        ours = {"upload_jobs", "images", "installation", "owner_deletions", "spent_tickets", "webhooks"}
        assert await ask(database, tables) == ours | {"alembic_version"}
        await database.check()

    async def test_downgrade_and_upgrade_restore_the_tables(self, database: Database) -> None:
        await database.migrate()
        await database.migrate("base")
        assert await ask(database, tables) == {"alembic_version"}

        await database.migrate()

        assert await ask(database, differences) == []

    @pytest.mark.slow  # starts two programs
    async def test_concurrent_migrations_succeed(self, database: Database, tmp_path: Path) -> None:
        """Two machines start together; one of them may report that it was second."""
        url = database.engine.url.render_as_string(hide_password=False)
        commands = [asyncio.to_thread(darkroom, tmp_path, "migrate", DATABASE_URL=url) for _ in range(2)]
        done = await asyncio.gather(*commands)

        assert 0 in [one.returncode for one in done]
        await database.check()
        assert await ask(database, differences) == []

    async def test_unmigrated_database_fails_the_check(self, database: Database) -> None:
        with pytest.raises(CatalogUnavailable, match=r"at revision none, not 0012_from_0007: run `darkroom migrate`"):
            await database.check()

    async def test_columns_use_uuid_timestamptz_and_jsonb(self, database: Database) -> None:
        await database.migrate()

        columns = await ask(database, lambda connection: inspect(connection).get_columns("images"))

        types = {column["name"]: column["type"] for column in columns}
        assert type(types["variants"]) is JSONB
        assert type(types["upload_id"]) is UUID
        assert type(types["created_at"]) is TIMESTAMP
        assert types["created_at"].timezone is True

    async def test_variants_can_be_queried_by_state(self, database: Database) -> None:
        await database.migrate()
        repository = JobRepository(database)
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        await repository.accept(accepted(upload_id, variants={}))

        query = text("SELECT count(*) FROM images WHERE NOT variants @> :known")
        async with database.transaction() as connection:
            found = await connection.execute(query, {"known": '{"small.jpg": {"state": "stored"}}'})
            assert found.scalar() == 1


async def test_batch_of_rows_begins_in_both_indexes(database: Database) -> None:
    """By a merge of them, as Postgres reads large tables."""
    await database.migrate()
    page = select_page(operator.gt, new_upload_id())
    query = page.compile(database.engine.sync_engine, compile_kwargs={"literal_binds": True})
    async with database.transaction() as connection:
        for other in ("hashjoin", "nestloop", "seqscan", "bitmapscan"):
            await connection.execute(text(f"SET LOCAL enable_{other} = off"))
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {query}"))).scalars())

    assert "Merge Left Join" in plan
    assert plan.count("Index Cond: (upload_id > ") == 2


class TestConcurrency:
    @pytest.mark.promise("E5")
    async def test_concurrent_claims_on_several_connections_have_one_winner(
        self, postgres: PostgresServer, database: Database
    ) -> None:
        await database.migrate()
        others = [Database(database.engine.url.render_as_string(hide_password=False)) for _ in range(4)]
        upload_id = new_upload_id()
        await JobRepository(database).begin(upload_id)
        await JobRepository(database).accept(accepted(upload_id))

        for expect, to in ((JobStatus.PENDING, JobStatus.PROCESSING), (JobStatus.PROCESSING, JobStatus.COMPLETE)):
            claims = [JobRepository(other).advance(upload_id, expect=expect, to=to) for other in others * 5]
            results = await asyncio.gather(*claims, return_exceptions=True)
            assert results.count(1) == 1
            assert [type(result) for result in results if result != 1] == [JobNotClaimable] * 19
        for other in others:
            await other.close()

    @pytest.mark.slow
    async def test_delete_during_work_does_not_deadlock(self, database: Database) -> None:
        """`record` locks the job row, then the image row. Deleting in the other order could deadlock."""
        await database.migrate()
        repository = JobRepository(database)

        async def record(upload_id: UploadId, delay: float) -> None:
            await asyncio.sleep(delay)
            with suppress(JobNotClaimable):
                await repository.record(upload_id, 50, {})

        for turn in range(100):
            upload_id = new_upload_id()
            await repository.begin(upload_id)
            await repository.accept(accepted(upload_id))
            await repository.advance(upload_id, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
            deleted, _ = await asyncio.gather(repository.delete(upload_id), record(upload_id, turn % 10 * 0.0004))
            assert deleted is True
        async with database.transaction() as connection:
            for table in metadata.sorted_tables:
                assert (await connection.execute(table.select())).all() == []


class TestAway:
    async def assert_unavailable(self, repository: JobRepository, *messages: str) -> None:
        async with asyncio.timeout(FAILURE_SECONDS):
            with pytest.raises(CatalogUnavailable) as caught:
                await repository.count()
        assert str(caught.value) in messages

    async def count_ten_times(self, repository: JobRepository) -> list[dict[JobStatus, int]]:
        """Counts on ten connections, again while a busy machine takes longer to open them than the short deadline."""
        async with asyncio.timeout(FAILURE_SECONDS):
            while True:
                with suppress(CatalogUnavailable):
                    return await asyncio.gather(*(repository.count() for _ in range(10)))

    @pytest.mark.slow
    @pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
    async def test_outage_raises_and_recovers(
        self, postgres: PostgresServer, impatient: Database, trouble: Callable[[PostgresServer], None]
    ) -> None:
        repository = JobRepository(impatient)
        empty = [dict.fromkeys(JobStatus, 0)] * 10
        assert await self.count_ten_times(repository) == empty  # opens connections that the restart closes
        trouble(postgres)
        await self.assert_unavailable(repository, UNREACHABLE, NO_ANSWER)

        postgres.resume()
        postgres.start()

        assert await self.count_ten_times(repository) == empty

    async def test_restart_between_two_calls_is_transparent(self, postgres: PostgresServer, database: Database) -> None:
        await database.migrate()
        repository = JobRepository(database)
        await repository.count()

        postgres.restart()

        assert await repository.count() == dict.fromkeys(JobStatus, 0)

    @pytest.mark.promise("E3")
    async def test_more_calls_than_connections_wait(self, postgres: PostgresServer, database: Database) -> None:
        await database.migrate()
        repository = JobRepository(database)

        async with asyncio.timeout(FAILURE_SECONDS):
            counts = await asyncio.gather(*(repository.count() for _ in range(100)))

        assert counts == [dict.fromkeys(JobStatus, 0)] * 100

    @pytest.mark.parametrize(
        ("mistake", "message"),
        [("password", REFUSED), ("database", REFUSED), ("port", UNREACHABLE), ("host", UNREACHABLE)],
    )
    async def test_wrong_address_is_explained_without_secrets(
        self, postgres: PostgresServer, mistake: str, message: str
    ) -> None:
        url = {
            "password": postgres.url("postgres", password="open-sesame"),
            "database": postgres.url("nowhere"),
            "port": "postgresql+asyncpg://darkroom:open-sesame@127.0.0.1:1/darkroom",
            "host": "postgresql+asyncpg://darkroom:open-sesame@nowhere.invalid/darkroom",
        }[mistake]
        database = Database(url)

        await self.assert_unavailable(JobRepository(database), message)
        with pytest.raises(CatalogUnavailable):
            await database.check()
        await database.close()
