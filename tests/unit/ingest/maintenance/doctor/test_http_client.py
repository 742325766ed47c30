"""Fetching a URL from a real server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingest.ingest_errors import CdnUnavailable
from ingest.maintenance.doctor import http_client
from ingest.maintenance.doctor.http_client import announce_upload, fetch
from proxy.errors import Unavailable


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_expect_100(self) -> bool:
        match self.path:
            case "/large":
                self.send_error(413)
                return False
            case "/whole":
                self.rfile.read(1)
                return False
            case "/other":
                self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                return False
        return super().handle_expect_100()

    def do_POST(self) -> None:
        assert self.headers["Content-Length"] == "1000000"
        self.rfile.read()

    def do_GET(self) -> None:
        status = {"/missing": 404, "/moved": 301}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"seen")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("path", "status"), [("/there", 200), ("/missing", 404), ("/moved", 301)])
async def test_fetch_returns_any_status_without_following_redirects(url: str, path: str, status: int) -> None:
    answer = await fetch(url + path)

    assert (answer.status, answer.body) == (status, b"seen")
    assert answer.headers["location"] == "/elsewhere"


async def test_fetch_without_answer_raises_cdn_unavailable() -> None:
    with pytest.raises(CdnUnavailable, match=r"Cannot fetch http://127\.0\.0\.1:9/x .*check CDN_URL"):
        await fetch("http://127.0.0.1:9/x")


async def test_fetch_uses_the_http_proxy_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)

    answer = await fetch("http://cdn.invalid/there")

    assert (answer.status, answer.body) == (200, b"seen")


@pytest.mark.parametrize(("path", "status"), [("/upload", 100), ("/large", 413)])
async def test_announcement_returns_the_response_before_the_body(url: str, path: str, status: int) -> None:
    answer = await announce_upload(url + path, 1_000_000)

    assert answer
    assert answer.status == status


async def test_announcement_to_a_server_that_waits_for_the_body_returns_none(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "_TIMEOUT", 0.3)

    assert await announce_upload(f"{url}/whole", 1_000_000) is None


async def test_host_that_is_no_name_is_unavailable() -> None:
    with pytest.raises(CdnUnavailable, match="check CDN_URL"):
        await fetch("http://pictures..example/x")
    with pytest.raises(Unavailable, match="check PUBLIC_URL"):
        await announce_upload("http://pictures..example/x", 1_000_000)


async def test_announcement_to_another_protocol_or_to_nothing_raises(url: str) -> None:
    with pytest.raises(Unavailable, match="not an HTTP response"):
        await announce_upload(f"{url}/other", 1_000_000)
    with pytest.raises(Unavailable, match=r"Cannot reach http://127\.0\.0\.1:9/x .*check PUBLIC_URL"):
        await announce_upload("http://127.0.0.1:9/x", 1_000_000)
