"""Object stores to test with, including one whose server's responses a test decides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from boto3.session import Session

from proxy.errors import StoreUnavailable
from proxy.storage.object_store import ObjectStore
from proxy.storage.s3 import S3Store
from tests.s3_gateways import Gateway
from tests.seaweedfs import SeaweedServer

BUCKET = "darkroom-contract"
PAGE = 50  # keys that are listed, and deleted, at a time; S3's own number is 1000
OVER_A_PAGE = 110
OVER_S3S_PAGE = 1100
OBJECT = {"last_modified": "Wed, 12 Oct 2022 17:50:00 GMT", "content_type": "image/png"}


def store_of(
    server: SeaweedServer | Gateway, *, bucket: str = BUCKET, secret: str | None = None, **options: Any
) -> S3Store:
    return S3Store(
        bucket,
        **options,
        session=Session(server.access_key_id, secret or server.secret_access_key, region_name="us-east-1"),
        endpoint_url=server.endpoint_url,
    )


async def failures(*calls: Awaitable[object]) -> list[type]:
    """Collects the exceptions of calls."""
    return [type(result) for result in await asyncio.gather(*calls, return_exceptions=True)]


async def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [info.key async for info in store.list(prefix)]


async def assert_unavailable(store: ObjectStore, target: Path) -> list[str]:
    """Checks that every method raises StoreUnavailable; returns the messages."""
    calls = (
        store.head("originals/key"),
        store.get("originals/key"),
        store.download("originals/key", target),
        store.put("originals/key", b"x", content_type="image/png"),
        store.put("originals/key", b"x", content_type="image/png", if_absent=True),
        store.delete("originals/key"),
        keys(store, "originals/"),
    )
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * len(calls)
    assert not await anyio.Path(target).exists()
    return [str(result) for result in results]


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    fields = {"content_length": str(len(body)), "connection": "close"} | headers
    lines = [f"HTTP/1.1 {status} -", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def fault(status: int, code: str) -> bytes:
    return http(status, f"<Error><Code>{code}</Code></Error>".encode(), content_type="application/xml")


def fake_store(port: int) -> S3Store:
    return S3Store(
        "bucket",
        session=Session("id", "secret", region_name="us-east-1"),
        endpoint_url=f"http://127.0.0.1:{port}",
    )


@asynccontextmanager
async def s3_that(answer: Callable[[str], bytes | Awaitable[bytes]]) -> AsyncIterator[S3Store]:
    """Yields a store whose server sends the given response, head and body, to each request and
    closes the connection.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if line)
        if fields.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request += (await reader.readexactly(int(fields.get("content-length", 0)))).decode()
        said = answer(request)
        writer.write(said if isinstance(said, bytes) else await said)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        store = fake_store(server.sockets[0].getsockname()[1])
        yield store
        await store.close()
