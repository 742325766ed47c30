"""A real nginx with the shipped configuration, and a stub origin."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Self

import httpx

from tests.http_client import http
from tests.server import free_port

ROOT = Path(__file__).parents[1]
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
PROBE = "/no-such-path"  # asked until nginx is up, on a busy machine several times


SECRET = "s" * 32
WITH_SECRET = {'map "" $edge_secret { default ""; }': f'map "" $edge_secret {{ default "{SECRET}"; }}'}
"""What to replace in nginx.conf, so that nginx forgets variants."""


@contextmanager
def nginx(
    folder: Path,
    proxy_url: str,
    ingest_url: str,
    bucket_url: str | None = None,
    variants: str | None = None,
    *,
    port: int | None = None,
    changes: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Starts nginx with nginx.conf in front of these servers, with local addresses and folders. Yields its URL.

    It asks `bucket_url`, if given, before the proxy. `variants` replaces the shipped deploy/variants.conf. `changes`:
    what to replace in nginx.conf, and by what.
    """
    port = port or free_port()
    shutil.copy(ROOT / "deploy" / "cross-origin.conf", folder)
    (folder / "variants.conf").write_text(variants or (ROOT / "deploy" / "variants.conf").read_text())
    configuration = _configuration(folder, port, proxy_url, ingest_url, bucket_url, changes=changes)
    with _running(folder, port, configuration) as url:
        yield url


@contextmanager
def site_below_path(folder: Path, port: int, url: str) -> Iterator[str]:
    """Starts the nginx of a site with deploy/sub-path.conf, in front of `url`. Yields the URL of the site."""
    location = (ROOT / "deploy" / "sub-path.conf").read_text()
    assert location.count("http://127.0.0.1:8080/") == 1
    location = location.replace("http://127.0.0.1:8080/", f"{url}/")
    server = f"server {{ listen 127.0.0.1:{port};\n{location}}}"
    configuration = f"pid nginx.pid; events {{}} http {{ access_log off; {_temporary(folder)} {server} }}"
    with _running(folder, port, configuration) as site:
        yield site


@contextmanager
def _running(folder: Path, port: int, configuration: str) -> Iterator[str]:
    (folder / "nginx.conf").write_text(configuration)
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")  # its workers must enter `folder`
    command = [str(PROGRAM), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log", "-g", options]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(process, url, folder)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _configuration(
    folder: Path, port: int, proxy_url: str, ingest_url: str, bucket_url: str | None, *, changes: Mapping[str, str]
) -> str:
    text = (ROOT / "nginx.conf").read_text()
    for theirs, ours in {
        "default proxy:8000": f"default {proxy_url.removeprefix('http://')}",
        "default ingest:8000": f"default {ingest_url.removeprefix('http://')}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "/var/cache/nginx": f"{folder}/cache",
        "/var/log/nginx": str(folder),
        "http {": f"pid {folder}/nginx.pid;\nhttp {{ {_temporary(folder)}",
        **changes,
    }.items():
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    if bucket_url is None:
        return text
    first = (ROOT / "deploy" / "bucket-first.conf").read_text()
    assert first.count("https://BUCKET.s3.REGION.amazonaws.com") == 1
    first = first.replace("https://BUCKET.s3.REGION.amazonaws.com", bucket_url)
    (folder / "bucket-first.conf").write_text(first.replace("127.0.0.1:8081", f"127.0.0.1:{free_port()}"))
    assert text.count("proxy_pass http://$proxy$source;") == 1
    text = text.replace("proxy_pass http://$proxy$source;", "proxy_pass http://bucket_first$source;")
    return text.replace("include variants.conf;", "include variants.conf;\n    include bucket-first.conf;")


def _temporary(folder: Path) -> str:
    return "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy"))


def _wait_until_up(process: "subprocess.Popen[bytes]", url: str, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            http.get(url + PROBE)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nginx did not come up:\n{(folder / 'output').read_text()}")


@dataclass
class Answer:
    """The origin's next response, sent after `seconds`."""

    status: int = 200
    body: bytes = b"picture"
    headers: dict[str, str] = field(default_factory=lambda: {"Cache-Control": "public, max-age=31536000, immutable"})
    seconds: float = 0


@dataclass
class Asked:
    """A request as the origin received it. Header names are lower-case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class StubOrigin:
    """Responds to every request with `answer`, and records the requests."""

    def __init__(self, address: str = "127.0.0.1", port: int | None = None) -> None:
        self.answer = Answer()
        self.asked: list[Asked] = []
        self._connections: list[socket.socket] = []
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # otherwise the body waits 40 ms after the head

            def setup(self) -> None:
                super().setup()
                origin._connections.append(self.connection)

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = origin.answer  # first: a test may change it once it sees the request
                origin.asked.append(Asked(self.command, self.path, headers, body))
                time.sleep(answer.seconds)
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_HEAD = do_POST = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the base class looks them up by these names

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # with 5, a busy machine drops connections of a herd, and nginx times out

        self._server = Server((address, port or free_port()), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://{address}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> None:
        self.answer, self.asked = Answer(), []

    def paths(self) -> Counter[str]:
        return Counter(asked.path for asked in self.asked)

    def close(self) -> None:
        """Also closes its connections, because nginx would reuse them."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


def raw(url: str, target: str, method: str = "GET") -> int:
    """Returns the status for an unchanged request line; HTTP clients would normalise the target."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])
