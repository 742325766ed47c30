"""Retries of a job: their delays and deliveries. In virtual time."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from ingest.ingest_errors import CatalogUnavailable
from ingest.jobs.queue.deliver import DELAYS, deliver
from ingest.jobs.queue.warm_up_queue import Delivery, TryAgain
from ingest.records import JobStatus
from proxy.model import new_upload_id
from tests.unit.ingest.tasks import at_once

ID = new_upload_id()


class Handler:
    """Fails the given number of times. Records deliveries and their times."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self.given: list[Delivery] = []
        self.moments: list[float] = []

    async def __call__(self, delivery: Delivery) -> JobStatus:
        self.given.append(delivery)
        self.moments.append(asyncio.get_running_loop().time())
        if len(self.given) <= self._failures:
            raise TryAgain("not yet")
        return JobStatus.COMPLETE

    @property
    def pauses(self) -> list[float]:
        return [later - sooner for sooner, later in pairwise(self.moments)]


def test_success_is_not_retried() -> None:
    handler = Handler(0)

    assert at_once(deliver(handler, ID)) is JobStatus.COMPLETE
    assert [(one.upload_id, one.final_attempt, one.exclusive, one.force) for one in handler.given] == [
        (ID, False, False, False)
    ]


def test_delays_grow() -> None:
    handler = Handler(3)

    assert at_once(deliver(handler, ID)) is JobStatus.COMPLETE
    assert_about(handler.pauses, [1, 2, 4])


def assert_about(pauses: list[float], delays: Sequence[float]) -> None:
    assert len(pauses) == len(delays)
    for pause, delay in zip(pauses, delays, strict=True):
        assert 0.74 * delay <= pause <= 1.26 * delay


def test_delays_are_randomised() -> None:
    handlers = [Handler(1) for _ in range(10)]

    for handler in handlers:
        at_once(deliver(handler, ID))

    assert len({handler.pauses[0] for handler in handlers}) > 5


def test_only_the_last_attempt_is_final() -> None:
    handler = Handler(5)

    assert at_once(deliver(handler, ID)) is JobStatus.COMPLETE
    assert [one.final_attempt for one in handler.given] == [False] * 5 + [True]
    assert_about(handler.pauses, DELAYS)
    assert sum(DELAYS) == 31


def test_force_is_passed_to_every_attempt() -> None:
    handler = Handler(5)

    at_once(deliver(handler, ID, force=True))

    assert [one.force for one in handler.given] == [True] * 6


@pytest.mark.parametrize("error", [CatalogUnavailable("away"), RuntimeError("a defect")])
def test_other_exceptions_are_not_retried(error: Exception) -> None:
    async def handler(_delivery: Delivery) -> JobStatus:
        raise error

    with pytest.raises(type(error)):
        at_once(deliver(handler, ID))
