"""Sends what waits in the outbox. Runs in every worker and in every server with ingest's role."""

import asyncio

import structlog

from ingest.catalog.webhook_outbox import WebhookOutbox
from ingest.records import Webhook
from ingest.webhooks.webhook_sender import NotDelivered, WebhookSender
from proxy.errors import Unavailable
from proxy.retries import randomise
from proxy.settings import Settings
from proxy.telemetry import Metrics

log = structlog.get_logger()

BATCH = 20
"""Webhooks that are sent at the same moment."""
GIVEN_UP_AFTER = 24 * 3600
"""Seconds after which a webhook is not sent again."""
_POLL_SECONDS = 1.0
_FIRST_DELAY, _LONGEST_DELAY = 5.0, 2 * 3600.0


class WebhookWorker:
    """Sends each webhook until it was accepted, or for a day. Several processes may run a worker: they share the work.

    A webhook is sent again if its process dies before the outbox has recorded the delivery: its id is then the same.
    """

    def __init__(self, outbox: WebhookOutbox, sender: WebhookSender, metrics: Metrics) -> None:
        self._outbox = outbox
        self._sender = sender
        self._metrics = metrics

    async def run(self) -> None:
        """Sends webhooks until cancelled."""
        while True:
            try:
                while await self.send_due():
                    pass
            except Unavailable as error:
                log.warning("webhooks interrupted", error=str(error), retry_in=_POLL_SECONDS)
            except Exception:  # this loop must not end
                log.exception("unhandled error while sending webhooks")
            await asyncio.sleep(_POLL_SECONDS)

    async def send_due(self) -> bool:
        """Sends a batch of webhooks that are due. Returns whether one was accepted. Raises CatalogUnavailable.

        A receiver that accepts none is left alone until the next poll.
        """
        webhooks = await self._outbox.claim(BATCH)
        results = await asyncio.gather(*map(self._send, webhooks), return_exceptions=True)  # leaves none running
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return any(results)

    async def _send(self, webhook: Webhook) -> bool:
        try:
            await self._sender.send(webhook.webhook_id, webhook.body)
        except NotDelivered as reason:
            await self._record_failure(webhook, reason)
            return False
        self._metrics.webhook_attempts.labels("delivered").inc()
        await self._outbox.record_delivered(webhook)
        return True

    async def _record_failure(self, webhook: Webhook, reason: NotDelivered) -> None:
        fields = {
            "webhook": webhook.webhook_id,
            "type": webhook.type,
            "upload": webhook.upload_id,
            "error": str(reason),
        }
        delay = max(retry_delay(webhook.attempts), reason.retry_after)
        if reason.is_final or webhook.age.total_seconds() + delay > GIVEN_UP_AFTER:
            self._metrics.webhook_attempts.labels("failed").inc()
            log.error("webhook given up", **fields)
            await self._outbox.record_failure(webhook, str(reason), retry_in=None)
            return
        self._metrics.webhook_attempts.labels("retried").inc()
        log.warning("webhook not delivered", **fields, retry_in=round(delay))
        await self._outbox.record_failure(webhook, str(reason), retry_in=delay)


def open_webhook_worker(settings: Settings, outbox: WebhookOutbox, metrics: Metrics) -> WebhookWorker:
    """Returns a worker. `settings` must have a WEBHOOK_URL."""
    assert settings.webhook_url
    secrets = [secret.get_secret_value() for secret in settings.webhook_secret]
    sender = WebhookSender(
        settings.webhook_url, secrets, allow_private=settings.webhook_allow_private, concurrency=BATCH
    )
    return WebhookWorker(outbox, sender, metrics)


def retry_delay(attempts: int) -> float:
    """Returns the seconds until the next attempt: 5, 20, 80, ... up to two hours, each up to a quarter more or less."""
    return randomise(min(_LONGEST_DELAY, _FIRST_DELAY * 4 ** min(attempts - 1, 10)))
