"""Warm-ups whose attempts fail. In virtual time, because retries wait up to half a minute."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.warm_up import WarmUp, waiting_variants
from ingest.records import JobStatus, VariantState
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
from proxy.model import Visibility
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.jobs.warm_up_outcome import STANDARD, Outcome
from tests.unit.ingest.tasks import at_once, cancel_and_wait

PASSING = [StoreUnavailable("s"), Overloaded("o"), RenderFailed("r"), DerivationTimeout("d")]


class TestWhatMayPass:
    @pytest.mark.parametrize("error", PASSING, ids=lambda error: error.code)
    def test_retryable_error_is_retried_to_complete(self, error: ServiceError) -> None:
        with capture_logs() as logs:
            outcome = Outcome(ScriptedVariantService(error)).run()

        assert outcome.ended is JobStatus.COMPLETE
        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert outcome.variant_service.attempts == 2
        assert outcome.variant_service.deleted == []
        [seconds] = [entry["retry_in"] for entry in logs if entry["event"] == "warm-up retry scheduled"]
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

    def test_final_attempt_of_the_queue_fails_the_job(self) -> None:
        outcome = Outcome(ScriptedVariantService(StoreUnavailable("s")))
        warmup = WarmUp(outcome.repository, outcome.variant_service, SIZES)

        assert at_once(warmup.run(Delivery(outcome.upload.upload_id, final_attempt=True))) is JobStatus.FAILED
        assert outcome.variant_service.attempts == 1

    def test_job_whose_last_attempt_ended_with_its_process_fails_without_another(self) -> None:
        upload = accepted(format="png")
        variants = waiting_variants(upload.upload_id, STANDARD)
        variants["tiny.jpg"] = replace(variants["tiny.jpg"], state=VariantState.STORED, bytes=1000)
        outcome = Outcome(ScriptedVariantService(), upload=replace(upload, variants=variants))
        outcome.repository.attempts[upload.upload_id] = 6

        outcome.run()

        assert outcome.job == (JobStatus.FAILED, 0, "The warm-up was stopped: its worker crashed several times.")
        assert outcome.variant_service.attempts == 0
        assert outcome.variant_service.deleted == [STANDARD[0]]

    def test_failed_job_that_is_run_again_has_six_attempts(self) -> None:
        outcome = Outcome(ScriptedVariantService(*[StoreUnavailable("s")] * 12))

        assert outcome.run().ended is JobStatus.FAILED
        assert outcome.run(force=True).ended is JobStatus.FAILED
        assert outcome.variant_service.attempts == 12

    def test_interrupted_attempts_do_not_count(self) -> None:
        outcome = Outcome(ScriptedVariantService(), record=1_000_000)

        async def stop() -> None:
            for _ in range(7):
                run = asyncio.create_task(outcome._run())
                await asyncio.sleep(1)
                await cancel_and_wait(run)
                assert outcome.job[0] is JobStatus.PENDING

        at_once(stop())
        outcome.repository.failures.clear()

        assert outcome.run().ended is JobStatus.COMPLETE

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

    @pytest.mark.parametrize("force", [False, True])
    def test_variants_of_a_private_upload_that_are_removed_wait_again(self, force: bool) -> None:
        private = [replace(variant, visibility=Visibility.PRIVATE) for variant in STANDARD]
        upload = accepted(visibility=Visibility.PRIVATE)
        variants = waiting_variants(upload.upload_id, private)
        variants["tiny.jpg"] = replace(variants["tiny.jpg"], state=VariantState.STORED, bytes=1000)
        outcome = Outcome(
            ScriptedVariantService(Undecodable("d"), after=3), upload=replace(upload, variants=variants)
        ).run(force=force)

        assert set(outcome.variant_service.deleted) == set(private[:3])
        assert outcome.states == [VariantState.WAITING] * len(STANDARD)

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
