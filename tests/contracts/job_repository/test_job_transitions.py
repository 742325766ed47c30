"""Job transitions and records: legal only, and made once."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import images, upload_jobs
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import TRANSITIONS, Job, JobNotClaimable, JobStatus, VariantState, WarmedVariant
from proxy.model import new_upload_id
from tests.contracts.uploads import (
    COMPLETE,
    FAILED,
    NOON,
    PENDING,
    PROCESSING,
    accept_upload,
    job_of,
    upload_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestAdvancing:
    @pytest.mark.parametrize(
        ("expect", "to"), [(expect, to) for expect in TRANSITIONS for to in sorted(TRANSITIONS[expect])]
    )
    async def test_legal_transition_changes_the_status(
        self, repository: JobRepository, expect: JobStatus, to: JobStatus
    ) -> None:
        upload_id = await accept_upload(repository, expect)

        await repository.advance(upload_id, expect=expect, to=to)

        assert (await job_of(repository, upload_id)).status is to

    @pytest.mark.parametrize(
        ("expect", "to"), [(expect, to) for expect in JobStatus for to in JobStatus if to not in TRANSITIONS[expect]]
    )
    async def test_illegal_transition_raises_value_error(
        self, repository: JobRepository, expect: JobStatus, to: JobStatus
    ) -> None:
        upload_id = await accept_upload(repository, expect)
        before = await job_of(repository, upload_id)

        with pytest.raises(ValueError, match=f"from {expect} to {to}"):
            await repository.advance(upload_id, expect=expect, to=to)

        assert await job_of(repository, upload_id) == before

    @pytest.mark.parametrize(
        ("status", "expect"), [(status, expect) for status in JobStatus for expect in JobStatus if status != expect]
    )
    async def test_unexpected_status_raises_job_not_claimable(
        self, repository: JobRepository, status: JobStatus, expect: JobStatus
    ) -> None:
        upload_id = await accept_upload(repository, status)
        before = await job_of(repository, upload_id)

        for to in TRANSITIONS[expect]:
            with pytest.raises(JobNotClaimable):
                await repository.advance(upload_id, expect=expect, to=to, progress=50, error="not mine")

        assert await job_of(repository, upload_id) == before

    async def test_unknown_job_raises_job_not_claimable(self, repository: JobRepository) -> None:
        with pytest.raises(JobNotClaimable):
            await repository.advance(new_upload_id(), expect=PENDING, to=PROCESSING)

    async def test_concurrent_claims_have_one_winner(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)

        claims = [repository.advance(upload_id, expect=PENDING, to=PROCESSING) for _ in range(20)]
        results = await asyncio.gather(*claims, return_exceptions=True)

        assert results.count(1) == 1
        assert [type(result) for result in results if result != 1] == [JobNotClaimable] * 19

    async def test_other_jobs_keep_their_status(self, repository: JobRepository) -> None:
        upload_id, other = await accept_upload(repository), await accept_upload(repository)

        await repository.advance(upload_id, expect=PENDING, to=PROCESSING, progress=7, error="hm")

        assert await job_of(repository, other) == Job(other, PENDING, 0, None, NOON, NOON)

    async def test_transition_without_progress_keeps_progress(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        await repository.record(upload_id, 42, {})

        await repository.advance(upload_id, expect=PROCESSING, to=COMPLETE)
        assert (await job_of(repository, upload_id)).progress == 42

        await repository.advance(upload_id, expect=COMPLETE, to=PROCESSING, progress=0)
        assert (await job_of(repository, upload_id)).progress == 0

    async def test_error_is_cleared_by_the_next_transition(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, PROCESSING)

        await repository.advance(upload_id, expect=PROCESSING, to=FAILED, error="The file is “damaged”.")
        assert (await job_of(repository, upload_id)).error == "The file is “damaged”."

        await repository.advance(upload_id, expect=FAILED, to=PROCESSING)
        assert (await job_of(repository, upload_id)).error is None


class TestAttempts:
    async def test_every_claim_counts(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)
        assert (await job_of(repository, upload_id)).attempts == 0

        for attempt in (1, 2, 3):
            assert await repository.advance(upload_id, expect=PENDING, to=PROCESSING) == attempt
            assert await repository.advance(upload_id, expect=PROCESSING, to=PENDING, retry_in=1.5) == attempt
        await repository.advance(upload_id, expect=PENDING, to=PROCESSING)
        assert await repository.advance(upload_id, expect=PROCESSING, to=PROCESSING) == 5  # from a dead worker
        await repository.recover()
        assert (await job_of(repository, upload_id)).attempts == 5

    async def test_interrupted_attempt_does_not_count(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, PROCESSING)

        assert await repository.advance(upload_id, expect=PROCESSING, to=PENDING) == 0

    async def test_job_that_an_earlier_version_claimed_has_no_attempts(
        self, repository: JobRepository, database: Database
    ) -> None:
        upload_id = await accept_upload(repository)
        async with database.transaction() as connection:
            await connection.execute(update(upload_jobs).values(status=PROCESSING))

        assert await repository.advance(upload_id, expect=PROCESSING, to=PENDING) == 0

    @pytest.mark.parametrize("status", [COMPLETE, FAILED])
    async def test_job_that_ended_counts_attempts_from_zero(self, repository: JobRepository, status: JobStatus) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        await repository.advance(upload_id, expect=PROCESSING, to=PROCESSING)
        assert await repository.advance(upload_id, expect=PROCESSING, to=status) == 2

        assert await repository.advance(upload_id, expect=status, to=PROCESSING) == 1


class TestRecording:
    async def test_recorded_progress_and_variants_are_read_back(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        variants = {
            "tiny.webp": WarmedVariant("https://cdn.test/ü.webp", VariantState.STORED, 0, 0.1),
            "tiny.jpg": WarmedVariant("/b", VariantState.WAITING, None, None),
            "tiny.avif": WarmedVariant("/c", VariantState.STORED, 1000, 25.5, 66, 80.25),
        }

        await repository.record(upload_id, 50, variants)

        upload, job = await repository.find(upload_id)
        assert upload == replace(upload_of(upload_id), variants=variants)
        assert (job.status, job.progress, job.error) == (PROCESSING, 50, None)

    async def test_variants_without_quality_and_score_are_read(
        self, repository: JobRepository, database: Database
    ) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        row = {"small.jpg": {"url": "/a", "state": "stored", "bytes": 7, "milliseconds": 1.5}}
        async with database.transaction() as connection:
            await connection.execute(update(images).where(images.c.upload_id == upload_id).values(variants=row))

        upload, _ = await repository.find(upload_id)

        assert upload.variants == {"small.jpg": WarmedVariant("/a", VariantState.STORED, 7, 1.5, None, None)}

    @pytest.mark.parametrize("status", [PENDING, COMPLETE, FAILED])
    async def test_recording_a_job_that_is_not_processing_raises(
        self, repository: JobRepository, status: JobStatus
    ) -> None:
        upload_id = await accept_upload(repository, status)
        before = await repository.find(upload_id)

        with pytest.raises(JobNotClaimable):
            await repository.record(upload_id, 50, {})

        assert await repository.find(upload_id) == before

    async def test_progress_of_an_unknown_job_raises_job_not_claimable(self, repository: JobRepository) -> None:
        with pytest.raises(JobNotClaimable):
            await repository.record(new_upload_id(), 50, {})

    @pytest.mark.parametrize("progress", [0, 100])
    async def test_progress_may_be_0_to_100(self, repository: JobRepository, progress: int) -> None:
        upload_id = await accept_upload(repository, PROCESSING)

        await repository.record(upload_id, progress, {})

        assert (await job_of(repository, upload_id)).progress == progress

    @pytest.mark.parametrize("progress", [-1, 101])
    async def test_progress_out_of_range_changes_nothing(self, repository: JobRepository, progress: int) -> None:
        upload_id = await accept_upload(repository, PROCESSING)
        before = await repository.find(upload_id)

        with pytest.raises(CatalogUnavailable):
            await repository.record(upload_id, progress, {})

        assert await repository.find(upload_id) == before
