"""Webhooks that are not delivered, as JSON."""

from typing import Any

from ingest.ingest_services import Access, open_services
from ingest.records import Webhook
from proxy.settings import Settings, SettingsError


async def show_webhooks(settings: Settings, *, retry: bool = False) -> dict[str, Any]:
    """Returns how many webhooks are not delivered, and the latest 100 of those that were given up.

    `retry`: makes those that were given up due again, first. Raises SettingsError without WEBHOOK_URL, and
    CatalogUnavailable.
    """
    async with open_services(settings, access=Access.UNVERIFIED, retrying=False) as services:
        outbox = services.outbox
        if outbox is None:
            raise SettingsError("WEBHOOK_URL: it is not set, so there are no webhooks.")
        retried = await outbox.send_again() if retry else 0
        counts = {status.value: number for status, number in (await outbox.count()).items()}
        return {"retried": retried, **counts, "webhooks": [describe(webhook) for webhook in await outbox.find()]}


def describe(webhook: Webhook) -> dict[str, Any]:
    """Returns the webhook as JSON, without its body."""
    return {
        "webhookId": webhook.webhook_id,
        "type": webhook.type,
        "uploadId": webhook.upload_id,
        "status": webhook.status,
        "attempts": webhook.attempts,
        "error": webhook.error,
        "createdAt": webhook.created_at.isoformat(),
    }
