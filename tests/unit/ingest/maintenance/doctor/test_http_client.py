"""Fetching a URL from a real server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingest.ingest_errors import CdnUnavailable
from ingest.maintenance.doctor.http_client import fetch


class Handler(BaseHTTPRequestHandler):
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
