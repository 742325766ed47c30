"""Uploads through the edge."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from ingest.maintenance.doctor.findings import Verdict, ok
from ingest.maintenance.doctor.http_client import announce_upload
from ingest.maintenance.doctor.upload_checks import limit
from tests.http_client import http
from tests.nginx import ROOT, StubOrigin, nginx
from tests.service import Service


class TestUploads:
    def test_too_large_upload_is_refused_before_it_is_sent(self, stub: StubOrigin, stub_edge: str) -> None:
        answer = http.post(f"{stub_edge}/images/upload", content=bytes(12 << 20))

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.headers["content-type"] == "application/problem+json"
        assert stub.asked == []

    def test_upload_between_the_limits_is_refused_by_darkroom(self, edge: str) -> None:
        answer = http.post(f"{edge}/images/upload", files={"image": ("a.jpg", b"\xff\xd8\xff" + bytes(10 << 20))})

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "10 MB" in answer.json()["detail"]

    def test_upload_is_streamed_to_ingest(self, stub: StubOrigin, stub_edge: str, tmp_path: Path) -> None:
        def slowly() -> Iterator[bytes]:
            yield b"first"
            deadline = time.monotonic() + 5
            while not started.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            yield b"last"

        started = tmp_path / "started"
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(10)
        (tmp_path / "streaming").mkdir()
        own = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with nginx(tmp_path / "streaming", own, own) as url, listener:

            def serve() -> list[bytes]:
                connection, _ = listener.accept()
                received = [connection.recv(65536)]
                while b"first" not in b"".join(received):
                    received.append(connection.recv(65536))
                started.touch()
                while b"last" not in b"".join(received):
                    received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                connection.close()
                return received

            async def both() -> tuple[list[bytes], httpx.Response]:
                client = asyncio.to_thread(http.post, f"{url}/images/upload", content=slowly())
                return await asyncio.gather(asyncio.to_thread(serve), client)

            _, answer = asyncio.run(both())
        assert answer.status_code == 201
        assert started.exists()

    def test_api_key_reaches_ingest(self, stub: StubOrigin, stub_edge: str) -> None:
        http.get(f"{stub_edge}/images?limit=2", headers={"Authorization": "Bearer key"})

        assert stub.asked[0].headers["authorization"] == "Bearer key"


class TestUploadLimit:
    """What the doctor finds out about uploads at PUBLIC_URL."""

    async def test_shipped_configuration_takes_the_largest_upload(self, edge: str, darkroom: Service) -> None:
        before = stored(darkroom)
        assert await limit(edge, 10, announce_upload) == ok(f"{edge}/images/upload accepts 10 MB")
        assert await limit(darkroom.url, 10, announce_upload) == ok(f"{darkroom.url}/images/upload accepts 10 MB")
        assert stored(darkroom) == before

    async def test_largest_upload_is_not_taken_by_another_limit(self, edge: str, darkroom: Service) -> None:
        for url in (edge, darkroom.url):
            assert (await limit(url, 20, announce_upload)).verdict is Verdict.FAILED

    async def test_default_limit_of_nginx_is_found(self, stub: StubOrigin, tmp_path: Path) -> None:
        limited = (ROOT / "deploy" / "variants.conf").read_text()
        assert limited.count("client_max_body_size 11m;") == 1
        with nginx(tmp_path, stub.url, stub.url, variants=limited.replace("client_max_body_size 11m;", "")) as url:
            judged = await limit(url, 10, announce_upload)

        assert (judged.verdict, stub.asked) == (Verdict.FAILED, [])
        assert judged.remark.startswith(f"{url}/images/upload refuses uploads of 10 MB (nginx")
        assert judged.remark.endswith("`darkroom edge nginx` prints client_max_body_size 11m.")


def stored(service: Service) -> list[Path]:
    return sorted((service.folder / "data").rglob("*"))
