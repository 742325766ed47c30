"""Idempotency keys: one upload for each, despite concurrency and crashes."""

import asyncio
from datetime import datetime, timedelta

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.idempotency_key import LIFETIME, IdempotencyKey, ticket_key
from ingest.ingest_errors import InProgress, KeyReused
from proxy.model import new_upload_id
from tests.contracts.job_repository.keyed_uploads import (
    KEY,
    PRINT,
    begun_before,
    delete_another_ticket,
    keys,
    now,
    spent_before,
    taken,
)
from tests.contracts.uploads import accept_upload, newest_ids, upload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TICKET, OTHER_TICKET = (ticket_key(jti, timedelta(minutes=2)) for jti in ("one", "other"))
OTHER = IdempotencyKey("b" * 64, timedelta(minutes=2))


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


async def test_concurrent_begins_with_one_key_have_one_winner(repository: JobRepository, database: Database) -> None:
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

    async def test_concurrent_takeovers_have_one_winner(self, repository: JobRepository, database: Database) -> None:
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

    @pytest.mark.slow
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

    async def test_ticket_is_used_for_an_hour_longer_than_its_longest_validity(
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

    async def test_ticket_is_forgotten_an_hour_after_its_longest_validity(
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
