"""Warm-ups while the database is unavailable."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from ingest.records import JobStatus, VariantState
from proxy.errors import (
    Undecodable,
)
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.jobs.warm_up_outcome import STANDARD, Outcome
from tests.unit.ingest.tasks import at_once, cancel_and_wait


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
        failures = [line for line in logs if line["event"] == "job update failed"]
        assert [line["retry_in"] for line in failures] == slept
        assert {line["upload"] for line in failures} == {outcome.upload.upload_id}
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
