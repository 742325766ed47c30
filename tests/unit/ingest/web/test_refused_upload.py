"""`POST /images/upload`: every refusal is the documented one, leaves nothing, and reads no more than necessary."""

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.catalog.upload_filter import ALL_UPLOADS, UploadFilter
from ingest.ingest_errors import CatalogUnavailable
from proxy.errors import StoreUnavailable
from proxy.model import new_upload_id
from tests.fakes import CountingStore, sample
from tests.unit.ingest.bodies import multipart, part, upload_body
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.refusals import FILE, MIB, problem, send

pytestmark = pytest.mark.asyncio(loop_scope="session")


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "a GIF": (upload_body(b"GIF89a" + bytes(500)), 400, "unsupported_format"),
    "a page": (upload_body(b"<!doctype html><p>hello</p>"), 400, "unsupported_format"),
    "an empty file": (upload_body(b""), 400, "missing_image"),
    "another field": (upload_body(image_bytes(), field="file"), 400, "missing_image"),
    "text": (multipart(part('name="image"', image_bytes())), 400, "missing_image"),
    "no part": (multipart(), 400, "missing_image"),
    "two pictures": (multipart(part(FILE, image_bytes()), part(FILE, image_bytes())), 400, "malformed"),
    "cut": (upload_body(image_bytes())[:-10], 400, "malformed"),
    "cut within the picture": (upload_body(image_bytes())[:700], 400, "malformed"),
    "cut after the picture": (part(FILE, image_bytes()), 400, "malformed"),
    "nothing": (b"", 400, "malformed"),
    "65 parts": (
        multipart(*[part(f'name="f{n}"', b"") for n in range(64)], part(FILE, image_bytes())),
        400,
        "malformed",
    ),
    "too small": (upload_body(image_bytes(99, 300)), 422, "too_small"),
    "too many pixels": (upload_body(image_bytes(100, 1001)), 422, "too_many_pixels"),
    "half a picture": (upload_body(image_bytes()[:-600]), 422, "undecodable"),
    "one byte too large": (upload_body(image_bytes().ljust(MIB + 1, b"\0")), 413, "too_large"),
}


class TestBodies:
    @pytest.mark.promise("B1", "B7")
    @pytest.mark.parametrize(("body", "status", "code"), REFUSED.values(), ids=REFUSED)
    @pytest.mark.parametrize("step", [1000, None])
    async def test_invalid_upload_is_refused_with_a_reason(
        self, service: Service, body: bytes, status: int, code: str, step: int | None
    ) -> None:
        pieces = [body[at : at + (step or len(body))] for at in range(0, len(body), step or len(body) or 1)]

        problem(await send(service, Exchange(pieces)), status, code)

    @pytest.mark.promise("B7")
    @pytest.mark.parametrize(
        ("content_type", "code"),
        [
            ("image/jpeg", "missing_image"),
            ("multipart/form-data", "missing_image"),
            ("application/x-www-form-urlencoded", "missing_image"),
            ("multipart/form-data; boundary=another", "malformed"),
        ],
    )
    async def test_other_content_type_is_refused(self, service: Service, content_type: str, code: str) -> None:
        exchange = await send(service, Exchange([upload_body(image_bytes())]), content_type=content_type)

        problem(exchange, 400, code)

    async def test_missing_boundary_is_named(self, service: Service) -> None:
        exchange = await send(service, Exchange([upload_body(image_bytes())]), content_type="multipart/form-data")

        assert problem(exchange, 400, "missing_image")["detail"] == (
            "Content-Type names no boundary between the parts. Do not set this header yourself: the HTTP client does."
        )

    async def test_missing_content_type_is_refused(self, service: Service) -> None:
        before = await service.holdings()
        exchange = await Exchange([upload_body(image_bytes())]).run(service.app, "POST", "/images/upload")

        problem(exchange, 400, "missing_image")
        assert await service.holdings() == before

    async def test_detail_of_a_refusal_names_the_remedy(self, service: Service) -> None:
        small = problem(await send(service, Exchange([REFUSED["too small"][0]])), 422, "too_small")
        large = problem(await send(service, Exchange([REFUSED["one byte too large"][0]])), 413, "too_large")
        other = problem(await send(service, Exchange([REFUSED["another field"][0]])), 400, "missing_image")

        assert "99x300" in small["detail"]
        assert "100" in small["detail"]
        assert "at most 1 MB" in large["detail"]
        assert "`image`" in other["detail"]

    @pytest.mark.parametrize("name", ["too small", "an empty file", "half a picture"])
    async def test_response_after_a_complete_body_is_immediate(self, service: Service, name: str) -> None:
        """`receive` then returns only when the client disconnects, so the response would end seconds late."""
        body, status, code = REFUSED[name]

        exchange = await send(service, Exchange([body]))

        problem(exchange, status, code)
        assert exchange.received_after_end == 0


