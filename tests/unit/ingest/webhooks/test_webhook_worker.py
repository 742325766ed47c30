"""Which webhooks are sent again, and for how long."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.webhook_outbox import WebhookOutbox
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import Webhook, WebhookStatus
from ingest.webhooks import webhook_worker
from ingest.webhooks.webhook_sender import NotDelivered, WebhookSender
from ingest.webhooks.webhook_worker import WebhookWorker, retry_delay
from proxy.telemetry import Metrics
from tests.contracts.job_repository.test_webhook_outbox import describe, let_pass
from tests.contracts.uploads import COMPLETE, accept_upload
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PENDING, FAILED = WebhookStatus


class ScriptedSender(WebhookSender):
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.errors: list[NotDelivered] = []

    async def send(self, webhook_id: str, body: str) -> None:
        self.sent.append(webhook_id)
        if self.errors:
            raise self.errors.pop(0)


class Sending:
    """A worker with its outbox, sender and metrics."""

    def __init__(self, database: Database) -> None:
        self.outbox = WebhookOutbox(database, describe)
        self.repository = JobRepository(database, self.outbox)
        self.sender = ScriptedSender()
        self.metrics = Metrics()
        self.worker = WebhookWorker(self.outbox, self.sender, self.metrics)

    def outcomes(self) -> dict[str, float]:
        outcomes = ("delivered", "retried", "failed")
        value = self.metrics.registry.get_sample_value
        return {outcome: value("darkroom_webhook_attempts_total", {"outcome": outcome}) or 0 for outcome in outcomes}


@pytest.fixture
def sending(database: Database) -> Sending:
    return Sending(database)


async def test_accepted_webhooks_are_sent_once(sending: Sending) -> None:
    for _ in range(3):
        await accept_upload(sending.repository, COMPLETE)

    assert await sending.worker.send_due() is True
    assert await sending.worker.send_due() is False

    assert len(set(sending.sender.sent)) == len(sending.sender.sent) == 3
    assert sending.outcomes() == {"delivered": 3, "retried": 0, "failed": 0}
    assert await sending.outbox.count() == {PENDING: 0, FAILED: 0}


async def test_outage_while_recording_leaves_no_other_webhook_half_sent(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await accept_upload(sending.repository, COMPLETE)
    record, troubles = sending.outbox.record_delivered, [CatalogUnavailable("The database failed.")]

    async def record_with_trouble(webhook: Webhook) -> None:
        if troubles:
            raise troubles.pop()
        await asyncio.sleep(0.05)
        await record(webhook)

    monkeypatch.setattr(sending.outbox, "record_delivered", record_with_trouble)

    with pytest.raises(CatalogUnavailable):
        await sending.worker.send_due()

    assert await sending.outbox.count() == {PENDING: 1, FAILED: 0}


async def test_receiver_that_accepts_none_is_left_alone_until_the_next_poll(sending: Sending) -> None:
    for _ in range(2):
        await accept_upload(sending.repository, COMPLETE)
    sending.sender.errors = [NotDelivered("The receiver answered 500.")] * 2

    assert await sending.worker.send_due() is False

    assert sending.outcomes() == {"delivered": 0, "retried": 2, "failed": 0}


async def test_webhook_that_is_not_accepted_is_sent_again_with_the_same_id(sending: Sending) -> None:
    upload_id = await accept_upload(sending.repository, COMPLETE)
    sending.sender.errors = [NotDelivered("The receiver answered 500.")]
    await sending.worker.send_due()
    [waiting] = await sending.outbox.find(upload_id=upload_id)
    assert (waiting.status, waiting.error) == (PENDING, "The receiver answered 500.")
    await let_pass(sending.outbox, timedelta(seconds=7))

    await sending.worker.send_due()

    assert sending.sender.sent == [waiting.webhook_id] * 2
    assert await sending.outbox.find(upload_id=upload_id) == []


@pytest.mark.parametrize(
    ("age", "error", "status"),
    [
        (timedelta(hours=23), NotDelivered("late"), PENDING),
        (timedelta(hours=24), NotDelivered("late"), FAILED),
        (timedelta(hours=23, minutes=30), NotDelivered("late", retry_after=3600), FAILED),
        (timedelta(0), NotDelivered("The receiver answered 410.", is_final=True), FAILED),
    ],
    ids=["within a day", "after a day", "next attempt after a day", "unwanted"],
)
async def test_webhook_is_given_up_after_a_day_or_a_410(
    sending: Sending, age: timedelta, error: NotDelivered, status: WebhookStatus
) -> None:
    upload_id = await accept_upload(sending.repository, COMPLETE)
    await let_pass(sending.outbox, age)
    sending.sender.errors = [error]

    with capture_logs() as logs:
        await sending.worker.send_due()

    [found] = await sending.outbox.find(upload_id=upload_id)
    assert (found.status, found.error) == (status, str(error))
    level = "error" if status is FAILED else "warning"
    assert [(entry["log_level"], entry["upload"], entry["error"]) for entry in logs] == [(level, upload_id, str(error))]


async def test_worker_goes_on_after_an_outage_and_an_unexpected_error(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_worker, "_POLL_SECONDS", 0.01)
    claim, troubles = sending.outbox.claim, [CatalogUnavailable("The database failed."), KeyError("a bug")]

    async def claim_with_trouble(limit: int) -> object:
        if troubles:
            raise troubles.pop()
        return await claim(limit)

    monkeypatch.setattr(sending.outbox, "claim", claim_with_trouble)
    await accept_upload(sending.repository, COMPLETE)
    running = asyncio.create_task(sending.worker.run())

    async def is_sent() -> bool:
        return sending.outcomes()["delivered"] == 1

    await until(is_sent)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert troubles == []


async def test_delays_grow_from_seconds_to_two_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 1.0)

    assert [retry_delay(attempts) for attempts in (1, 2, 3, 6, 7, 1000)] == [5, 20, 80, 5120, 7200, 7200]
