"""The routes that show an upload, its status, and pages of uploads."""

from datetime import UTC, datetime
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.upload_filter import ALL_UPLOADS, UploadFilter
from ingest.catalog.upload_reader import Page
from ingest.ingest_services import IngestServices
from ingest.jobs.deliver import deliver
from ingest.records import JobStatus
from proxy.model import UploadId, new_upload_id
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.leftovers import rows
from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.problems import assert_problem

UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
pytestmark = pytest.mark.asyncio(loop_scope="session")


NAMES = [f"{size}.{format}" for size in ("small", "medium", "large") for format in ("jpg", "webp", "avif")]
WAITING = {"state": "waiting", "bytes": None, "milliseconds": None, "quality": None, "score": None}


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
        upload_id = (await service.upload(image_bytes())).json()["uploadId"]

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
        ids = [(await service.upload(image_bytes())).json()["uploadId"] for _ in range(6)]

        seen, cursor = [], ""
        for _ in range(3):
            answer = await service.get(f"/images?limit=2&cursor={cursor}")
            assert answer.status_code == 200
            assert set(answer.json()) == {"images", "cursor"}
            assert len(answer.json()["images"]) == 2
            seen += answer.json()["images"]
            cursor = answer.json()["cursor"]

        assert [document["uploadId"] for document in seen] == ids[::-1]
        assert seen[0] == (await service.get(f"/images/{ids[-1]}")).json()

    async def test_last_page_has_no_cursor(self, service: Service, created: dict[str, object]) -> None:
        """However many uploads other tests have left."""
        _, count = await rows(service.ingest.database)
        document = (await service.get("/images?limit=100")).json()
        first = document["images"][0]["uploadId"]

        for _ in range((count - 1) // 100):
            assert len(document["images"]) == 100
            document = (await service.get(f"/images?limit=100&cursor={document['cursor']}")).json()

        assert document["cursor"] is None
        assert first == created["uploadId"]

    @pytest.mark.parametrize(
        ("query", "limit"),
        [("", 20), ("?limit=1", 1), ("?limit=007", 7), ("?limit=100", 100)],
    )
    async def test_limit_is_the_size_of_the_page(self, service: Service, query: str, limit: int) -> None:
        repository = EmptyRepository(service.ingest.database)

        assert (await service.made_of(repository=repository).get(f"/images{query}")).status_code == 200

        assert repository.limits == [limit]

    async def test_row_that_cannot_be_read_is_no_fault_of_the_request(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = EmptyRepository(service.ingest.database)
        monkeypatch.setattr(repository, "newest", AsyncMock(side_effect=ValueError("a status of a later version")))

        answer = await service.made_of(repository=repository).get("/images")

        assert (answer.status_code, answer.json()["code"]) == (500, "internal")

    @pytest.mark.parametrize(
        "limit",
        [
            "ten",
            "",
            "1.5",
            "1e3",
            "9" * 5000,
            "0",
            "-1",
            "-7",
            "101",
            "1000000000",
            "%2B5",
            "1_0",
            "%205",
            "%D9%A3",
            "5%0A",
        ],
    )
    async def test_limit_out_of_range_is_malformed(self, service: Service, limit: str) -> None:
        detail = await assert_problem(service, "GET", f"/images?limit={limit}", 400, "malformed")

        assert detail == "`limit` must be a whole number from 1 to 100."

    async def test_filters_combine_with_each_other_and_with_the_cursor(self, service: Service) -> None:
        zoe, ida, a, b = (f"{name} & {uuid4()}" for name in ("Zoë", "Ida", "a", "b"))  # other tests share the database
        ids = []
        async with service.client() as client:
            for owner, name in ((zoe, a), (zoe, b), (ida, a), (zoe, a)):
                form = {"owner": owner, "externalId": name}
                answer = await client.post("/images/upload", files={"image": image_bytes()}, data=form)
                ids.append(answer.json()["uploadId"])

            async def listed(**parameters: str) -> tuple[list[int], str | None]:
                page = (await client.get("/images", params=parameters)).json()
                return [ids.index(upload["uploadId"]) for upload in page["images"]], page["cursor"]

            first, cursor = await listed(owner=zoe, limit="2")
            assert first == [3, 1]
            assert await listed(owner=zoe, limit="2", cursor=cursor or "") == ([0], None)
            assert await listed(externalId=a) == ([3, 2, 0], None)
            assert await listed(owner=zoe, externalId=a) == ([3, 0], None)
            assert await listed(owner=zoe.lower()) == ([], None)
            assert await listed(ids=f"{ids[0]},{UNKNOWN},{ids[2]},{ids[0]}") == ([2, 0], None)
            assert await listed(ids=",".join(ids), owner=ida, externalId=a) == ([2], None)

    async def test_hundred_ids_are_read_by_one_query_onto_one_page(self, service: Service) -> None:
        repository = EmptyRepository(service.ingest.database)
        ids = [new_upload_id() for _ in range(100)]

        answer = await service.made_of(repository=repository).get(f"/images?ids={','.join(ids)}")

        assert answer.status_code == 200
        assert (repository.limits, repository.wanted) == ([100], [UploadFilter(ids=frozenset(ids))])

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("ids=", "malformed"),
            (f"ids={UNKNOWN},", "malformed"),
            (f"ids={UNKNOWN.upper()}", "malformed"),
            (f"ids={','.join([UNKNOWN] * 101)}", "malformed"),
            (f"ids={UNKNOWN}&ids={UNKNOWN}", "malformed"),
            ("owner=a&owner=a", "malformed"),
            ("limit=1&limit=1", "malformed"),
            ("owner=", "invalid_field"),
            ("owner=%0A", "invalid_field"),
            ("externalId=", "invalid_field"),
            (f"externalId={'a' * 129}", "invalid_field"),
            ("external_id=a", "unknown_field"),
            ("Owner=a", "unknown_field"),
            ("page=2", "unknown_field"),
        ],
    )
    async def test_wrong_parameter_is_refused_instead_of_ignored(self, service: Service, query: str, code: str) -> None:
        await assert_problem(service, "GET", f"/images?{query}", 400, code)

    @pytest.mark.parametrize("cursor", ["x", "%00", "MjAyNQ=="])
    async def test_invalid_cursor_is_malformed(self, service: Service, cursor: str) -> None:
        detail = await assert_problem(service, "GET", f"/images?cursor={cursor}", 400, "malformed")

        assert detail == "`cursor` must be the `cursor` of an earlier page."


class EmptyRepository(JobRepository):
    """Records the limits of its calls."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.limits: list[int] = []
        self.wanted: list[UploadFilter] = []

    async def newest(self, limit: int, cursor: str | None = None, wanted: UploadFilter = ALL_UPLOADS) -> Page:
        self.limits.append(limit)
        self.wanted.append(wanted)
        return Page([], cursor)


async def advance(ingest: IngestServices, upload_id: str, to: JobStatus, error: str | None = None) -> None:
    chosen = UploadId(upload_id)
    await ingest.repository.advance(chosen, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
    await ingest.repository.advance(chosen, expect=JobStatus.PROCESSING, to=to, error=error)
