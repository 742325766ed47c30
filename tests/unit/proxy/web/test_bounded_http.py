"""Connection limits, tested on a real uvicorn."""

import asyncio
import json
from contextlib import suppress

import pytest

from proxy.web.bounded_http import HEAD_BYTES, HEAD_LINES
from tests.unit.proxy.web.bounded_server import GET, SOON, Connect, Hasty

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestHeads:
    @pytest.mark.promise("D5")
    @pytest.mark.heavy
    async def test_missing_head_closes_the_connection(self, connected: Connect) -> None:
        async def ends(sent: bytes) -> bool:
            async with connected(Hasty) as client:
                await client.send(sent)
                return await client.closed()

        assert await asyncio.gather(*map(ends, (b"", b"G", GET, b"\r\n\r\n", GET + b"X-Long: "))) == [True] * 5

    @pytest.mark.heavy
    async def test_slow_head_does_not_extend_the_deadline(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(GET + b"X-Long: ")
            assert await client.closed_while_dripping()

    @pytest.mark.heavy
    async def test_second_request_of_a_connection_has_the_same_head_deadline(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(GET + b"\r\n")
            assert await client.answer() == (200, b"ok")
            await client.send(GET)

            assert await client.closed()

    @pytest.mark.heavy
    async def test_idle_connection_and_blank_lines_between_requests_are_allowed(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send(GET + b"\r\n\r\n\r\n")
            assert await client.answer() == (200, b"ok")
            await asyncio.sleep(1.5 * SOON)
            await client.send(GET + b"\r\n")
            assert await client.answer() == (200, b"ok")

    async def test_pipelined_requests_are_answered(self, connected: Connect) -> None:
        async with connected(Hasty) as client:
            await client.send((GET + b"\r\n") * 3)

            assert [await client.answer() for _ in range(3)] == [(200, b"ok")] * 3

    @pytest.mark.promise("D3")
    @pytest.mark.parametrize(
        "head",
        [
            GET + b"X-Long: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
            b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            GET + b"X: y\r\n" * HEAD_LINES + b"\r\n",
        ],
    )
    async def test_head_beyond_the_limits_is_431(self, connected: Connect, head: bytes) -> None:
        async with connected() as client:
            await client.send(head)

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
            assert await client.closed()

    @pytest.mark.parametrize(
        "head",
        [
            GET + b"X-Long: " + b"x" * (HEAD_BYTES - 20) + b"\r\n\r\n",
            GET + b"X: y\r\n" * (HEAD_LINES - 1) + b"\r\n",
        ],
    )
    async def test_head_within_the_limits_is_accepted_in_any_pieces(self, connected: Connect, head: bytes) -> None:
        async with connected() as client:
            for start in range(0, len(head), 1000):
                await client.send(head[start : start + 1000])

            assert await client.answer() == (200, b"ok")

    async def test_endless_head_is_cut_off(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(GET + b"X-Long: ")
            sent = 0
            while not client.reader.at_eof() and sent < 100 << 20:
                await client.send(b"x" * 10_000)
                await asyncio.sleep(0)
                sent += 10_000
                if client.reader._buffer:
                    break

            assert (await client.answer())[0] == 431
            assert sent < 10 << 20  # the kernel's buffers and 32 KiB

    @pytest.mark.parametrize("then", [GET + b"X-Long: " + b"x" * HEAD_BYTES * 20, b"nonsense\r\n\r\n"])
    async def test_bad_request_after_a_started_response_aborts_the_connection(
        self, connected: Connect, then: bytes
    ) -> None:
        async with connected() as client:
            await client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.reader.readuntil(b"event\r\n")
            for start in range(0, len(then), 1000):
                await client.send(then[start : start + 1000])

            with suppress(ConnectionError):
                assert await client.reader.read(1) == b""

    async def test_malformed_http_is_400(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03")

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (400, "bad_request")
            assert await client.closed()

    @pytest.mark.promise("D5")
    async def test_http_09_is_400_after_its_only_line(self, connected: Connect) -> None:
        for pieces in ([b"GET /\r\n"], [b"GET /\n"], [b"GET /", b"\r\n"]):
            async with connected() as client:
                for piece in pieces:
                    await client.send(piece)
                    await asyncio.sleep(0.01)

                assert (await client.answer())[0] == 400
                assert await client.closed()

    @pytest.mark.promise("D4")
    @pytest.mark.parametrize(
        "hosts",
        [
            [],
            ["a", "b"],
            ["a", "a"],
            [""],
            ["a b/<>"],
            ["a/b"],
            ["user@a"],
            ["a:b"],
            ["a:1:2"],
            ["[::1"],
            ["a\xe9"],
            ["http://a"],
        ],
    )
    async def test_missing_repeated_or_invalid_host_is_400(self, connected: Connect, hosts: list[str]) -> None:
        async with connected() as client:
            lines = ["GET / HTTP/1.1", *(f"Host: {host}" for host in hosts), "", ""]
            await client.send("\r\n".join(lines).encode("latin-1"))

            status, body = await client.answer()
            assert (status, json.loads(body)["code"]) == (400, "bad_request")
            assert "`Host`" in json.loads(body)["detail"]
            assert await client.closed()

    @pytest.mark.parametrize(
        "host", ["a", "a.test:8000", "A_b.test.", "127.0.0.1:80", "[::1]:8000", "xn--bcher-kva.test:"]
    )
    async def test_valid_host_is_accepted(self, connected: Connect, host: str) -> None:
        async with connected() as client:
            await client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

            assert await client.answer() == (200, b"ok")

    async def test_http_10_needs_no_host(self, connected: Connect) -> None:
        async with connected() as client:
            await client.send(b"GET / HTTP/1.0\r\n\r\n")

            assert await client.answer() == (200, b"ok")

    @pytest.mark.parametrize("garbage", [b"--BB\r\nfoo: bar\r\n\r\n", b"\0" * 100, b"GET / HTTP/2.0\r\n\r\n"])
    async def test_malformed_data_after_a_complete_request_does_not_affect_that_request(
        self, connected: Connect, garbage: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with connected() as client:
            await client.send(GET + b"\r\n" + garbage)

            assert await client.answer() == (200, b"ok")
            assert await client.closed()
        assert "Traceback" not in caplog.text

    async def test_malformed_body_disconnects_the_app(
        self, connected: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with connected() as client:
            await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")

            assert (await client.answer())[0] == 400
            assert await client.closed()
        assert "Traceback" not in caplog.text
