"""A client of a real service: uploads, requests, and waits."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.http_client import http
from tests.service import Service
from tests.waiting import GUARD


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: bytes
    seconds: float

    @property
    def code(self) -> str:
        return str(httpx.Response(self.status, content=self.body).json()["code"])


async def get(url: str) -> Answer:
    """Uses a connection of its own. For hundreds of requests at once, an HTTP client would need more CPU than the
    server.
    """
    start = time.monotonic()
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    line, *fields = head.decode().split("\r\n")
    headers = httpx.Headers([(name, value) for name, _, value in (field.partition(": ") for field in fields)])
    assert len(body) == int(headers["content-length"])
    return Answer(int(line.split()[1]), headers, body, time.monotonic() - start)


def upload(service: Service, picture: bytes) -> str:
    answer = http.post(f"{service.url}/images/upload", files={"image": ("photo.jpg", picture)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def until(condition: Callable[[], object], seconds: float = GUARD) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds:g} s"
        time.sleep(0.02)


def status(service: Service, upload_id: str) -> str:
    return str(http.get(f"{service.url}/images/{upload_id}/status").json()["status"])


def complete(service: Service, *upload_ids: str) -> bool:
    return {status(service, upload_id) for upload_id in upload_ids} == {"complete"}


def completed(service: Service, upload_id: str) -> dict[str, Any]:
    """Waits until the warm-up is complete. Returns the status document."""
    deadline = time.monotonic() + GUARD
    while time.monotonic() < deadline:
        document: dict[str, Any] = http.get(f"{service.url}/images/{upload_id}/status").json()
        if document["status"] == "complete":
            return document
        time.sleep(0.05)
    raise AssertionError(f"never complete: {document}\n{service.log()}")
