"""Warm-ups whose attempts fail. In virtual time, because retries wait up to half a minute."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.deliver import deliver
from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.warm_up import WarmUp, waiting_variants
from ingest.records import JobStatus, Upload, VariantState, WarmedVariant
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
from proxy.model import Fit, Format, Size, Sizes
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once, cancel_and_wait
from tests.virtual_time import VirtualTimeLoop

STANDARD = SIZES.variants  # of an upload of which no alpha is recorded
OPAQUE = SIZES.standard(alpha=False)
PASSING = [StoreUnavailable("s"), Overloaded("o"), RenderFailed("r"), DerivationTimeout("d")]


class Outcome:
    """Runs one warm-up of a new upload and keeps everything observable."""

    def __init__(
        self,
        variant_service: ScriptedVariantService,
        *,
        upload: Upload | None = None,
        sizes: Sizes = SIZES,
        **failures: int,
    ) -> None:
        self.upload: Upload = upload or accepted()
        self.sizes = sizes
        self.variant_service = variant_service
        self.repository = MemoryRepository(self.upload)
        self.repository.failures.update(failures)
        self.ended: JobStatus | None = None
        self.waited = 0.0

    def run(self, *, force: bool = False) -> "Outcome":
        at_once(self._run(force=force))
        return self

    async def _run(self, *, force: bool = False) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        warmup = WarmUp(self.repository, self.variant_service, self.sizes)
        self.ended = await deliver(warmup.run, self.upload.upload_id, force=force)
        self.waited = loop.skipped

    @property
    def job(self) -> tuple[JobStatus, int, str | None]:
        upload_id = self.upload.upload_id
        return self.repository.status[upload_id], self.repository.progress[upload_id], self.repository.errors[upload_id]

    @property
    def variants(self) -> dict[str, WarmedVariant]:
        return self.repository.uploads[self.upload.upload_id].variants

    @property
    def states(self) -> list[VariantState]:
        return [self.variants[variant.name].state for variant in STANDARD]

    @property
    def milliseconds(self) -> list[float | None]:
        return [self.variants[variant.name].milliseconds for variant in STANDARD]


def test_time_is_recorded_in_milliseconds() -> None:
    outcome = Outcome(ScriptedVariantService()).run()

    assert outcome.milliseconds == [250.0] * len(STANDARD)
    assert outcome.repository.recorded == [12, 25, 37, 50, 62, 75, 87, 100]


@pytest.mark.parametrize("force", [False, True])
def test_warm_up_without_standard_variants_completes(force: bool) -> None:
    outcome = Outcome(ScriptedVariantService(), sizes=Sizes(Size("tiny", 24, 24, Fit.COVER, warm=())))

    outcome.run(force=force)

    assert outcome.job == (JobStatus.COMPLETE, 100, None)
    assert outcome.variants == {}
    assert outcome.variant_service.stored == set()


class TestJobOfAnotherVersionOrOtherSettings:
    """Its row lists every variant. The JPEGs and the first PNG are stored; two thirds are recorded as done."""

    STORED = (*(variant for variant in STANDARD if variant.format is Format.JPG), STANDARD[1])

    def outcome(self, *script: Exception, sizes: Sizes = SIZES) -> Outcome:
        upload = accepted(format="png", alpha=False)
        variants = waiting_variants(upload.upload_id, STANDARD)
        for number, variant in enumerate(self.STORED):
            known = variants[variant.name]
            variants[variant.name] = replace(known, state=VariantState.STORED, bytes=1000 + number, milliseconds=3.5)
        outcome = Outcome(
            ScriptedVariantService(*script, after=3), upload=replace(upload, variants=variants), sizes=sizes
        )
        outcome.variant_service.stored = set(self.STORED)
        outcome.repository.progress[upload.upload_id] = 66
        return outcome

    def test_resumed_job_derives_standard_variants_and_keeps_stored_ones(self) -> None:
        outcome = self.outcome().run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert outcome.variant_service.stored == {*OPAQUE, STANDARD[1]}
        assert set(outcome.variants) == {*(variant.name for variant in OPAQUE), "tiny.png"}
        assert {known.state for known in outcome.variants.values()} == {VariantState.STORED}
        assert outcome.repository.recorded == [66, 66, 66, 83, 100]

    def test_resumed_job_that_fails_removes_all_that_it_stored(self) -> None:
        outcome = self.outcome(Undecodable("Export it again.")).run()

        assert outcome.job == (JobStatus.FAILED, 0, "Export it again.")
        assert set(outcome.variant_service.deleted) == {*OPAQUE[:3], *self.STORED}
        assert set(outcome.variants) == {variant.name for variant in OPAQUE}
        assert {known.state for known in outcome.variants.values()} == {VariantState.WAITING}

    def test_repeated_job_that_fails_removes_only_what_it_made(self) -> None:
        outcome = self.outcome(Undecodable("Export it again."))
        outcome.repository.status[outcome.upload.upload_id] = JobStatus.COMPLETE

        outcome.run(force=True)

        assert outcome.variant_service.deleted == [OPAQUE[1], OPAQUE[2]]
        stored = {name for name, known in outcome.variants.items() if known.state is VariantState.STORED}
        assert stored == {variant.name for variant in self.STORED}
        assert set(outcome.variants) == {*(variant.name for variant in OPAQUE), "tiny.png"}

    def test_variants_of_a_removed_size_are_forgotten(self) -> None:
        outcome = self.outcome(sizes=Sizes(SIZES["small"])).run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert set(outcome.variants) == {"small.jpg", "small.webp", "small.avif"}

    def test_job_completes_if_no_variant_is_standard_any_more(self) -> None:
        outcome = self.outcome(sizes=Sizes(*(replace(size, warm=()) for size in SIZES.values()))).run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert set(outcome.variants) == {variant.name for variant in self.STORED}
        assert outcome.variant_service.deleted == []


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
    @pytest.mark.parametrize("method", ["find", "advance"])
    def test_outage_before_claim_leaves_job_pending(self, method: str) -> None:
        outcome = Outcome(ScriptedVariantService(), **{method: 1})

        with pytest.raises(CatalogUnavailable):
            outcome.run()

        assert outcome.job == (JobStatus.PENDING, 0, None)
        assert outcome.variant_service.attempts == 0

    def test_outage_while_recording_waits_without_deriving_twice(self, slept: list[float]) -> None:
        with capture_logs() as logs:
            outcome = Outcome(ScriptedVariantService(), record=100).run()

        assert slept == [1] * 100
        assert [line["retry_in"] for line in logs if line["event"] == "job update failed"] == slept
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
            await cancel_and_wait(run)
            assert run.cancelled()

        at_once(stop())
        assert outcome.job == (JobStatus.PENDING, 0, None)
