"""Deletions of all uploads of an owner: one worker at a time has one."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from ingest.catalog.database import Database
from ingest.catalog.owner_deletions import RETENTION, OwnerDeletions
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import SecondsAgo, owner_deletions
from ingest.records import STALLED_AFTER, JobNotClaimable, JobStatus
from proxy.model import new_upload_id
from tests.contracts.uploads import upload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def deletions(database: Database) -> OwnerDeletions:
    return OwnerDeletions(database)


async def let_pass(database: Database, deletion_id: str, passed: timedelta) -> None:
    past = dict.fromkeys(("heartbeat_at", "updated_at"), SecondsAgo(passed.total_seconds()))
    async with database.transaction() as connection:
        await connection.execute(
            update(owner_deletions).where(owner_deletions.c.deletion_id == deletion_id).values(past)
        )


class TestOwnerDeletions:
    async def test_new_deletion_waits_and_counts_the_owners_uploads_of_before(
        self, deletions: OwnerDeletions, repository: JobRepository, database: Database
    ) -> None:
        now = await database.now()
        for owner, age in (("Ida", 1), ("Ida", 60), ("Ida", -60), ("Zoë", 1), (None, 1)):
            upload = replace(upload_of(new_upload_id()), owner=owner, created_at=now - timedelta(seconds=age))
            await repository.begin(upload.upload_id)
            await repository.accept(upload)

        made = await deletions.create("Ida")

        assert (made.owner, made.status, made.total, made.deleted, made.failed) == ("Ida", JobStatus.PENDING, 2, 0, 0)
        assert (made.progress, made.error, made.worker) == (0, None, None)
        assert await deletions.find(made.deletion_id) == made
        assert await deletions.find(str(new_upload_id())) is None

    async def test_each_deletion_is_claimed_by_one_of_many_workers_the_oldest_first(
        self, deletions: OwnerDeletions
    ) -> None:
        made = [await deletions.create(owner) for owner in ("a", "b", "c")]

        first = await deletions.claim("first")
        claims = await asyncio.gather(*(deletions.claim(f"worker {number}") for number in range(6)))

        assert first
        assert (first.deletion_id, first.status) == (made[0].deletion_id, JobStatus.PROCESSING)
        got = [claim.deletion_id for claim in claims if claim]
        assert len(got) == len(set(got)) >= 1
        assert set(got) <= {each.deletion_id for each in made[1:]}

    async def test_only_the_deletion_of_a_dead_worker_is_taken_over(
        self, deletions: OwnerDeletions, database: Database
    ) -> None:
        await deletions.create("Ida")
        dead = await deletions.claim("dead")
        assert dead
        await deletions.record(dead, deleted=7, failed=2)
        assert await deletions.claim("other") is None
        await let_pass(database, dead.deletion_id, STALLED_AFTER + timedelta(seconds=1))

        taken = await deletions.claim("other")

        assert taken
        assert (taken.worker, taken.deleted, taken.failed) == ("other", 7, 0)
        with pytest.raises(JobNotClaimable):
            await deletions.record(dead, deleted=8)
        assert await deletions.find(taken.deletion_id) == taken

    async def test_ended_deletion_is_never_claimed_and_forgotten_after_a_week(
        self, deletions: OwnerDeletions, database: Database
    ) -> None:
        for status in (JobStatus.COMPLETE, JobStatus.FAILED):
            made = await deletions.create("Ida")
            claimed = await deletions.claim("worker")
            assert claimed
            await deletions.record(claimed, status=status, error="1 upload could not be deleted.")
            await let_pass(database, made.deletion_id, RETENTION - timedelta(minutes=1))

            assert await deletions.claim("worker") is None
            await deletions.create("Zoë")
            kept = await deletions.find(made.deletion_id)
            assert kept
            assert (kept.status, kept.progress) == (status, 100)

            await let_pass(database, made.deletion_id, RETENTION + timedelta(minutes=1))
            waiting = await deletions.create("Zoë")
            assert await deletions.find(made.deletion_id) is None
            await let_pass(database, waiting.deletion_id, 2 * RETENTION)
            await deletions.create("Zoë")
            assert await deletions.find(waiting.deletion_id)
            while await deletions.claim("cleaner"):
                pass
