"""Retries of a job: their pauses and deliveries. The clock does not move."""

import pytest
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.deliver import deliver
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import JobStatus
from proxy.model import new_upload_id

ID = new_upload_id()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause before a retry, in order. The pauses take no time."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)

    monkeypatch.setattr("ingest.jobs.deliver.sleep", sleep)
    return seconds


class Handler:
    """Fails the given number of times, the n-th time with a pause of n + 0.5 seconds. Records deliveries."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self.given: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> JobStatus:
        self.given.append(delivery)
        if len(self.given) <= self._failures:
            raise TryAgain("not yet", len(self.given) + 0.5)
        return JobStatus.COMPLETE


async def test_success_is_not_retried(slept: list[float]) -> None:
    handler = Handler(0)

    assert await deliver(handler, ID) is JobStatus.COMPLETE
    assert [(one.upload_id, one.final_attempt, one.exclusive, one.force) for one in handler.given] == [
        (ID, False, False, False)
    ]
    assert slept == []


async def test_failed_attempts_are_retried_after_the_requested_pause(slept: list[float]) -> None:
    assert await deliver(Handler(7), ID) is JobStatus.COMPLETE
    assert slept == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]


async def test_each_retry_is_logged_once_with_its_reason_and_delay(slept: list[float]) -> None:
    with capture_logs() as logs:
        await deliver(Handler(2), ID)

    line = {"event": "warm-up retry scheduled", "log_level": "warning", "upload": ID, "error": "not yet"}
    assert logs == [line | {"retry_in": seconds} for seconds in (1.5, 2.5)]
    assert slept == [1.5, 2.5]


async def test_force_is_passed_to_every_attempt(slept: list[float]) -> None:
    handler = Handler(2)

    await deliver(handler, ID, force=True)

    assert [one.force for one in handler.given] == [True] * 3
    assert len(slept) == 2


@pytest.mark.parametrize("error", [CatalogUnavailable("away"), RuntimeError("a defect")])
async def test_other_exceptions_are_not_retried(slept: list[float], error: Exception) -> None:
    async def handler(_delivery: Delivery) -> JobStatus:
        raise error

    with pytest.raises(type(error)):
        await deliver(handler, ID)
    assert slept == []
