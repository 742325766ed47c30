"""The outbox of webhooks: written with the change that it reports, claimed by one process at a time."""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import SecondsAgo, images, webhooks
from ingest.catalog.webhook_outbox import CLAIM_TIMEOUT, RETENTION, WebhookOutbox, remove_old
from ingest.records import Job, JobNotClaimable, Upload, Webhook, WebhookStatus, WebhookType
from proxy.model import new_upload_id
from tests.contracts.uploads import COMPLETE, FAILED, PENDING, PROCESSING, accept_upload

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY, GIVEN_UP, DELETED = WebhookType


def describe(upload: Upload, job: Job) -> dict[str, Any]:
    return {"uploadId": upload.upload_id, "status": job.status}


@pytest.fixture
def outbox(database: Database) -> WebhookOutbox:
    return WebhookOutbox(database, describe)


@pytest.fixture
def repository(database: Database, outbox: WebhookOutbox) -> JobRepository:
    return JobRepository(database, outbox)


async def let_pass(outbox: WebhookOutbox, passed: timedelta) -> None:
    values = dict.fromkeys(("created_at", "due_at"), SecondsAgo(passed.total_seconds()))
    async with outbox._database.transaction() as connection:
        await connection.execute(update(webhooks).values(values))


def told(found: Iterable[Webhook]) -> list[tuple[WebhookType, str]]:
    return [(webhook.type, json.loads(webhook.body)["data"]["status"]) for webhook in found]


class TestAdded:
    @pytest.mark.parametrize(("status", "type_"), [(COMPLETE, READY), (FAILED, GIVEN_UP)])
    async def test_job_that_ends_adds_a_webhook(
        self, repository: JobRepository, outbox: WebhookOutbox, status: Any, type_: WebhookType
    ) -> None:
        upload_id = await accept_upload(repository, status)

        [webhook] = await outbox.find(upload_id=upload_id)
        assert (webhook.type, webhook.upload_id, webhook.status) == (type_, upload_id, WebhookStatus.PENDING)
        assert (webhook.attempts, webhook.error) == (0, None)
        document = json.loads(webhook.body)
        assert document == {
            "type": type_,
            "timestamp": webhook.created_at.isoformat(),
            "data": {"uploadId": upload_id, "status": status},
        }

    @pytest.mark.parametrize("status", [PENDING, PROCESSING])
    async def test_job_that_continues_adds_no_webhook(
        self, repository: JobRepository, outbox: WebhookOutbox, status: Any
    ) -> None:
        upload_id = await accept_upload(repository, status)

        assert await outbox.find(upload_id=upload_id) == []

    async def test_repeated_result_adds_no_webhook(self, repository: JobRepository, outbox: WebhookOutbox) -> None:
        upload_id = await accept_upload(repository, COMPLETE)
        await repository.advance(upload_id, expect=COMPLETE, to=PROCESSING)
        await repository.advance(upload_id, expect=PROCESSING, to=COMPLETE, sends_webhook=False)

        assert told(await outbox.find(upload_id=upload_id)) == [(READY, COMPLETE)]

    async def test_transition_that_is_refused_adds_none(self, repository: JobRepository, outbox: WebhookOutbox) -> None:
        upload_id = await accept_upload(repository, PROCESSING)

        with pytest.raises(JobNotClaimable):
            await repository.advance(upload_id, expect=PROCESSING, to=COMPLETE, worker="another")

        assert await outbox.find(upload_id=upload_id) == []

    async def test_repeated_deletion_adds_one_webhook(self, repository: JobRepository, outbox: WebhookOutbox) -> None:
        upload_id = await accept_upload(repository, PENDING)

        deleted = await asyncio.gather(*(repository.delete(upload_id) for _ in range(4)))

        assert deleted.count(True) == 1
        assert told(await outbox.find(upload_id=upload_id)) == [(DELETED, PENDING)]

    async def test_deletion_of_an_upload_never_accepted_adds_no_webhook(
        self, repository: JobRepository, outbox: WebhookOutbox
    ) -> None:
        await repository.begin(upload_id := new_upload_id())

        assert await repository.delete(upload_id)
        assert not await repository.delete(new_upload_id())

        assert await outbox.claim(10) == []

    async def test_deletion_of_an_unreadable_row_adds_a_webhook_with_the_id(
        self, repository: JobRepository, outbox: WebhookOutbox, database: Database
    ) -> None:
        upload_id = await accept_upload(repository, PENDING)
        async with database.transaction() as connection:
            await connection.execute(update(images).values(variants={"small.jpg": {"state": "of a newer version"}}))

        assert await repository.delete(upload_id)

        [webhook] = await outbox.claim(10)
        assert (webhook.type, json.loads(webhook.body)["data"]) == (DELETED, {"uploadId": upload_id})

    async def test_without_an_outbox_nothing_is_added(self, database: Database, outbox: WebhookOutbox) -> None:
        plain = JobRepository(database)
        await plain.delete(await accept_upload(plain, COMPLETE))

        assert await outbox.claim(10) == []