class TestRecords:
    @pytest.mark.parametrize("accept", ["application/json", "text/html"])
    async def test_request_line_has_the_code(self, service: Service, accept: str) -> None:
        with capture_logs() as logs:
            await send(service, Exchange([upload_body(b"")]), accept=accept)

        [line] = [line for line in logs if line["event"] == "request"]
        assert (line["status"], line["code"]) == (400, "missing_image")

    async def test_request_line_of_an_unknown_upload_has_the_code(self, service: Service) -> None:
        with capture_logs() as logs:
            await service.get(f"/images/{new_upload_id()}")

        [line] = [line for line in logs if line["event"] == "request"]
        assert (line["status"], line["code"]) == (404, "not_found")

    async def test_request_line_of_a_page_without_a_key_has_the_code(self, service: Service) -> None:
        guarded = service.configured(api_keys=("k" * 32,))
        with capture_logs() as logs:
            exchange = await send(guarded, Exchange([upload_body(b"")]), accept="text/html")

        [line] = [line for line in logs if line["event"] == "request"]
        assert (exchange.status, line["code"]) == (401, "unauthorized")

    async def test_request_line_names_the_key_without_its_secret(self, service: Service) -> None:
        guarded = service.configured(api_keys=("shop:read:hunter2-hunter2-hunter2",))
        with capture_logs() as logs:
            answers = [
                await guarded.get("/images", authorization="Bearer hunter2-hunter2-hunter2"),
                await guarded.upload(b"", authorization="Bearer hunter2-hunter2-hunter2"),
            ]

        lines = [line for line in logs if line["event"] == "request"]
        assert [(line["status"], line["key"], line.get("code")) for line in lines] == [
            (200, "shop", None),
            (403, "shop", "forbidden"),
        ]
        assert [answer.status_code for answer in answers] == [200, 403]
        assert "hunter2" not in str(logs)

    @pytest.mark.parametrize(
        ("headers", "code"),
        [({"idempotency_key": "a key"}, "malformed"), ({"content_length": str(9 * MIB)}, "too_large")],
    )
    async def test_refusal_by_headers_is_counted(self, service: Service, headers: dict[str, str], code: str) -> None:
        metrics = service.ingest.proxy.metrics
        before = sample(metrics, "darkroom_uploads_total", outcome=code)

        await send(service, Exchange([upload_body(image_bytes())]), **headers)

        assert sample(metrics, "darkroom_uploads_total", outcome=code) == before + 1


class TestAway:
    async def test_store_outage_returns_503_with_retry_after(self, service: Service) -> None:
        store = CountingStore(service.ingest.proxy.store)
        store.fail("put")
        broken = service.made_of(proxy=replace(service.ingest.proxy, store=store))

        exchange = await send(broken, Exchange([upload_body(image_bytes())]))

        problem(exchange, 503, StoreUnavailable.code)
        assert int(exchange.headers["retry-after"]) > 0

    @pytest.mark.parametrize("method", ["begin", "accept"])
    async def test_database_outage_returns_503_with_retry_after(self, service: Service, method: str) -> None:
        repository = WatchedRepository(service.ingest.database)
        repository.fail(method, 1)

        exchange = await send(service.made_of(repository=repository), Exchange([upload_body(image_bytes())]))

        problem(exchange, 503, CatalogUnavailable.code)
        assert int(exchange.headers["retry-after"]) > 0

    @pytest.mark.parametrize("path", ["/images", "/images/{id}", "/images/{id}/status", "/images/{id}/events"])
    async def test_database_outage_returns_503_for_reads(self, service: Service, path: str) -> None:
        upload_id = (await service.upload(image_bytes())).json()["uploadId"]
        repository = AwayRepository(service.ingest.database)

        exchange = await Exchange().run(service.made_of(repository=repository).app, "GET", path.format(id=upload_id))

        problem(exchange, 503, CatalogUnavailable.code)
        assert int(exchange.headers["retry-after"]) > 0


class AwayRepository(WatchedRepository):
    async def find(self, upload_id: Any) -> Any:
        raise CatalogUnavailable("The fake database is unavailable.")

    async def newest(self, limit: int, cursor: str | None = None, wanted: UploadFilter = ALL_UPLOADS) -> Any:
        raise CatalogUnavailable("The fake database is unavailable.")
