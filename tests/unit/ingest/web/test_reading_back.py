"""The routes other than upload: show, status, list, delete, health."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository, Page
from ingest.jobs.queue.retries import deliver
from ingest.records import JobStatus
from ingest.services import IngestServices
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.variants.variant_service import VariantService
from tests.fakes import CountingStore
from tests.unit.ingest.examples import picture
from tests.unit.ingest.exchange import Exchange
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = [f"{size}.{format}" for size in ("small", "medium", "large") for format in ("jpg", "png", "webp", "avif")]
WAITING = {"state": "waiting", "bytes": None, "milliseconds": None, "quality": None, "score": None}
UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


@pytest_asyncio.fixture(loop_scope="module")
async def created(service: Service) -> dict[str, object]:
    """The answer to an upload."""
    document: dict[str, object] = (await service.upload(picture())).json()
    return document


async def assert_problem(service: Service, method: str, path: str, status: int, code: str) -> str:
    async with service.client() as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["code"] == code
    assert answer.json()["detail"]
    return str(answer.json()["detail"])


class TestShow:
    async def test_show_includes_the_upload_response(self, service: Service, created: dict[str, object]) -> None:
        answer = await service.get(f"/images/{created['uploadId']}")

        document = answer.json()
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert {key: document[key] for key in created} == created
        assert set(document) - set(created) == {"createdAt", "picture"}
        assert document["picture"].startswith("<picture>")

    async def test_created_at_is_iso_8601_utc(self, service: Service) -> None:
        before = datetime.now(UTC)
        upload_id = (await service.upload(picture())).json()["uploadId"]

        created_at = datetime.fromisoformat((await service.get(f"/images/{upload_id}")).json()["createdAt"])

        assert before <= created_at <= datetime.now(UTC)
        assert created_at.utcoffset() == datetime.now(UTC).utcoffset()

    async def test_status_is_the_jobs(self, service: Service, created: dict[str, object]) -> None:
        await advance(service.ingest, str(created["uploadId"]), JobStatus.FAILED)

        assert (await service.get(f"/images/{created['uploadId']}")).json()["status"] == "failed"

    async def test_urls_follow_current_settings(self, service: Service, created: dict[str, object]) -> None:
        moved = service.configured(cdn_url="https://cdn.test")

        document = (await moved.get(f"/images/{created['uploadId']}")).json()

        assert document["urls"]["small"]["webp"] == f"https://cdn.test/images/{created['uploadId']}/small.webp"
        assert "https://cdn.test/images/" in document["picture"]


class TestStatus:
    async def test_all_variants_wait_before_warm_up(self, service: Service, created: dict[str, object]) -> None:
        answer = await service.get(str(created["statusUrl"]))

        document = answer.json()
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert document == {
            "uploadId": created["uploadId"],
            "status": "pending",
            "progress": 0,
            "error": None,
            "createdAt": document["createdAt"],
            "updatedAt": document["createdAt"],
            "variants": dict.fromkeys(NAMES, WAITING),
        }

    @pytest.mark.heavy
    async def test_status_after_warm_up_matches_served_variants(
        self, service: Service, created: dict[str, object]
    ) -> None:
        upload_id = UploadId(str(created["uploadId"]))
        assert await deliver(service.ingest.warmup.run, upload_id) is JobStatus.COMPLETE

        document = (await service.get(str(created["statusUrl"]))).json()

        assert (document["status"], document["progress"], document["error"]) == ("complete", 100, None)
        assert document["updatedAt"] > document["createdAt"]
        assert sorted(document["variants"]) == sorted(NAMES)
        for name, known in document["variants"].items():
            served = await service.get(f"/images/{upload_id}/{name}")
            assert served.headers["cache-status"] == "darkroom; hit"
            assert known["state"] == "stored"
            assert known["bytes"] == len(served.content)
            assert known["milliseconds"] is None or known["milliseconds"] > 0
            assert (known["quality"], known["score"]) == (None, None)

    async def test_failed_status_has_the_error(self, service: Service, created: dict[str, object]) -> None:
        await advance(service.ingest, str(created["uploadId"]), JobStatus.FAILED, "Export it again.")

        document = (await service.get(str(created["statusUrl"]))).json()

        assert (document["status"], document["progress"], document["error"]) == ("failed", 0, "Export it again.")


class TestPages:
    @pytest.mark.heavy
    async def test_pages_list_newest_first(self, service: Service) -> None:
        ids = [(await service.upload(picture())).json()["uploadId"] for _ in range(5)]

        seen, cursor = [], ""
        for _ in range(3):
            answer = await service.get(f"/images?limit=2&cursor={cursor}")
            assert answer.status_code == 200
            assert set(answer.json()) == {"images", "cursor"}
            assert len(answer.json()["images"]) == 2
            seen += answer.json()["images"]
            cursor = answer.json()["cursor"]

        assert [document["uploadId"] for document in seen[:5]] == ids[::-1]
        assert seen[0] == (await service.get(f"/images/{ids[-1]}")).json()

    async def test_last_page_has_no_cursor(self, service: Service, created: dict[str, object]) -> None:
        document = (await service.get("/images?limit=100")).json()

        assert document["cursor"] is None
        assert document["images"][0]["uploadId"] == created["uploadId"]

    @pytest.mark.parametrize(
        ("query", "limit"),
        [("", 20), ("?limit=1", 1), ("?limit=0", 1), ("?limit=-7", 1), ("?limit=100", 100), ("?limit=101", 100)],
    )
    async def test_limit_is_clamped(self, service: Service, query: str, limit: int) -> None:
        repository = EmptyRepository(service.ingest.database)

        assert (await service.made_of(repository=repository).get(f"/images{query}")).status_code == 200

        assert repository.limits == [limit]

    @pytest.mark.parametrize(
        "query",
        [
            "limit=ten",
            "limit=",
            "limit=1.5",
            "limit=1e3",
            "limit=" + "9" * 5000,
            "cursor=x",
            "cursor=%00",
            "cursor=MjAyNQ==",
        ],
    )
    async def test_invalid_limit_or_cursor_is_malformed(self, service: Service, query: str) -> None:
        detail = await assert_problem(service, "GET", f"/images?{query}", 400, "malformed")

        assert "limit" in detail
        assert "cursor" in detail


class TestDelete:
    @pytest.mark.heavy
    async def test_delete_removes_everything(self, service: Service) -> None:
        before = await service.holdings()
        upload_id = (await service.upload(picture())).json()["uploadId"]
        await deliver(service.ingest.warmup.run, upload_id)

        answer = await service.delete(f"/images/{upload_id}")

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert await service.holdings() == before
        for path in ("", "/status", "/events", "/small.jpg"):
            assert (await service.get(f"/images/{upload_id}{path}")).status_code == 404
        listed = (await service.get("/images?limit=100")).json()["images"]
        assert upload_id not in [document["uploadId"] for document in listed]

    async def test_second_delete_is_404(self, service: Service, created: dict[str, object]) -> None:
        await service.delete(f"/images/{created['uploadId']}")

        await assert_problem(service, "DELETE", f"/images/{created['uploadId']}", 404, "not_found")

    async def test_delete_in_store_outage_can_be_repeated(self, service: Service, created: dict[str, object]) -> None:
        path = f"/images/{created['uploadId']}"
        broken = with_store(service, store := CountingStore(service.ingest.proxy.store))
        store.fail("delete")

        exchange = await Exchange().run(broken.app, "DELETE", path)

        assert exchange.status == 503
        assert int(exchange.headers["retry-after"]) > 0
        assert (await service.get(path)).status_code == 200
        assert (await broken.delete(path)).status_code == 204


class TestUnknown:
    @pytest.mark.parametrize("path", ["", "/status", "/events"])
    @pytest.mark.parametrize(
        "upload_id", [UNKNOWN, UNKNOWN.upper(), UNKNOWN[:-1], UNKNOWN.replace("-", ""), "uploads", "%2e%2e", "a%00b"]
    )
    async def test_unknown_id_is_404(self, service: Service, upload_id: str, path: str) -> None:
        await assert_problem(service, "GET", f"/images/{upload_id}{path}", 404, "not_found")

    async def test_upper_case_id_is_404(self, service: Service, created: dict[str, object]) -> None:
        upload_id = str(created["uploadId"]).upper()

        await assert_problem(service, "GET", f"/images/{upload_id}", 404, "not_found")
        await assert_problem(service, "DELETE", f"/images/{upload_id}", 404, "not_found")

    @pytest.mark.parametrize("path", ["/nothing", "/images/upload/more", f"/images/{UNKNOWN}/variants", "/Images"])
    async def test_unknown_path_is_404(self, service: Service, path: str) -> None:
        await assert_problem(service, "GET", path, 404, "not_found")

    @pytest.mark.parametrize("path", ["/images/", f"/images/{UNKNOWN}/", "/images/upload/", "/healthz/"])
    async def test_trailing_slash_is_404(self, service: Service, path: str) -> None:
        """A cached redirect would repeat the request's Host header to others."""
        async with service.client({"host": "evil.test"}) as client:
            answer = await client.get(path)

        assert answer.status_code == 404
        assert "location" not in answer.headers


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("PUT", "/images/upload", {"POST"}),
            ("GET", "/images/upload", {"POST"}),
            ("DELETE", "/images/upload", {"POST"}),
            ("POST", "/images", {"GET", "HEAD"}),
            ("DELETE", "/images", {"GET", "HEAD"}),
            ("POST", f"/images/{UNKNOWN}/status", {"GET", "HEAD"}),
            ("DELETE", f"/images/{UNKNOWN}/events", {"GET", "HEAD"}),
            ("POST", f"/images/{UNKNOWN}/small.jpg", {"GET", "HEAD"}),
        ],
    )
    async def test_other_method_is_405_with_allow(
        self, service: Service, method: str, path: str, allowed: set[str]
    ) -> None:
        await self.assert_allowed(service, method, path, allowed)

    @pytest.mark.parametrize("method", ["PUT", "OPTIONS"])
    async def test_405_names_both_methods_of_a_path(self, service: Service, method: str) -> None:
        await self.assert_allowed(service, method, f"/images/{UNKNOWN}", {"GET", "HEAD", "DELETE"})

    async def assert_allowed(self, service: Service, method: str, path: str, allowed: set[str]) -> None:
        async with service.client() as client:
            answer = await client.request(method, path)

        assert answer.status_code == 405
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "method_not_allowed"
        assert {name.strip() for name in answer.headers["allow"].split(",")} == allowed