class TestClaimed:
    async def test_each_webhook_is_claimed_once_the_longest_due_first(
        self, repository: JobRepository, outbox: WebhookOutbox
    ) -> None:
        ids = [await accept_upload(repository, COMPLETE) for _ in range(12)]

        first = await outbox.claim(2)
        claims = await asyncio.gather(*(outbox.claim(5) for _ in range(4)))

        assert sorted(webhook.upload_id for webhook in first) == sorted(ids[:2])
        got = [webhook for claim in (first, *claims) for webhook in claim]
        assert sorted(webhook.upload_id for webhook in got) == sorted(set(ids))
        assert {webhook.attempts for webhook in got} == {1}
        assert await outbox.claim(5) == []

    async def test_webhook_of_a_dead_process_is_claimed_again(
        self, repository: JobRepository, outbox: WebhookOutbox
    ) -> None:
        await accept_upload(repository, COMPLETE)
        [claimed] = await outbox.claim(10)
        assert claimed.age < timedelta(seconds=30)
        await let_pass(outbox, -CLAIM_TIMEOUT / 2)  # as its claim left it
        assert await outbox.claim(10) == []
        await let_pass(outbox, timedelta(seconds=1))

        [again] = await outbox.claim(10)

        assert (again.webhook_id, again.attempts) == (claimed.webhook_id, 2)

    async def test_delivered_webhook_is_removed(self, repository: JobRepository, outbox: WebhookOutbox) -> None:
        upload_id = await accept_upload(repository, COMPLETE)
        [claimed] = await outbox.claim(10)

        await outbox.record_delivered(claimed)

        assert await outbox.find(upload_id=upload_id) == []
        assert await outbox.count() == {WebhookStatus.PENDING: 0, WebhookStatus.FAILED: 0}

    async def test_failed_attempt_is_repeated_when_due(self, repository: JobRepository, outbox: WebhookOutbox) -> None:
        upload_id = await accept_upload(repository, COMPLETE)
        [claimed] = await outbox.claim(10)
        await outbox.record_failure(claimed, "The receiver answered 500.", retry_in=60)
        assert await outbox.claim(10) == []
        [waiting] = await outbox.find(upload_id=upload_id)
        assert (waiting.status, waiting.error) == (WebhookStatus.PENDING, "The receiver answered 500.")
        await outbox.record_failure(claimed, "The receiver answered 500.", retry_in=0)

        [again] = await outbox.claim(10)

        assert again.attempts == 2
        await outbox.record_failure(claimed, "too late, of an attempt before", retry_in=None)
        [found] = await outbox.find(upload_id=upload_id)
        assert (found.status, found.error) == (WebhookStatus.PENDING, "The receiver answered 500.")


class TestGivenUp:
    async def test_webhook_that_is_given_up_waits_to_be_sent_again(
        self, repository: JobRepository, outbox: WebhookOutbox
    ) -> None:
        ids = [await accept_upload(repository, COMPLETE) for _ in range(3)]
        for claimed in await outbox.claim(2):
            await outbox.record_failure(claimed, "The receiver answered 410.", retry_in=None)
        assert await outbox.count() == {WebhookStatus.PENDING: 1, WebhookStatus.FAILED: 2}
        assert {webhook.upload_id for webhook in await outbox.find()} == set(ids[:2])
        await let_pass(outbox, timedelta(days=2))
        assert [webhook.upload_id for webhook in await outbox.claim(10)] == [ids[2]]

        assert await outbox.send_again() == 2

        again = await outbox.claim(10)
        assert {webhook.upload_id for webhook in again} == set(ids[:2])
        assert {webhook.attempts for webhook in again} == {1}
        assert max(webhook.age for webhook in again) < timedelta(seconds=60)

    async def test_unsent_webhook_is_removed_after_a_month(
        self, repository: JobRepository, outbox: WebhookOutbox, database: Database
    ) -> None:
        for _ in range(2):
            await accept_upload(repository, COMPLETE)
        [claimed] = await outbox.claim(1)
        await outbox.record_failure(claimed, "The receiver answered 410.", retry_in=None)
        await let_pass(outbox, RETENTION - timedelta(minutes=1))
        assert await remove_old(database) == 0
        await let_pass(outbox, RETENTION + timedelta(minutes=1))
        assert await remove_old(database, dry_run=True) == 2  # the other one as well: nobody sends it any more
        await accept_upload(repository, COMPLETE)

        assert await remove_old(database) == 2

        assert await outbox.count() == {WebhookStatus.PENDING: 1, WebhookStatus.FAILED: 0}
