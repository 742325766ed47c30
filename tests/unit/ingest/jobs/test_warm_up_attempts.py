"""Warm-ups whose attempts fail. In virtual time, because retries wait up to half a minute."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.records import JobStatus, Upload, VariantState
from proxy.errors import (
    DerivationTimeout,
    Overloaded,
    RenderFailed,
    ServiceError,
    StoreUnavailable,
    TooManyPixels,
    Undecodable,
    UnknownUpload,
)
from tests.fakes import VirtualTimeLoop
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once, eventually

STANDARD = SIZES.standard
PASSING = [StoreUnavailable("s"), Overloaded("o"), RenderFailed("r"), DerivationTimeout("d")]


class Outcome:
    """Runs one warm-up of a new upload and keeps everything observable."""

    def __init__(self, variant_service: ScriptedVariantService, **failures: int) -> None:
        self.upload: Upload = accepted()
        self.variant_service = variant_service
        self.repository = MemoryRepository(self.upload)
        self.repository.failures.update(failures)
        self.ended: JobStatus | None = None
        self.waited = 0.0

    def run(self) -> "Outcome":
        at_once(self._run())
        return self

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        self.ended = await deliver(WarmUp(self.repository, self.variant_service, SIZES).run, self.upload.upload_id)
        self.waited = loop.skipped

    @property
    def job(self) -> tuple[JobStatus, int, str | None]:
        upload_id = self.upload.upload_id
        return self.repository.status[upload_id], self.repository.progress[upload_id], self.repository.errors[upload_id]

    @property
    def states(self) -> list[VariantState]:
        variants = self.repository.uploads[self.upload.upload_id].variants
        return [variants[variant.name].state for variant in STANDARD]

    @property
    def milliseconds(self) -> list[float | None]:
        variants = self.repository.uploads[self.upload.upload_id].variants
        return [variants[variant.name].milliseconds for variant in STANDARD]


def test_time_is_recorded_in_milliseconds() -> None:
    outcome = Outcome(ScriptedVariantService()).run()

    assert outcome.milliseconds == [250.0] * len(STANDARD)
    assert outcome.repository.recorded == [12, 25, 37, 50, 62, 75, 87, 100]


class TestWhatMayPass:
    @pytest.mark.parametrize("error", PASSING, ids=lambda error: error.code)
    def test_retryable_error_is_retried_to_complete(self, error: ServiceError) -> None:
        with capture_logs() as logs:
            outcome = Outcome(ScriptedVariantService(error)).run()

        assert outcome.ended is JobStatus.COMPLETE
        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert outcome.variant_service.attempts == 2
        assert outcome.variant_service.deleted == []
        [seconds] = [entry["seconds"] for entry in logs if entry["event"] == "warm-up retry scheduled"]
        assert 0.75 <= seconds <= 1.25  # randomised by a quarter
        assert outcome.waited == pytest.approx(seconds, abs=0.1)  # less the real time that the loop took

    def test_retries_back_off_and_then_fail(self) -> None:
        outcome = Outcome(ScriptedVariantService(*[StoreUnavailable("The store is on holiday.")] * 10, after=3)).run()

        assert outcome.ended is JobStatus.FAILED
        assert outcome.job == (JobStatus.FAILED, 0, "The store is on holiday.")
        assert outcome.variant_service.attempts == 6
        assert outcome.waited == pytest.approx(1 + 2 + 4 + 8 + 16, rel=0.27)
        assert sorted(outcome.variant_service.deleted, key=STANDARD.index) == list(STANDARD[:3])
        assert outcome.states == [VariantState.WAITING] * len(STANDARD)

    def test_final_attempt_may_succeed(self) -> None:
        outcome = Outcome(ScriptedVariantService(*[Overloaded("o")] * 5)).run()

        assert outcome.ended is JobStatus.COMPLETE
        assert outcome.states == [VariantState.STORED] * len(STANDARD)

    @pytest.mark.promise("E5")
    def test_retry_never_decreases_progress(self) -> None:
        outcome = Outcome(ScriptedVariantService(StoreUnavailable("s"), RenderFailed("r"), after=4)).run()

        assert outcome.ended is JobStatus.COMPLETE
        assert outcome.repository.recorded == sorted(outcome.repository.recorded)

    def test_retry_keeps_recorded_times(self) -> None:
        outcome = Outcome(ScriptedVariantService(StoreUnavailable("s"), after=4)).run()

        assert outcome.ended is JobStatus.COMPLETE
        assert outcome.milliseconds == [250.0] * len(STANDARD)


class TestWhatWillNotPass:
    @pytest.mark.parametrize(
        "error", [Undecodable("Export it again."), TooManyPixels("Scale it down."), UnknownUpload("It is gone.")]
    )
    def test_permanent_error_fails_at_once_with_its_message(self, error: ServiceError) -> None:
        outcome = Outcome(ScriptedVariantService(error, after=5)).run()

        assert outcome.ended is JobStatus.FAILED
        assert outcome.job == (JobStatus.FAILED, 0, str(error))
        assert outcome.variant_service.attempts == 1
        assert outcome.variant_service.deleted == list(STANDARD[:5])
        assert outcome.states == [VariantState.WAITING] * len(STANDARD)
        assert outcome.waited == 0

    def test_failure_without_variants_removes_nothing(self) -> None:
        variant_service = ScriptedVariantService(Undecodable("Export it again."), after=2)
        variant_service.stored = set(STANDARD[:2])

        outcome = Outcome(variant_service).run()

        assert outcome.job == (JobStatus.FAILED, 0, "Export it again.")
        assert variant_service.deleted == []  # no names would mean all of them

    @pytest.mark.heavy
    def test_unexpected_error_fails_without_details(self) -> None:
        outcome = Outcome(ScriptedVariantService(RuntimeError("secret: hunter2"), after=2)).run()

        assert outcome.ended is JobStatus.FAILED
        status, progress, sentence = outcome.job
        assert (status, progress) == (JobStatus.FAILED, 0)
        assert sentence
        assert "hunter2" not in sentence
        assert outcome.variant_service.deleted == list(STANDARD[:2])
        assert outcome.states == [VariantState.WAITING] * len(STANDARD)


class TestTheDatabaseIsAway:
    def test_outage_before_claim_leaves_job_pending(self) -> None:
        outcome = Outcome(ScriptedVariantService(), advance=1)

        with pytest.raises(CatalogUnavailable):
            outcome.run()

        assert outcome.job == (JobStatus.PENDING, 0, None)
        assert outcome.variant_service.attempts == 0

    def test_outage_after_claim_does_not_strand_the_job(self) -> None:
        outcome = Outcome(ScriptedVariantService(), find=1)

        try:
            outcome.run()
        except CatalogUnavailable:
            assert outcome.job[0] is JobStatus.PENDING  # another worker may claim it
        else:
            assert outcome.job == (JobStatus.COMPLETE, 100, None)

    def test_outage_while_recording_waits_without_deriving_twice(self, slept: list[float]) -> None:
        with capture_logs() as logs:
            outcome = Outcome(ScriptedVariantService(), record=100).run()

        assert slept == [1] * 100
        assert [line["seconds"] for line in logs if line["event"] == "job update failed"] == slept
        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert outcome.variant_service.attempts == 1
        assert outcome.states == [VariantState.STORED] * len(STANDARD)

    def test_outage_at_the_end_waits(self) -> None:
        self.ends_after_failures(lambda outcome: outcome.repository.failures.update(advance=50))

    def ends_after_failures(self, during: Callable[[Outcome], object]) -> None:
        outcome = Outcome(ScriptedVariantService(during=lambda: during(outcome)))
        outcome.run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert outcome.repository.failures["advance"] == 0
        assert 25 <= outcome.waited <= 100

    def test_outage_while_failing_keeps_the_message(self) -> None:
        outcome = Outcome(ScriptedVariantService(Undecodable("Export it again.")))
        outcome.variant_service._during = lambda: outcome.repository.failures.update(advance=20, record=20)
        outcome.run()

        assert outcome.job == (JobStatus.FAILED, 0, "Export it again.")

    def test_stopping_worker_does_not_wait_for_the_database(self) -> None:
        outcome = Outcome(ScriptedVariantService(), record=1_000_000)

        async def stop() -> None:
            run = asyncio.create_task(outcome._run())
            await asyncio.sleep(30)
            assert outcome.job[0] is JobStatus.PROCESSING
            await eventually(run)
            assert run.cancelled()

        at_once(stop())
        assert outcome.job == (JobStatus.PENDING, 0, None)