class TestHealth:
    async def test_healthz_and_readyz_are_ok(self, service: Service) -> None:
        assert (await service.get("/healthz")).json() == {"status": "ok"}
        ready = await service.get("/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {"status": "ready", "checks": {"store": "ok", "database": "ok"}},
        )

    @pytest.mark.promise("E9")
    @pytest.mark.heavy
    async def test_readyz_without_tables_is_503(self, service: Service) -> None:
        database = service.ingest.database
        await database.migrate("base")
        try:
            answer = await service.get("/readyz")
        finally:
            await database.migrate()

        assert answer.status_code == 503
        assert answer.json()["checks"]["store"] == "ok"
        assert "darkroom migrate" in answer.json()["checks"]["database"]


class EmptyRepository(JobRepository):
    """Records the limits of its calls."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.limits: list[int] = []

    async def newest(self, limit: int, cursor: str | None = None) -> Page:
        self.limits.append(limit)
        return Page([], cursor)


async def advance(ingest: IngestServices, upload_id: str, to: JobStatus, error: str | None = None) -> None:
    chosen = UploadId(upload_id)
    await ingest.repository.advance(chosen, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
    await ingest.repository.advance(chosen, expect=JobStatus.PROCESSING, to=to, error=error)


def with_store(service: Service, store: CountingStore) -> Service:
    """The same service with another store, for derivations too."""
    proxy = service.ingest.proxy
    variant_service = VariantService(
        store,
        proxy.pool,
        Recipes(proxy.settings),
        proxy.metrics,
        temporary=proxy.settings.temporary,
        timeout=5,
        memory_cache_bytes=0,
        missing_ttl=0.001,
    )
    return service.made_of(proxy=replace(proxy, store=store, variant_service=variant_service))
