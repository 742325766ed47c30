"""Clients that read slowly, follow uploads without end, or guess keys: each in a crowd."""

import asyncio
import random
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from ingest.web.event_streams import MAX_STREAMS
from tests.client import until, upload
from tests.hostile.wire import request
from tests.http_client import http
from tests.pictures import png
from tests.service import PATIENT, Service
from tests.watch import open_descriptors, resident

pytestmark = pytest.mark.slow

READERS = 30
BEYOND = 44
GUESSES = 1_000
GUESSERS = 200
KEY = "0123456789abcdef"


HASTY = """
from ingest.__main__ import main
from proxy.web.bounded_http import BoundedHttp
BoundedHttp.read_seconds = 1
main()
"""


class HastyService(Service):
    """Judges readers every second instead of every 30."""

    program = (sys.executable, "-c", HASTY)


@pytest.mark.promise("B5")
@pytest.mark.parametrize(("rate", "settings"), [(35, {}), (10_000, {"DOWNLOAD_MIN_RATE": "65536"})])
async def test_slow_readers_are_reset_and_do_not_block_others(
    tmp_path: Path, rate: int, settings: dict[str, str]
) -> None:
    """Each reads a response of megabytes at `rate` bytes a second, in a kernel with the smallest buffer."""
    noise = Image.frombytes("RGB", (800, 800), random.Random(1).randbytes(800 * 800 * 3))
    with HastyService(tmp_path, WARM_UP="false", RENDER_PROCESSES="1", **PATIENT, **settings) as service:
        path = f"/images/{upload(service, png(noise))}/large@2x.png"
        size = len(http.get(service.url + path).content)
        assert size > 4 << 20  # more than the kernel takes for a client that does not read
        before = open_descriptors(service.pid)
        memory = resident(service.pid)

        reading = asyncio.gather(*(_read_slowly(service, path, rate) for _ in range(READERS)))
        while not reading.done():
            assert (await asyncio.to_thread(http.get, f"{service.url}/healthz")).status_code == 200
            await asyncio.wait([reading], timeout=0.2)

        assert max(reading.result()) < size / 10
        assert open_descriptors(service.pid) <= before + 5
        assert resident(service.pid) < memory + (64 << 20)
        assert len(http.get(service.url + path).content) == size


async def _read_slowly(service: Service, path: str, rate: int) -> int:
    """Returns how many bytes arrived before the server reset the connection."""
    address, loop = urlsplit(service.url), asyncio.get_running_loop()
    received = 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.setblocking(False)
        await loop.sock_connect(client, (address.hostname, address.port))
        await loop.sock_sendall(client, request("GET", path))
        while not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # a reset; what has arrived can still be read
            data = await loop.sock_recv(client, rate // 5)
            assert data, f"the response ended in order after {received} bytes"
            received += len(data)
            await asyncio.sleep(1 / 5)
    return received


@pytest.mark.promise("C3")
async def test_flood_of_unknown_ids_is_404_and_a_cold_variant_is_served_meanwhile(
    live: Service, upload_id: str
) -> None:
    http.get(f"{live.url}/images/{upload_id}/small.png")
    memory = resident(live.pid)

    is_served = asyncio.Event()
    flood = asyncio.gather(*(_guess(live, is_served) for _ in range(GUESSERS)))
    cold = await asyncio.to_thread(http.get, f"{live.url}/images/{upload_id}/medium.png")
    is_served.set()

    assert (cold.status_code, cold.headers["cache-status"]) == (200, "darkroom; fwd=miss; stored")
    assert {status for statuses in await flood for status in statuses} == {b"404"}
    assert resident(live.pid) < memory + (48 << 20)


async def _guess(service: Service, until: asyncio.Event) -> list[bytes]:
    """Requests variants of unknown ids on one connection; returns the statuses."""
    address, statuses = urlsplit(service.url), []
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    while not until.is_set() or not statuses:
        writer.write(request("GET", f"/images/{uuid4()}/small.png", close=False))
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.append(head.split()[1])
        await reader.readuntil(b"}")
    writer.close()
    return statuses


@pytest.mark.promise("D6")
async def test_streams_beyond_the_limit_get_503_until_others_end(live: Service, upload_id: str) -> None:
    def open_streams() -> float:
        return live.metric("darkroom_event_streams")

    async with AsyncExitStack() as crowd:
        follow = [crowd.enter_async_context(_followed(live, upload_id)) for _ in range(MAX_STREAMS + BEYOND)]
        heads = await asyncio.gather(*follow)

        assert Counter(head.split()[1] for head in heads) == {b"200": MAX_STREAMS, b"503": BEYOND}
        refused = [head.lower() for head in heads if b" 503 " in head]
        assert all(b"\r\nretry-after: 10\r\n" in head for head in refused)
        assert await asyncio.to_thread(open_streams) == MAX_STREAMS
        assert http.get(f"{live.url}/images/{upload_id}/status").status_code == 200

    await asyncio.to_thread(until, lambda: open_streams() == 0)
    async with _followed(live, upload_id) as head:
        assert head.startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def _followed(service: Service, upload_id: str) -> AsyncIterator[bytes]:
    """Follows an upload; yields the head of the response."""
    address = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request("GET", f"/images/{upload_id}/events"))
        yield await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


@pytest.mark.promise("D7")
def test_guessed_keys_learn_nothing_and_cost_nothing(tmp_path: Path, picture: bytes) -> None:
    """Not even that a guess is close: all responses are the same. There is no lockout that an attacker could cause."""
    close = [KEY[:length] + "x" * (len(KEY) - length) for length in range(len(KEY))]
    with Service(tmp_path, API_KEYS=KEY, WARM_UP="false", RENDER_PROCESSES="1") as service:
        memory = resident(service.pid)
        answers: Counter[tuple[int, str, str]] = Counter()
        with httpx.Client(base_url=service.url, timeout=30, verify=False) as client:
            for number in range(GUESSES):
                headers = {"Authorization": f"Bearer {close[number % len(close)]}"}
                answer = client.post("/images/upload", files={"image": picture}, headers=headers)
                answers[answer.status_code, answer.text, answer.headers["www-authenticate"]] += 1
            right = client.get("/images", headers={"Authorization": f"Bearer {KEY}"})

        assert list(answers.values()) == [GUESSES]
        assert {status for status, _, _ in answers} == {401}
        assert (right.status_code, right.json()["images"]) == (200, [])
        assert resident(service.pid) < memory + (16 << 20)
        assert not [path for path in (tmp_path / "data").rglob("*") if picture[:64] in _content(path)]
        assert all(guess not in service.log() for guess in close)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
