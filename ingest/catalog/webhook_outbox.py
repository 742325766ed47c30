"""The outbox of webhooks, in SQL. A webhook is added in the transaction of the change that it reports."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingest.catalog.database import Database, now
from ingest.catalog.queries import joined
from ingest.catalog.row_mapping import to_job, to_upload
from ingest.catalog.tables import SecondsAgo, images, webhooks
from ingest.records import Job, Upload, Webhook, WebhookStatus, WebhookType
from proxy.model import UploadId

log = structlog.get_logger()

RETENTION = timedelta(days=30)
"""The time for which a webhook that was given up is kept. Then `remove_old` removes it, because it contains data of the
upload."""
CLAIM_TIMEOUT = timedelta(seconds=25)
"""When a claimed webhook may be claimed again. Sending and recording take less, so its process must be dead."""
_MAX_COUNT = 10_000
"""Webhooks of one status that are counted, so that a count takes milliseconds whatever their number."""


class WebhookOutbox:
    """Stores webhooks until they are delivered. Raises CatalogUnavailable if the database fails.

    Every method but `add` is one transaction. `describe`: returns the JSON of `GET /images/{uploadId}`.
    """

    def __init__(self, database: Database, describe: Callable[[Upload, Job], Mapping[str, Any]]) -> None:
        self._database = database
        self._describe = describe

    async def add(self, connection: AsyncConnection, type_: WebhookType, upload_id: UploadId) -> None:
        """Adds a webhook in the transaction of `connection`, with the upload's state there.

        Adds none for an upload that was not accepted: no client has its id.
        """
        row = (await connection.execute(joined().where(images.c.upload_id == upload_id))).first()
        if row is None:
            return
        moment = await now(connection)
        document = {"type": type_, "timestamp": moment.isoformat(), "data": self._describe_row(upload_id, row)}
        values = {
            "webhook_id": str(uuid4()),
            "upload_id": upload_id,
            "type": type_,
            "body": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
            "status": WebhookStatus.PENDING,
            "attempts": 0,
            "created_at": moment,
            "due_at": moment,
        }
        await connection.execute(insert(webhooks).values(values))

    def _describe_row(self, upload_id: UploadId, row: Row[Any]) -> Mapping[str, Any]:
        try:
            return self._describe(to_upload(row), to_job(row))
        except Exception:  # a row of a newer version must not keep its job from ending, or be undeletable
            log.exception("webhook without details, row not readable", upload=upload_id)
            return {"uploadId": upload_id}

    async def claim(self, limit: int) -> list[Webhook]:
        """Claims due webhooks, the longest due first. For `CLAIM_TIMEOUT`, no other caller gets them."""
        due = (
            select(webhooks.c.webhook_id)
            .where(webhooks.c.status == WebhookStatus.PENDING, webhooks.c.due_at <= SecondsAgo(0))
            .order_by(webhooks.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)  # in Postgres; SQLite has one writer at a time anyway
            .cte("due")
        )
        claim = (
            update(webhooks)
            .where(webhooks.c.webhook_id.in_(select(due.c.webhook_id)))
            .values(attempts=webhooks.c.attempts + 1, due_at=SecondsAgo(-CLAIM_TIMEOUT.total_seconds()))
        )
        async with self._database.transaction() as connection:
            return [_to_webhook(row) for row in await connection.execute(claim.returning(webhooks, _moment()))]

    async def record_delivered(self, webhook: Webhook) -> None:
        """Removes the webhook, also if another process claimed it meanwhile."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(webhooks).where(webhooks.c.webhook_id == webhook.webhook_id))

    async def record_failure(self, webhook: Webhook, error: str, retry_in: float | None) -> None:
        """Records a failed attempt. `retry_in`: seconds until the next one; None gives the webhook up."""
        values: dict[str, Any] = {"error": error, "due_at": SecondsAgo(-(retry_in or 0))}
        if retry_in is None:
            values["status"] = WebhookStatus.FAILED
        same = (webhooks.c.webhook_id == webhook.webhook_id) & (webhooks.c.attempts == webhook.attempts)
        async with self._database.transaction() as connection:
            await connection.execute(update(webhooks).where(same).values(values))

    async def send_again(self) -> int:
        """Makes webhooks that were given up due now, for another day of attempts. Returns their number."""
        query = update(webhooks).where(webhooks.c.status == WebhookStatus.FAILED)
        moment = dict.fromkeys(("created_at", "due_at"), SecondsAgo(0))
        async with self._database.transaction() as connection:
            return (await connection.execute(query.values(status=WebhookStatus.PENDING, attempts=0, **moment))).rowcount

    async def find(self, *, upload_id: UploadId | None = None, limit: int = 100) -> list[Webhook]:
        """Returns webhooks that are not delivered, the latest first: those of `upload_id`, or else those given up."""
        query = select(webhooks, _moment()).order_by(webhooks.c.due_at.desc()).limit(limit)
        if upload_id is None:
            query = query.where(webhooks.c.status == WebhookStatus.FAILED)
        else:
            query = query.where(webhooks.c.upload_id == upload_id)
        async with self._database.transaction() as connection:
            return [_to_webhook(row) for row in await connection.execute(query)]

    async def count(self) -> dict[WebhookStatus, int]:
        """Counts webhooks that are not delivered, by status, each up to 10,000."""
        some = {
            status: select(webhooks.c.webhook_id).where(webhooks.c.status == status).limit(_MAX_COUNT)
            for status in WebhookStatus
        }
        counts = [select(func.count()).select_from(query.subquery()).scalar_subquery() for query in some.values()]
        async with self._database.transaction() as connection:
            return dict(zip(some, (await connection.execute(select(*counts))).one(), strict=True))


async def remove_old(database: Database, *, dry_run: bool = False) -> int:
    """Removes webhooks, given up or not sent, that became due more than `RETENTION` ago. Works without WEBHOOK_URL.

    Returns their number. `dry_run`: only counts them. Raises CatalogUnavailable.
    """
    old = webhooks.c.due_at < SecondsAgo(RETENTION.total_seconds())
    async with database.transaction() as connection:
        if dry_run:
            return (await connection.execute(select(func.count()).select_from(webhooks).where(old))).scalar_one()
        return (await connection.execute(delete(webhooks).where(old))).rowcount


def _moment() -> Any:
    return SecondsAgo(0).label("moment")


def _to_webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        str(row.webhook_id),
        UploadId(str(row.upload_id)),
        WebhookType(row.type),
        row.body,
        WebhookStatus(row.status),
        row.attempts,
        row.error,
        row.created_at,
        row.moment - row.created_at,
    )
