"""Tickets, and uploads with them."""

from collections.abc import Mapping
from typing import Any

import httpx

from ingest.uploads.upload_tokens import UploadTokens
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.web.conftest import NEW, Service

ADMIN = {"authorization": "Bearer 0123456789abcdef"}
FIELDS = {"owner": "Zoë", "externalId": "7", "metadata": {"a": [1]}, "focus": "0.3,0.7"}


def ticket(lifetime: int = 600, key: str = NEW, **claims: Any) -> dict[str, str]:
    """Headers with a new ticket."""
    return {"authorization": f"Bearer {UploadTokens([key]).sign_ticket(claims, lifetime)[0]}"}


async def send(
    service: Service, headers: Mapping[str, str], form: Mapping[str, str] | None = None, file: bytes | None = None
) -> httpx.Response:
    async with service.client(headers) as client:
        image = ("photo.jpg", image_bytes() if file is None else file, "image/jpeg")
        return await client.post("/images/upload", files={"image": image}, data=form)
