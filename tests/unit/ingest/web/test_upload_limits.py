"""`POST /images/upload`: limits of size and time, and clients that hang up."""

from itertools import repeat

import pytest

from tests.unit.ingest.bodies import part, upload_body
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.refusals import CHUNK, FILE, MIB, endless, problem, send

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestTooLarge:
    async def test_too_large_content_length_is_refused_unread(self, service: Service) -> None:
        exchange = await send(service, Exchange(endless(b"")), content_length=str(50 * MIB))

        problem(exchange, 413, "too_large")
        assert exchange.received_before_answer == 0
        assert exchange.headers["connection"] == "close"

    @pytest.mark.promise("B3")
    @pytest.mark.parametrize("declared", ["1" + "0" * 26, str(MIB + (64 << 10) + 1)])
    async def test_huge_content_length_is_refused(self, service: Service, declared: str) -> None:
        problem(await send(service, Exchange([]), content_length=declared), 413, "too_large")

    async def test_client_waiting_for_100_continue_gets_413_without_it(self, service: Service) -> None:
        exchange = await send(service, Exchange(endless(b"")), content_length=str(50 * MIB), expect="100-continue")

        problem(exchange, 413, "too_large")
        assert exchange.received == 0

    async def test_too_large_body_is_refused_at_the_limit(self, service: Service) -> None:
        exchange = await send(service, Exchange(endless(part(FILE, image_bytes())[:-2])))

        problem(exchange, 413, "too_large")
        assert exchange.received_before_answer <= 1 + MIB // len(CHUNK) + 1
        assert exchange.headers["connection"] == "close"

    async def test_remaining_body_is_discarded_for_a_while(self, service: Service) -> None:
        exchange = await send(service, Exchange(endless(part(FILE, image_bytes())[:-2])))

        dropped = exchange.received - exchange.received_before_answer
        assert 16 <= dropped * len(CHUNK) / MIB <= 65

    async def test_remaining_body_after_100_continue_is_discarded(self, service: Service) -> None:
        """The first read answered `Expect: 100-continue`, so bytes are on their way."""
        exchange = await send(service, Exchange(endless(part(FILE, image_bytes())[:-2])), expect="100-continue")

        problem(exchange, 413, "too_large")
        assert exchange.received > exchange.received_before_answer

    @pytest.mark.parametrize("filler", [b"\r\n" * 32_000, part('name="a"', bytes(60_000))])
    async def test_other_fields_are_limited(self, service: Service, filler: bytes) -> None:
        exchange = await send(service, Exchange(repeat(filler)))

        assert exchange.status == 400
        assert exchange.received_before_answer <= 4


class TestSlow:
    async def test_stalled_upload_times_out(self, service: Service) -> None:
        impatient = service.configured(upload_stall_timeout=0.05, upload_timeout=1000)
        exchange = await send(impatient, Exchange([upload_body(image_bytes())[:600]], ends=False))

        document = problem(exchange, 408, "upload_timeout")
        assert "0.05" in document["detail"]
        assert exchange.headers["connection"] == "close"

    async def test_upload_that_never_begins_times_out(self, service: Service) -> None:
        impatient = service.configured(upload_stall_timeout=0.05)

        problem(await send(impatient, Exchange(ends=False)), 408, "upload_timeout")

    async def test_upload_beyond_the_total_time_times_out(self, service: Service) -> None:
        impatient = service.configured(upload_timeout=0.05, upload_stall_timeout=1000)

        problem(await send(impatient, Exchange([upload_body(image_bytes())[:600]], ends=False)), 408, "upload_timeout")

    async def test_empty_messages_do_not_extend_the_total_time(self, service: Service) -> None:
        impatient = service.configured(upload_timeout=0.05, upload_stall_timeout=1000)
        exchange = Exchange(ends=False)
        exchange.body = iter(lambda: b"" if not exchange.status else None, None)

        problem(await send(impatient, exchange), 408, "upload_timeout")


class TestHangingUp:
    @pytest.mark.promise("B9")
    @pytest.mark.parametrize("taken", [0, 1, 12, 150, 160, 600, -1])
    async def test_disconnect_anywhere_leaves_nothing(self, service: Service, taken: int) -> None:
        body = upload_body(image_bytes())[:taken]

        exchange = await send(service, Exchange([body] if body else [], ends=False, hangs_up=True))

        problem(exchange, 400, "aborted")

    async def test_disconnect_after_the_closing_boundary_is_aborted(self, service: Service) -> None:
        exchange = await send(service, Exchange([upload_body(image_bytes())], ends=False, hangs_up=True))

        problem(exchange, 400, "aborted")
