"""Downloads: limits, redirects, and addresses that are checked again each time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.importing import url_download
from ingest.importing.import_sources import Outcome, SourceProblem
from ingest.importing.url_download import UrlDownloader
from ingest.ingest_errors import TooLarge

Answer = Callable[[str], bytes | Awaitable[bytes]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_download, "_RETRIES", (0.01, 0.01))


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[str]]]:
    """Yields the URL of a server that gives each path its answer, and the requests that it got."""
    requests: list[str] = []
    running: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        requests.append(request)
        said = answer(request.split(" ")[1])
        writer.write(said if isinstance(said, bytes) else await said)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests
    finally:
        listening.close()
        await asyncio.gather(*filter(None, running))


def response(body: bytes = b"image", status: str = "200 OK", length: int | None = None, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str) -> bytes:
    return response(b"", "302 Found", Location=location)


async def download(url: str, folder: Path, **options: Any) -> bytes:
    downloader = UrlDownloader(**{"allow_private": True, "max_bytes": 100, "temporary": folder / "tmp"} | options)
    try:
        async with downloader.open(url)() as path:
            return path.read_bytes()
    finally:
        assert [*(folder / "tmp").iterdir()] == []


async def problem(url: str, folder: Path, **options: Any) -> SourceProblem:
    with pytest.raises(SourceProblem) as raised:
        await download(url, folder, **options)
    return raised.value


async def test_body_is_downloaded_without_credentials_or_compression(tmp_path: Path) -> None:
    async with server(lambda _: response()) as (url, requests):
        assert await download(f"{url}/a b/é.jpg?x=1&y=ä", tmp_path) == b"image"

    [request] = requests
    assert request.startswith("GET /a%20b/%C3%A9.jpg?x=1&y=%C3%A4 HTTP/1.1\r\n")
    assert "Accept-Encoding: identity\r\n" in request
    assert "Cookie" not in request
    assert "Authorization" not in request


async def test_private_address_is_refused_before_a_connection(tmp_path: Path) -> None:
    async with server(lambda _: response()) as (url, requests):
        refused = await problem(url, tmp_path, allow_private=False)

    assert (refused.code, refused.outcome, requests) == ("private_address", Outcome.REFUSED, [])
    assert "127.0.0.1 is not a public address" in str(refused)
    assert "--allow-private" in str(refused)


async def test_redirect_is_followed_and_checked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    async def resolve(host: str, _port: int, *, allow_private: bool) -> list[str]:
        checked.append(f"{host} {allow_private}")
        return ["127.0.0.1"]

    monkeypatch.setattr(url_download, "resolve_public", resolve)

    async with server(lambda path: redirect("/b?c") if path == "/a" else response()) as (url, requests):
        port = url.rpartition(":")[2]
        assert await download(f"http://images.example:{port}/a", tmp_path, allow_private=False) == b"image"

    assert checked == ["images.example False"] * 2
    assert [request.split("\r\n")[:2] for request in requests] == [
        ["GET /a HTTP/1.1", f"Host: images.example:{port}"],
        ["GET /b?c HTTP/1.1", f"Host: images.example:{port}"],
    ]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "Only http"),
        ("http://a:b@example.com/", "user name or password"),
        ("http://:1/", "not a URL"),
    ],
)
async def test_redirect_to_another_kind_of_url_fails(tmp_path: Path, location: str, message: str) -> None:
    async with server(lambda _: redirect(location)) as (url, requests):
        failed = await problem(url, tmp_path)

    assert message in str(failed)
    assert len(requests) == 1


async def test_redirect_to_a_private_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = url_download.resolve_public

    async def first_is_public(host: str, port: int, *, allow_private: bool) -> list[str]:
        return ["127.0.0.1"] if host == "images.example" else await resolve(host, port, allow_private=allow_private)

    monkeypatch.setattr(url_download, "resolve_public", first_is_public)

    async with server(lambda _: redirect("http://169.254.169.254/latest")) as (url, _):
        refused = await problem(f"http://images.example:{url.rpartition(':')[2]}", tmp_path, allow_private=False)

    assert (refused.code, refused.outcome) == ("private_address", Outcome.REFUSED)
    assert str(refused).startswith("169.254.169.254 is not a public address")


async def test_endless_redirects_fail(tmp_path: Path) -> None:
    async with server(lambda _: redirect("/again")) as (url, requests):
        failed = await problem(url, tmp_path)

    assert "redirects more than 5 times" in str(failed)
    assert len(requests) == 6


@pytest.mark.parametrize(("status", "requests_"), [("404 Not Found", 1), ("403 Forbidden", 1), ("503 Busy", 3)])
async def test_error_is_reported_and_a_temporary_error_is_tried_again(
    tmp_path: Path, status: str, requests_: int
) -> None:
    async with server(lambda _: response(b"sorry", status)) as (url, requests):
        failed = await problem(url, tmp_path)

    assert (failed.code, failed.outcome) == ("download_failed", Outcome.FAILED)
    assert f"answers {status[:3]}" in str(failed)
    assert len(requests) == requests_


@pytest.mark.parametrize(
    ("retry_after", "pauses"), [("7", [7, 7]), ("61", []), ("Wed, 21 Oct 2099 07:28:00 GMT", [0.01, 0.01])]
)
async def test_server_is_asked_again_after_its_retry_after(
    tmp_path: Path, retry_after: str, pauses: list[float], slept: list[float]
) -> None:
    async with server(lambda _: response(b"", "429 Too Many Requests", Retry_After=retry_after)) as (url, _):
        await problem(url, tmp_path)

    assert slept == pauses


async def test_second_attempt_may_succeed(tmp_path: Path) -> None:
    answers = [response(b"half", length=10), response()]

    with capture_logs() as logs:
        async with server(lambda _: answers.pop(0)) as (url, _):
            assert await download(f"{url}?signature=secret", tmp_path) == b"image"

    assert [(line["event"], line["host"]) for line in logs] == [("download failed, retry scheduled", "127.0.0.1")]
    assert "secret" not in repr(logs)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response(b"half", length=10), "closed the connection before the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", "does not answer as it should"),
        (b"SSH-2.0-OpenSSH\r\n", "does not answer as it should"),
        (b"", "does not answer as it should"),
        (response(Content_Encoding="gzip"), "compressed"),
    ],
)
async def test_broken_answer_fails(tmp_path: Path, answer: bytes, message: str) -> None:
    async with server(lambda _: answer) as (url, _):
        assert message in str(await problem(url, tmp_path))


@pytest.mark.parametrize(
    "answer",
    [
        response(bytes(101)),
        response(b"", length=1 << 40),
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(101),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + bytes(101) + b"\r\n0\r\n\r\n",
    ],
)
async def test_file_beyond_the_limit_is_too_large(tmp_path: Path, answer: bytes) -> None:
    async with server(lambda _: answer) as (url, requests):
        with pytest.raises(TooLarge):
            await download(url, tmp_path)
    assert len(requests) == 1


async def test_silent_server_fails_after_the_stall(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def never(_: str = "") -> bytes:
        await gone.wait()
        return b""

    async with server(never) as (url, _):
        failed = await problem(url, tmp_path, stall=0.05)
        gone.set()

    assert "timed out" in str(failed)


async def test_server_that_trickles_fails_after_the_deadline(tmp_path: Path) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        failed = await problem(f"http://127.0.0.1:{port}/", tmp_path, stall=1, deadline=0.2)

    assert "took longer than 0.2 seconds" in str(failed)


async def test_name_that_cannot_be_resolved_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: Any, **__: Any) -> list[str]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(url_download, "resolve_public", unknown)

    failed = await problem("http://name.invalid/", tmp_path)

    assert str(failed) == "The host name.invalid has no address: Name or service not known."


@pytest.mark.parametrize("size", [b"-1", b"-5"])
async def test_negative_chunk_size_is_read_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: bytes
) -> None:
    """`http.client` accepts such sizes: it would read "-1 bytes" until the end, which never comes."""
    monkeypatch.setattr(url_download, "_RETRIES", ())

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(65_536))
                await writer.drain()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with pytest.raises(TooLarge):
            await download(url, tmp_path, max_bytes=1000, deadline=5)


async def test_redirect_that_is_no_url_fails(tmp_path: Path) -> None:
    async with server(lambda _: redirect("http://[x")) as (url, _):
        failed = await problem(url, tmp_path)

    assert (failed.code, failed.retryable) == ("download_failed", False)
    assert "redirects to a URL that is not allowed" in str(failed)
