"""A webhook to send, its sender, and why it is not delivered."""

from base64 import b64encode

import pytest

from ingest.webhooks.webhook_sender import NotDelivered, WebhookSender
from tests.receiver import Receiver

ONE, OTHER = ("whsec_" + b64encode(bytes([number]) * 32).decode() for number in (1, 2))
ID = "0b9e1d0c-7d0e-4a7c-9a0c-7b1d9f0f6a55"
BODY = '{"type":"image.ready","data":{"metadata":{"name":"Zoë"}}}'


def sender_to(receiver: Receiver, *secrets: str) -> WebhookSender:
    return WebhookSender(receiver.url, secrets or (ONE,), allow_private=True)


async def refusal(sender: WebhookSender) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await sender.send(ID, BODY)
    return caught.value
