"""Limits of connections around bodies, and HTTP/1.0, on a real uvicorn."""

import asyncio
import json

import pytest

from proxy.web.bounded_http import HEAD_BYTES
from proxy.web.variant_http import VariantHttp
from tests.unit.proxy.web.bounded_server import GET, LARGE, POST, SOON, Connect, Hasty

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestHttp10:
    async def test_response_without_a_length_ends_with_the_connection(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

            head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")
            assert body == b"onetwo"
            assert b"transfer-encoding" not in head.lower()
            assert b"connection: close" in head.lower()

    async def test_response_without_a_length_is_chunked_in_http_11(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

            assert (await client.reader.read()).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    async def test_response_with_a_length_has_that_length(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET / HTTP/1.0\r\n\r\n")

            assert await client.answer() == (200, b"ok")
            assert await client.closed()


class TestBodies:
    @pytest.mark.heavy
    async def test_unfinished_body_after_the_response_closes_the_connection(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(POST + b"Content-Length: 1000\r\n\r\nx")
            assert await client.answer() == (200, b"ok")
            assert await client.closed_while_dripping()

    @pytest.mark.heavy
    async def test_body_that_ends_after_the_response_keeps_the_connection(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(POST + b"Content-Length: 2\r\n\r\nx")
            assert await client.answer() == (200, b"ok")
            await client.send(b"y")
            await asyncio.sleep(1.5 * SOON)
            await client.send(GET + b"\r\n")
            assert await client.answer() == (200, b"ok")

    @pytest.mark.heavy
    async def test_body_being_read_has_no_head_deadline(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
            for _ in range(3):
                await asyncio.sleep(SOON / 2)
                await client.send(b"x")

            assert await client.answer() == (200, b"3")

    @pytest.mark.heavy
    async def test_large_body_is_not_counted_as_head(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE))

            assert await client.answer() == (200, str(LARGE).encode())


CHUNKED = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class TestChunks:
    @pytest.mark.promise("D3")
    @pytest.mark.parametrize(
        ("begin", "more"),
        [(b"0\r\n", b"X: " + b"y" * 1000 + b"\r\n"), (b"0\r\nX: ", b"y" * 1000), (b"1;", b"y" * 1000)],
        ids=["many trailers", "a long trailer", "a chunk extension"],
    )
    async def test_endless_trailers_and_extensions_are_431(self, connected: Connect, begin: bytes, more: bytes) -> None:
        async with connected() as client:
            await client.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            await client.reader.readuntil(b"\r\n\r\n")  # so that the server reads what follows by itself
            count = (HEAD_BYTES - 100) // len(more) + 1  # the last exceeds the limit, and nothing is left unread
            await client.send(begin + more * count)

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
            assert await client.closed()

    async def test_many_small_chunks_with_extensions_are_a_body(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(CHUNKED)
            for _ in range(100):
                await client.send(b"1;" + b"y" * 1000 + b"\r\nx\r\n")
            await client.send(b"0\r\n\r\n")

            assert await client.answer() == (200, b"100")

    async def test_trailers_do_not_become_headers(self, connected: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[bytes] = []
        complete = VariantHttp.on_message_complete

        def on_message_complete(protocol: VariantHttp) -> None:
            seen.extend(name for name, _ in protocol.headers)
            complete(protocol)

        monkeypatch.setattr(VariantHttp, "on_message_complete", on_message_complete)
        async with connected() as client:
            await client.send(CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: Bearer key\r\nExpect: 100-continue\r\n\r\n")

            assert await client.answer() == (200, b"1")
        assert seen == [b"host", b"transfer-encoding"]
