"""Memory cache hits that the protocol sends: the same responses as the application's, in order and bounded."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
import uvicorn
from structlog.testing import capture_logs

from proxy.web.variant_http import VariantHttp
from tests.fakes import sample
from tests.unit.proxy.web.bounded_server import Client, address, served
from tests.unit.proxy.web.site import Site


@dataclass
class Served:
    """A site on a real uvicorn, with `small.jpg` in its memory cache."""

    site: Site
    server: uvicorn.Server
    client: Client

    @property
    def protocol(self) -> VariantHttp:
        [protocol] = self.server.server_state.connections
        assert isinstance(protocol, VariantHttp)
        return protocol

    @property
    def hits(self) -> float:
        return sample(self.site.metrics, "darkroom_variant_requests_total", tier="hot")

    @property
    def calls(self) -> int:
        """Requests that the application was called for."""
        return self.server.server_state.total_requests

    def request(self, name: str = "small.jpg", *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
        lines = [f"{method} {self.site.path}/{name} HTTP/{version}", "Host: x", *headers, "", ""]
        return "\r\n".join(lines).encode()

    async def ask(self, *arguments: str, **options: str) -> tuple[int, dict[str, str], bytes]:
        await self.client.send(self.request(*arguments, **options))
        return await self.answer(has_body=options.get("method") != "HEAD")

    async def answer(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        start, *lines = (await self.client.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines)
        status = int(start.split()[1])
        length = int(headers["content-length"]) if has_body and status != 304 else 0
        return status, headers, await self.client.reader.readexactly(length)


@pytest.fixture
async def hot(site: Site) -> AsyncIterator[Served]:
    await site.get("small.jpg")
    async with served(VariantHttp, site.app) as server:
        reader, writer = await asyncio.open_connection(*address(server))
        yield Served(site, server, Client(reader, writer))
        writer.close()


def comparable(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in {"date", "server", "server-timing"}}


@pytest.mark.parametrize("conditions", [{}, {"If-None-Match": "{etag}"}, {"If-None-Match": '"other", W/{etag}'}])
async def test_hit_is_the_response_of_the_application(hot: Served, conditions: dict[str, str]) -> None:
    etag = (await hot.site.get("small.jpg")).headers["etag"]
    given = {name: value.format(etag=etag) for name, value in conditions.items()}
    expected = await hot.site.get("small.jpg", given)
    before = hot.hits

    status, headers, body = await hot.ask("small.jpg", *(f"{name}: {value}" for name, value in given.items()))

    assert (status, body) == (expected.status, expected.body)
    assert status == (304 if given else 200)
    assert comparable(headers) == comparable(expected.headers)
    assert headers["server-timing"] == "fetch;dur=0.0"
    assert (hot.hits, hot.calls) == (before + 1, 0)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("{etag}", '"other"'), 304),
        (('"other"', "{etag}"), 304),
        (('"other"', '"another", W/{etag}', '"third"'), 304),
        (('"other"', '"another"'), 200),
        (("", "{etag}"), 304),
    ],
)
async def test_lines_of_a_repeated_condition_count_together(hot: Served, lines: tuple[str, ...], status: int) -> None:
    etag = (await hot.site.get("small.jpg")).headers["etag"]
    conditions = [f"If-None-Match: {line.format(etag=etag)}" for line in lines]

    assert (await hot.ask("small.jpg", *conditions))[0] == status
    assert hot.calls == 0
    assert (await hot.ask("small.jpg", *conditions, "Content-Length: 0"))[0] == status  # answered by the application
    assert hot.calls == 1


@pytest.mark.parametrize("lines", [("text/html", "image/webp"), ("image/webp", "text/html")])
async def test_lines_of_a_repeated_accept_count_together(hot: Served, lines: tuple[str, ...]) -> None:
    _, headers, _ = await hot.ask("small.auto", *(f"Accept: {line}" for line in lines))

    assert headers["content-type"] == "image/webp"


async def test_hits_are_counted_and_not_logged(hot: Served) -> None:
    before = hot.hits
    with capture_logs() as logs:
        for _ in range(3):
            assert (await hot.ask())[0] == 200

    assert (hot.hits, hot.calls, logs) == (before + 3, 0, [])


@pytest.mark.parametrize(
    ("arguments", "options", "status"),
    [
        (("small.jpg",), {"method": "HEAD"}, 200),
        (("small.jpg",), {"method": "POST"}, 405),
        (("small.jpg",), {"version": "1.0"}, 200),
        (("small.jpg", "Connection: close"), {}, 200),
        (("small.jpg", "Range: bytes=0-1"), {}, 206),
        (("small.jpg", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"), {}, 304),
        (("small.jpg", "Content-Length: 0"), {}, 200),
        (("small.jpg", "Upgrade: websocket", "Connection: upgrade"), {}, 200),
        (("small.auto",), {}, 200),
        (("small.jpeg",), {}, 308),
        (("small.jp%67",), {}, 404),
        (("huge.jpg",), {}, 404),
    ],
)
async def test_other_requests_reach_the_application(
    hot: Served, arguments: tuple[str, ...], options: dict[str, str], status: int
) -> None:
    assert (await hot.ask(*arguments, **options))[0] == status

    assert hot.calls == 1


@pytest.mark.parametrize("name", ["small.jpg?token=x", "small.jpg?"])
async def test_query_is_ignored(hot: Served, name: str) -> None:
    assert (await hot.ask(name))[0] == 200
    assert hot.calls == 0


async def test_invalidated_variant_is_no_hit(hot: Served) -> None:
    await hot.site.variant_service.delete_upload(hot.site.upload_id)

    assert (await hot.ask())[0] == 404


async def test_pipelined_requests_are_answered_in_order(hot: Served) -> None:
    names = ["small.jpg", "large.webp", "small.jpg", "huge.jpg", "small.jpg"]

    await hot.client.send(b"".join(map(hot.request, names)))

    answers = [await hot.answer() for _ in names]
    assert [status for status, _, _ in answers] == [200, 200, 200, 404, 200]
    assert [headers["content-type"] for _, headers, _ in answers[:3]] == ["image/jpeg", "image/webp", "image/jpeg"]


async def test_date_is_uvicorns_and_is_renewed(hot: Served) -> None:
    for date in (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"):
        hot.server.server_state.default_headers = [(b"date", date)]

        assert (await hot.ask())[1]["date"] == date.decode()


async def test_connection_stays_open_and_has_the_usual_deadlines(hot: Served) -> None:
    await hot.ask()
    assert hot.protocol.timeout_keep_alive_task is not None
    assert hot.protocol._request_timer is None

    await hot.client.send(hot.request()[:-2])
    await hot.client.send(b"\r\n")
    assert (await hot.answer())[0] == 200
