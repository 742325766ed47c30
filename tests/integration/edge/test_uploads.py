"""Uploads through the edge."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.http_client import http
from tests.nginx import StubOrigin, nginx


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
