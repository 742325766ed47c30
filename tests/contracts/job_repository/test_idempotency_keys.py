"""Idempotency keys: one upload for each, despite concurrency and crashes."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import spent_tickets, upload_jobs
from ingest.idempotency_key import FOREVER, LIFETIME, IdempotencyKey, source_key, ticket_key
from ingest.ingest_errors import InProgress, KeyReused
from ingest.records import JobStatus, PrivateMetadata
from proxy.model import UploadId, new_upload_id
from tests.contracts.uploads import accept_upload, newest_ids, upload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = IdempotencyKey("a" * 64, timedelta(minutes=2))
TICKET, OTHER_TICKET = (ticket_key(jti, timedelta(minutes=2)) for jti in ("one", "other"))
OTHER = IdempotencyKey("b" * 64, timedelta(minutes=2))
SOURCE = source_key("a.jpg", timedelta(0))
PRINT = "f" * 64


def now() -> datetime:
    return datetime.now(UTC)


async def taken(repository: JobRepository, key: IdempotencyKey = KEY, created_at: datetime | None = None) -> UploadId:
    upload_id = new_upload_id()
    await repository.begin(upload_id, key)
    await repository.accept(upload_of(upload_id, created_at or now()), PRINT)
    return upload_id


async def begun_before(database: Database, upload_id: UploadId, age: timedelta) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            update(upload_jobs).where(upload_jobs.c.upload_id == upload_id).values(created_at=now() - age)
        )


async def spent_before(database: Database, age: timedelta) -> None:
    async with database.transaction() as connection:
        await connection.execute(update(spent_tickets).values(spent_at=now() - age))


async def delete_another_ticket(repository: JobRepository) -> None:
    await repository.delete(await taken(repository, ticket_key("another", timedelta(minutes=2))))


async def keys(database: Database) -> dict[UploadId, str | None]:
    async with database.transaction() as connection:
        rows = await connection.execute(select(upload_jobs.c.upload_id, upload_jobs.c.idempotency_key))
        return {UploadId(row.upload_id): row.idempotency_key for row in rows}


async def test_unused_key_finds_nothing(repository: JobRepository) -> None:
    await accept_upload(repository)

    assert await repository.find_by_key(KEY) is None


async def test_accepted_upload_is_found_by_its_key_only(
    repository: JobRepository,
) -> None:
    upload_id = await taken(repository)

    found = await repository.find_by_key(KEY)

    assert found == ((await repository.find(upload_id))[0], PRINT)
    assert await repository.find_by_key(OTHER) is None


async def test_key_of_unfinished_upload_raises_in_progress(repository: JobRepository) -> None:
    await repository.begin(new_upload_id(), KEY)

    with pytest.raises(InProgress):
        await repository.find_by_key(KEY)
    with pytest.raises(InProgress):
        await repository.begin(new_upload_id(), KEY)
    await repository.begin(new_upload_id(), OTHER)
    await repository.begin(new_upload_id())


async def test_key_of_accepted_upload_cannot_begin_another(repository: JobRepository, database: Database) -> None:
    upload_id = await taken(repository)

    with pytest.raises(InProgress):
        await repository.begin(new_upload_id(), KEY)

    assert await keys(database) == {upload_id: KEY.digest}


async def test_concurrent_begins_with_one_key_let_one_win(repository: JobRepository, database: Database) -> None:
    attempts = [repository.begin(new_upload_id(), KEY) for _ in range(20)]
    results = await asyncio.gather(*attempts, return_exceptions=True)

    assert sum(isinstance(result, datetime) for result in results) == 1
    assert [type(result) for result in results if not isinstance(result, datetime)] == [InProgress] * 19
    assert list((await keys(database)).values()) == [KEY.digest]


@pytest.mark.parametrize("accepted", [False, True])
async def test_deletion_frees_the_key(repository: JobRepository, accepted: bool) -> None:
    upload_id = new_upload_id()
    await repository.begin(upload_id, KEY)
    if accepted:
        await repository.accept(upload_of(upload_id, now()), PRINT)

    await repository.delete(upload_id)

    assert await repository.find_by_key(KEY) is None
    second = await taken(repository)
    found = await repository.find_by_key(KEY)
    assert found
    assert found[0].upload_id == second


class TestDeadAttempts:
    async def test_key_is_free_after_the_attempt_timeout(self, repository: JobRepository, database: Database) -> None:
        dead = new_upload_id()
        await repository.begin(dead, KEY)

        await begun_before(database, dead, KEY.attempt_timeout - timedelta(seconds=5))
        with pytest.raises(InProgress):
            await repository.begin(new_upload_id(), KEY)

        await begun_before(database, dead, KEY.attempt_timeout + timedelta(seconds=1))
        assert await repository.find_by_key(KEY) is None
        second = await taken(repository)
        assert await keys(database) == {dead: None, second: KEY.digest}

    async def test_concurrent_takeovers_let_one_win(self, repository: JobRepository, database: Database) -> None:
        dead = new_upload_id()
        await repository.begin(dead, KEY)
        await begun_before(database, dead, KEY.attempt_timeout + timedelta(seconds=1))

        attempts = [repository.begin(new_upload_id(), KEY) for _ in range(20)]
        results = await asyncio.gather(*attempts, return_exceptions=True)

        assert sum(isinstance(result, datetime) for result in results) == 1
        assert [type(result) for result in results if not isinstance(result, datetime)] == [InProgress] * 19

    async def test_slow_attempt_loses_its_key(self, repository: JobRepository, database: Database) -> None:
        slow = new_upload_id()
        await repository.begin(slow, KEY)
        await begun_before(database, slow, KEY.attempt_timeout + timedelta(seconds=1))
        second = await taken(repository)

        with pytest.raises(InProgress):
            await repository.accept(upload_of(slow, now()), PRINT)

        found = await repository.find_by_key(KEY)
        assert found
        assert found[0].upload_id == second
        assert await newest_ids(repository) == [second]

    async def test_accept_during_takeover_either_wins_or_loses(
        self, repository: JobRepository, database: Database
    ) -> None:
        """Either may win; there are never two uploads with one key."""
        for _ in range(30):
            await self.race(repository, database)

    async def race(self, repository: JobRepository, database: Database) -> None:
        slow, other = new_upload_id(), new_upload_id()
        await repository.begin(slow, KEY)
        await begun_before(database, slow, KEY.attempt_timeout + timedelta(seconds=1))
        ends, begins = await asyncio.gather(
            repository.accept(upload_of(slow, now()), PRINT), repository.begin(other, KEY), return_exceptions=True
        )
        assert [type(result) for result in (ends, begins)].count(InProgress) == 1
        assert ends is None or isinstance(begins, datetime)
        assert list((await keys(database)).values()).count(KEY.digest) == 1
        await repository.delete(slow)
        await repository.delete(other)


class TestLifetime:
    async def test_key_is_free_after_a_day(self, repository: JobRepository, database: Database) -> None:
        old = await taken(repository, created_at=now() - LIFETIME - timedelta(seconds=1))

        assert await repository.find_by_key(KEY) is None
        second = await taken(repository)

        assert await keys(database) == {old: None, second: KEY.digest}
        assert (await repository.find(old))[0].upload_id == old

    async def test_key_is_kept_for_a_day(self, repository: JobRepository) -> None:
        upload_id = await taken(repository, created_at=now() - LIFETIME + timedelta(minutes=1))

        found = await repository.find_by_key(KEY)
        assert found
        assert found[0].upload_id == upload_id
        with pytest.raises(InProgress):
            await repository.begin(new_upload_id(), KEY)

    async def test_ticket_stays_used_for_an_hour_longer_than_it_may_be_valid(
        self, repository: JobRepository, database: Database
    ) -> None:
        age = LIFETIME + timedelta(minutes=59)
        used = await taken(repository, TICKET, now() - age)
        deleted = await taken(repository, OTHER_TICKET, now() - age)
        await repository.delete(deleted)
        await spent_before(database, age)
        await delete_another_ticket(repository)  # forgets old ones

        found = await repository.find_by_key(TICKET)

        assert found
        assert found[0].upload_id == used
        with pytest.raises(InProgress):
            await repository.begin(new_upload_id(), TICKET)
        with pytest.raises(KeyReused):
            await repository.find_by_key(OTHER_TICKET)
        with pytest.raises(KeyReused):
            await repository.begin(new_upload_id(), OTHER_TICKET)

    async def test_ticket_is_forgotten_an_hour_after_it_may_be_valid(
        self, repository: JobRepository, database: Database
    ) -> None:
        age = LIFETIME + timedelta(minutes=61)
        await taken(repository, TICKET, now() - age)
        await repository.delete(await taken(repository, OTHER_TICKET, now() - age))
        await spent_before(database, age)
        await delete_another_ticket(repository)

        for key in (TICKET, OTHER_TICKET):
            assert await repository.find_by_key(key) is None
            await repository.begin(new_upload_id(), key)


class TestSources:
    async def test_imported_source_is_known_for_years(self, repository: JobRepository, database: Database) -> None:
        upload_id = await taken(repository, SOURCE, now() - timedelta(days=3650))

        found = await repository.find_by_key(SOURCE)

        assert found
        assert found[0].upload_id == upload_id
        with pytest.raises(InProgress):
            await repository.begin(new_upload_id(), SOURCE)
        assert await keys(database) == {upload_id: SOURCE.digest}

    async def test_unfinished_attempt_is_taken_over_at_once_by_the_holder_of_the_lease(
        self, repository: JobRepository, database: Database
    ) -> None:
        dead = new_upload_id()
        await repository.begin(dead, SOURCE)
        await begun_before(database, dead, timedelta(milliseconds=2))

        with pytest.raises(InProgress):
            await repository.find_by_key(source_key("a.jpg", timedelta(minutes=1)))
        assert await repository.find_by_key(SOURCE) is None
        second = await taken(repository, SOURCE)

        assert await keys(database) == {dead: None, second: SOURCE.digest}
        with pytest.raises(InProgress):
            await repository.accept(upload_of(dead, now()), PRINT)

    async def test_deleted_source_stays_used_until_it_is_forgotten(
        self, repository: JobRepository, database: Database
    ) -> None:
        await repository.delete(await taken(repository, SOURCE))
        await spent_before(database, timedelta(days=3650) - FOREVER)
        await delete_another_ticket(repository)  # forgets old tickets

        with pytest.raises(KeyReused, match="This source was used for an upload that was deleted"):
            await repository.find_by_key(SOURCE)
        with pytest.raises(KeyReused):
            await repository.begin(new_upload_id(), SOURCE)

        again = replace(SOURCE, again=True)
        assert await repository.find_by_key(again) is None
        await repository.begin(failed := new_upload_id(), again)
        await repository.delete(failed)  # it was refused, so the source stays used
        with pytest.raises(KeyReused):
            await repository.find_by_key(SOURCE)

        upload_id = await taken(repository, again)
        assert await repository.find_by_key(SOURCE) == ((await repository.find(upload_id))[0], PRINT)
        await repository.delete(upload_id)
        with pytest.raises(KeyReused):
            await repository.find_by_key(SOURCE)

    async def test_many_sources_are_found_in_one_query(self, repository: JobRepository) -> None:
        upload_id, unfinished = await taken(repository, SOURCE), source_key("b.jpg", timedelta(0))
        await repository.begin(new_upload_id(), unfinished)

        found = await repository.find_by_sources([SOURCE.digest, unfinished.digest, "unknown"])

        assert found == {SOURCE.digest: ((await repository.find(upload_id))[0], PRINT)}
        assert await repository.find_by_sources([]) == {}

    async def test_adopted_upload_has_its_source_unless_another_has_or_had_it(self, repository: JobRepository) -> None:
        first, other = upload_of(new_upload_id(), now()), upload_of(new_upload_id(), now())

        assert await repository.adopt(first, JobStatus.PENDING, (SOURCE, PRINT))
        assert not await repository.adopt(first, JobStatus.PENDING, (SOURCE, PRINT))
        for _ in range(2):
            with pytest.raises(KeyReused):
                await repository.adopt(other, JobStatus.PENDING, (SOURCE, PRINT))
            assert not await repository.exists(other.upload_id)
            await repository.delete(first.upload_id)

    async def test_source_of_an_attempt_that_failed_is_free(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id, SOURCE)

        await repository.delete(upload_id, keeps_key=False)

        assert await repository.find_by_key(SOURCE) is None


class TestPrivateMetadata:
    @pytest.mark.parametrize("private", [PrivateMetadata([], []), PrivateMetadata(["location", "time"], ["time"])])
    async def test_private_metadata_is_read_back(self, repository: JobRepository, private: PrivateMetadata) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        await repository.accept(replace(upload_of(upload_id), private=private))

        assert (await repository.find(upload_id))[0].private == private

    async def test_private_metadata_of_older_uploads_is_none(self, repository: JobRepository) -> None:
        assert (await repository.find(await accept_upload(repository)))[0].private is None
