"""Clients that are slow, send without end, send false lengths or disconnect; and a machine without free space."""

import asyncio
import json
import resource
import socket
import sqlite3
import time
from contextlib import closing, suppress
from itertools import repeat
from pathlib import Path

import httpx
import pytest

from tests.hostile.conftest import STALL
from tests.hostile.uploading import left_behind
from tests.hostile.wire import BOUNDARY, HEAD, TAIL, TYPE, connect, exchange, request, upload
from tests.service import Service
from tests.watch import open_descriptors, resident

MIB = 1 << 20
CLIENTS = 200
HEALTH_SECONDS = 2
CHUNKED = request("POST", "/images/upload", TYPE, "Transfer-Encoding: chunked")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def rows(service: Service) -> int:
    with closing(sqlite3.connect(f"file:{next((service.folder / 'data').glob('*.db'))}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM upload_jobs").fetchone()
    return int(count)


def assert_nothing_stays(service: Service) -> None:
    """Waits until no row and no temporary file is left."""
    deadline = time.monotonic() + 20
    while rows(service) or list((service.folder / "data").glob("tmp/*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.serial
class TestSlow:
    @pytest.mark.promise("B5")
    async def test_200_unfinished_headers_do_not_block_others(self, live: Service) -> None:
        """Half of the clients send nothing; the others send a byte a second."""
        before = open_descriptors(live.pid)

        seconds, health = await self.crowd(live, b"GET /healthz HTTP/1.1\r\nX: ", b"x")

        assert min(seconds) > 9
        assert max(seconds) < 20
        assert max(health) < HEALTH_SECONDS
        assert open_descriptors(live.pid) <= before + 5

    @pytest.mark.promise("B5")
    async def test_200_slow_uploads_do_not_block_others(self, live: Service, picture: bytes) -> None:
        """Each client sends a byte a second: it never stalls, but is below the minimum rate."""
        head = request("POST", "/images/upload", TYPE, f"Content-Length: {MIB}")

        seconds, health = await self.crowd(live, head + HEAD + picture[:5_000], b"x", answer=b" 408 ")

        assert min(seconds) > STALL
        assert max(seconds) < 30  # two seconds of tolerance, and five for the first bytes
        assert max(health) < HEALTH_SECONDS
        assert_nothing_stays(live)

    async def crowd(
        self, service: Service, first: bytes, then: bytes, answer: bytes = b""
    ) -> tuple[list[float], list[float]]:
        """Returns the seconds until each connection was closed, and the response times of /healthz meanwhile."""
        port = int(service.url.rpartition(":")[2])

        async def client(number: int) -> float:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            start = time.monotonic()
            writer.write(first if answer or number % 2 else b"")
            hearing = asyncio.create_task(_all(reader))
            while not hearing.done():
                await asyncio.wait([hearing], timeout=1)
                if answer or number % 2:
                    writer.write(then)
            writer.close()
            assert answer in hearing.result()
            return time.monotonic() - start

        async def ask() -> list[float]:
            taken = []
            async with httpx.AsyncClient(base_url=service.url, timeout=30, verify=False) as http:
                while not crowd.done():
                    start = time.monotonic()
                    assert (await http.get("/healthz")).status_code == 200
                    taken.append(time.monotonic() - start)
                    await asyncio.sleep(0.1)
            return taken

        crowd = asyncio.gather(*(client(number) for number in range(CLIENTS)))
        health = await ask()
        return await crowd, health


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Reads until the connection ends, in order or by a reset."""
    received = b""
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            received += data
    return received


class TestWithoutEnd:
    @pytest.mark.slow
    @pytest.mark.promise("B2")
    def test_gigabyte_without_a_length_gets_413_after_10_mb(self, live: Service, picture: bytes) -> None:
        before = resident(live.pid)

        answer = exchange(live.url, CHUNKED, chunk(HEAD + picture), endless=repeat(chunk(bytes(MIB)), 1024))

        assert answer.statuses == [413]
        assert b'"code": "too_large"' in answer.body
        assert answer.sent < 30 * MIB  # the limit and the kernel's buffers
        assert resident(live.pid) < before + 64 * MIB
        assert_nothing_stays(live)

    @pytest.mark.promise("B6")
    @pytest.mark.parametrize(
        "endless",
        [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'.encode(),
            b"\r\n" * 1000,
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="'.encode() + b"x" * 5_000_000,
            f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 100_000,
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"\r\n\r\n'.encode() + b"x" * MIB,
            HEAD + b"\xff\xd8\xff" + TAIL + b"x" * MIB,
        ],
        ids=["parts", "line ends", "a file's name", "headers", "a field", "an epilogue"],
    )
    def test_endless_parts_headers_and_preambles_get_400(self, live: Service, endless: bytes) -> None:
        before = resident(live.pid)

        answer = exchange(live.url, CHUNKED, endless=repeat(chunk(endless), 10_000))

        assert answer.statuses == [400]
        assert answer.sent < 40 * MIB
        assert resident(live.pid) < before + 64 * MIB

    @pytest.mark.promise("B6")
    def test_ten_thousand_fields_get_400(self, live: Service) -> None:
        field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'.encode()
        body = field * 10_000 + TAIL

        answer = exchange(live.url, request("POST", "/images/upload", TYPE, f"Content-Length: {len(body)}") + body)

        assert answer.statuses == [400]
        assert b'"code": "malformed"' in answer.body

    @pytest.mark.promise("B6")
    def test_truncated_image_sent_in_single_bytes_gets_undecodable(self, live: Service, picture: bytes) -> None:
        small = picture[:2000]
        pieces = [chunk(bytes([byte])) for byte in HEAD + small + TAIL]

        answer = exchange(live.url, CHUNKED, *pieces, b"0\r\n\r\n")

        assert answer.statuses == [422]
        assert b'"code": "undecodable"' in answer.body


class TestLengths:
    @pytest.mark.promise("B4")
    def test_expect_100_continue_for_50_mb_gets_413(self, live: Service) -> None:
        answer = exchange(
            live.url,
            request("POST", "/images/upload", TYPE, f"Content-Length: {50 * MIB}", "Expect: 100-continue"),
        )

        assert answer.statuses == [413]
        assert b"100 Continue" not in answer.received

    @pytest.mark.promise("B3")
    def test_content_length_below_the_body_stores_nothing(self, live: Service, picture: bytes) -> None:
        """The rest of the body is parsed as the next request, and is invalid."""
        raw = upload(picture)
        length = len(raw.partition(b"\r\n\r\n")[2])

        lie = raw.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length - 500))
        answer = exchange(live.url, lie.replace(b"Connection: close\r\n", b""))

        assert set(answer.statuses) == {400}
        assert answer.closed
        assert_nothing_stays(live)

    @pytest.mark.promise("B3")
    def test_content_length_above_the_body_stores_nothing(self, live: Service, picture: bytes) -> None:
        """The image is complete, but the body is shorter than announced."""
        raw = upload(picture)
        length = len(raw.partition(b"\r\n\r\n")[2])

        lie = raw.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length + 500))
        waiting, leaving = exchange(live.url, lie), exchange(live.url, lie, half_close=True)

        assert (waiting.statuses, waiting.closed) == ([408], True)
        assert leaving.statuses in ([400], [])
        assert_nothing_stays(live)

    @pytest.mark.promise("B3")
    @pytest.mark.parametrize("headers", [(), ("Content-Length: 0",)])
    def test_upload_without_a_body_gets_400(self, live: Service, headers: tuple[str, ...]) -> None:
        answer = exchange(live.url, request("POST", "/images/upload", TYPE, *headers))

        assert answer.statuses == [400]


@pytest.mark.promise("B9")
def test_client_disconnect_leaves_nothing(live: Service, picture: bytes) -> None:
    raw = upload(picture)
    for cut in (len(raw) // 2, len(raw) - 10, len(raw) - len(TAIL) - 1):
        with connect(live.url) as connection:
            connection.sendall(raw[:cut])
            time.sleep(0.1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes by a reset

    assert_nothing_stays(live)


@pytest.mark.slow
class TestNoRoom:
    @pytest.mark.promise("B12")
    def test_full_temporary_folder_gets_503_until_there_is_room(self, tmp_path: Path, picture: bytes) -> None:
        """Files are limited to a megabyte, which causes the error of a full disk."""
        large = picture.ljust(3 * MIB, b"\0")
        with Service(tmp_path, WARM_UP="false", RENDER_PROCESSES="1") as service:
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
            refused = exchange(service.url, upload(large))
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            taken = exchange(service.url, upload(large))

            assert refused.statuses == [503]
            assert json.loads(refused.body)["code"] == "unavailable"
            assert taken.statuses == [201]
            service.stop()
        assert left_behind(tmp_path, {json.loads(taken.body)["uploadId"]}) == []
