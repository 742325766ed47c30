"""What the catalogue promises, on every database that it runs on."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert, update

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import images, upload_jobs
from ingest.jobs import MOVES, Image, Job, JobStatus, LostJob, VariantState, WarmedVariant
from proxy.errors import CatalogUnavailable, UnknownUpload
from proxy.model import UploadId, new_upload_id
from tests.postgres import PostgresServer

PENDING, PROCESSING, COMPLETE, FAILED = JobStatus
NOON = datetime(2025, 11, 2, 12, 0, 0, 123456, tzinfo=UTC)
WAYS = {PENDING: (), PROCESSING: (PROCESSING,), COMPLETE: (PROCESSING, COMPLETE), FAILED: (PROCESSING, FAILED)}
"""How a pending job gets there."""


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture(scope="module")
def migrated(postgres_server: PostgresServer) -> str:
    """The name of a migrated Postgres database, to be copied: that is faster than to migrate each."""

    async def migrate(url: str) -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    url = postgres_server.create_database()
    asyncio.run(migrate(url))
    return url.rpartition("/")[2]


@pytest.fixture
async def postgresql(postgres: PostgresServer, migrated: str) -> AsyncIterator[Database]:
    database = Database(postgres.create_database(template=migrated))
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Migrated and empty."""
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest.fixture
def repository(database: Database) -> JobRepository:
    return JobRepository(database)


def image_of(upload_id: UploadId, created_at: datetime = NOON) -> Image:
    variants = {
        "small.jpg": WarmedVariant(f"/images/{upload_id}/small.jpg"),
        "small.avif": WarmedVariant(f"/images/{upload_id}/small.avif", VariantState.STORED, 3511, 12.5),
        "large.png": WarmedVariant(f"/images/{upload_id}/large.png", VariantState.STORED, 1_000_000, None),
    }
    return Image(
        upload_id, "webp", 3_521_004, 4032, 3024, "1QcSHQRnh493V4dIh4eXh1h4kJUI", "#7a6b5c", variants, created_at
    )


async def upload(
    repository: JobRepository, status: JobStatus = PENDING, *, created_at: datetime = NOON, upload_id: str = ""
) -> UploadId:
    """An accepted upload whose job has come to `status`."""
    chosen = UploadId(upload_id or new_upload_id())
    await repository.begin(chosen)
    await repository.accept(image_of(chosen, created_at))
    before = PENDING
    for step in WAYS[status]:
        await repository.advance(chosen, expect=before, to=step)
        before = step
    return chosen


async def job_of(repository: JobRepository, upload_id: UploadId) -> Job:
    return (await repository.find(upload_id))[1]


async def newest_ids(repository: JobRepository, limit: int = 100) -> list[UploadId]:
    return [image.upload_id for image, _ in (await repository.newest(limit)).uploads]


class TestAccepting:
    async def test_what_was_accepted_is_found_as_it_was(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        await repository.accept(image_of(upload_id))

        image, job = await repository.find(upload_id)

        assert image == image_of(upload_id)
        assert job == Job(upload_id, PENDING, 0, None, NOON, NOON)
        assert type(image.upload_id) is str
        assert type(job.status) is JobStatus
        assert {type(variant.state) for variant in image.variants.values()} == {VariantState}

    async def test_an_unknown_id_is_said_to_be_unknown(self, repository: JobRepository) -> None:
        with pytest.raises(UnknownUpload, match="deleted"):
            await repository.find(new_upload_id())

    async def test_an_upload_still_coming_does_not_exist_for_anybody(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()

        await repository.begin(upload_id)

        with pytest.raises(UnknownUpload):
            await repository.find(upload_id)
        assert await repository.next_pending() is None
        assert await repository.count() == dict.fromkeys(JobStatus, 0)
        assert (await repository.newest(10)).uploads == []
        assert [one async for one in repository.each()] == []

    async def test_an_upload_cannot_begin_twice(self, repository: JobRepository) -> None:
        upload_id = await upload(repository)

        with pytest.raises(CatalogUnavailable):
            await repository.begin(upload_id)

        assert (await repository.find(upload_id))[0] == image_of(upload_id)

    async def test_an_upload_that_never_began_cannot_be_accepted(self, repository: JobRepository) -> None:
        with pytest.raises(CatalogUnavailable):
            await repository.accept(image_of(new_upload_id()))

        assert await newest_ids(repository) == []

    async def test_an_upload_cannot_be_accepted_twice(self, repository: JobRepository) -> None:
        upload_id = await upload(repository)

        with pytest.raises(CatalogUnavailable):
            await repository.accept(replace(image_of(upload_id), format="png"))

        assert (await repository.find(upload_id))[0] == image_of(upload_id)


class TestTimes:
    async def test_they_are_aware_and_in_utc_to_the_microsecond(self, repository: JobRepository) -> None:
        image, job = await repository.find(await upload(repository))

        for moment in (image.created_at, job.created_at, job.updated_at):
            assert moment == NOON
            assert moment.tzinfo is UTC

    async def test_another_zone_is_turned_into_utc(self, repository: JobRepository) -> None:
        in_delhi = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

        image, _ = await repository.find(await upload(repository, created_at=in_delhi))

        assert image.created_at == NOON
        assert image.created_at.tzinfo is UTC

    async def test_a_change_moves_the_update_and_nothing_else(self, repository: JobRepository) -> None:
        upload_id = await upload(repository)
        before = datetime.now(UTC)

        await repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        image, job = await repository.find(upload_id)
        assert before <= job.updated_at <= datetime.now(UTC)
        assert (image.created_at, job.created_at) == (NOON, NOON)


class TestDeleting:
    @pytest.mark.parametrize("status", JobStatus)
    async def test_both_rows_go_whatever_the_job_does(self, repository: JobRepository, status: JobStatus) -> None:
        upload_id, other = await upload(repository, status), await upload(repository, status)

        assert await repository.delete(upload_id) is True

        with pytest.raises(UnknownUpload):
            await repository.find(upload_id)
        assert await newest_ids(repository) == [other]
        assert sum((await repository.count()).values()) == 1
        await repository.begin(upload_id)  # not a trace is left in the way

    async def test_a_second_time_there_is_nothing(self, repository: JobRepository) -> None:
        upload_id = await upload(repository)
        await repository.delete(upload_id)

        assert await repository.delete(upload_id) is False
        assert await repository.delete(new_upload_id()) is False

    async def test_an_upload_still_coming_can_be_taken_back(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)

        assert await repository.delete(upload_id) is True
        assert await repository.delete(upload_id) is False


class TestAdvancing:
    @pytest.mark.parametrize(("expect", "to"), [(expect, to) for expect in MOVES for to in MOVES[expect]])
    async def test_a_legal_move_from_where_the_job_is(
        self, repository: JobRepository, expect: JobStatus, to: JobStatus
    ) -> None:
        upload_id = await upload(repository, expect)

        await repository.advance(upload_id, expect=expect, to=to)

        assert (await job_of(repository, upload_id)).status is to

    @pytest.mark.parametrize(
        ("expect", "to"), [(expect, to) for expect in JobStatus for to in JobStatus if to not in MOVES[expect]]
    )
    async def test_an_illegal_move_is_a_mistake(
        self, repository: JobRepository, expect: JobStatus, to: JobStatus
    ) -> None:
        upload_id = await upload(repository, expect)
        before = await job_of(repository, upload_id)

        with pytest.raises(ValueError, match=f"from {expect} to {to}"):
            await repository.advance(upload_id, expect=expect, to=to)

        assert await job_of(repository, upload_id) == before

    @pytest.mark.parametrize(
        ("status", "expect"), [(status, expect) for status in JobStatus for expect in JobStatus if status != expect]
    )
    async def test_a_job_that_is_elsewhere_is_lost(
        self, repository: JobRepository, status: JobStatus, expect: JobStatus
    ) -> None:
        upload_id = await upload(repository, status)
        before = await job_of(repository, upload_id)

        for to in MOVES[expect]:
            with pytest.raises(LostJob):
                await repository.advance(upload_id, expect=expect, to=to, progress=50, error="not mine")

        assert await job_of(repository, upload_id) == before

    async def test_an_unknown_job_is_lost(self, repository: JobRepository) -> None:
        with pytest.raises(LostJob):
            await repository.advance(new_upload_id(), expect=PENDING, to=PROCESSING)

    async def test_of_twenty_who_want_it_one_gets_it(self, repository: JobRepository) -> None:
        upload_id = await upload(repository)

        claims = [repository.advance(upload_id, expect=PENDING, to=PROCESSING) for _ in range(20)]
        results = await asyncio.gather(*claims, return_exceptions=True)

        assert results.count(None) == 1
        assert [type(result) for result in results if result is not None] == [LostJob] * 19

    async def test_only_the_job_meant_moves(self, repository: JobRepository) -> None:
        upload_id, other = await upload(repository), await upload(repository)

        await repository.advance(upload_id, expect=PENDING, to=PROCESSING, progress=7, error="hm")

        assert await job_of(repository, other) == Job(other, PENDING, 0, None, NOON, NOON)

    async def test_progress_stays_where_none_is_given(self, repository: JobRepository) -> None:
        upload_id = await upload(repository, PROCESSING)
        await repository.record(upload_id, 42, {})

        await repository.advance(upload_id, expect=PROCESSING, to=COMPLETE)
        assert (await job_of(repository, upload_id)).progress == 42

        await repository.advance(upload_id, expect=COMPLETE, to=PROCESSING, progress=0)
        assert (await job_of(repository, upload_id)).progress == 0

    async def test_an_error_lasts_until_the_next_move(self, repository: JobRepository) -> None:
        upload_id = await upload(repository, PROCESSING)

        await repository.advance(upload_id, expect=PROCESSING, to=FAILED, error="The file is “damaged”.")
        assert (await job_of(repository, upload_id)).error == "The file is “damaged”."

        await repository.advance(upload_id, expect=FAILED, to=PROCESSING)
        assert (await job_of(repository, upload_id)).error is None


class TestRecording:
    async def test_progress_and_variants_are_found_as_they_were_written(self, repository: JobRepository) -> None:
        upload_id = await upload(repository, PROCESSING)
        variants = {
            "tiny.webp": WarmedVariant("https://cdn.test/ü.webp", VariantState.STORED, 0, 0.1),
            "tiny.jpg": WarmedVariant("/b", VariantState.WAITING, None, None),
            "tiny.avif": WarmedVariant("/c", VariantState.STORED, 1000, 25.5, 66, 80.25),
        }

        await repository.record(upload_id, 50, variants)

        image, job = await repository.find(upload_id)
        assert image == replace(image_of(upload_id), variants=variants)
        assert (job.status, job.progress, job.error) == (PROCESSING, 50, None)

    async def test_variants_written_before_qualities_were_searched_for_are_read(
        self, repository: JobRepository, database: Database
    ) -> None:
        upload_id = await upload(repository, PROCESSING)
        row = {"small.jpg": {"url": "/a", "state": "stored", "bytes": 7, "milliseconds": 1.5}}
        async with database.transaction() as connection:
            await connection.execute(update(images).where(images.c.upload_id == upload_id).values(variants=row))

        image, _ = await repository.find(upload_id)

        assert image.variants == {"small.jpg": WarmedVariant("/a", VariantState.STORED, 7, 1.5, None, None)}

    @pytest.mark.parametrize("status", [PENDING, COMPLETE, FAILED])
    async def test_a_job_that_nobody_works_on_takes_no_record(
        self, repository: JobRepository, status: JobStatus
    ) -> None:
        upload_id = await upload(repository, status)
        before = await repository.find(upload_id)

        with pytest.raises(LostJob):
            await repository.record(upload_id, 50, {})

        assert await repository.find(upload_id) == before

    async def test_an_unknown_job_is_lost(self, repository: JobRepository) -> None:
        with pytest.raises(LostJob):
            await repository.record(new_upload_id(), 50, {})

    @pytest.mark.parametrize("progress", [0, 100])
    async def test_progress_reaches_from_none_to_all(self, repository: JobRepository, progress: int) -> None:
        upload_id = await upload(repository, PROCESSING)

        await repository.record(upload_id, progress, {})

        assert (await job_of(repository, upload_id)).progress == progress

    @pytest.mark.parametrize("progress", [-1, 101])
    async def test_progress_beyond_that_changes_nothing(self, repository: JobRepository, progress: int) -> None:
        upload_id = await upload(repository, PROCESSING)
        before = await repository.find(upload_id)

        with pytest.raises(CatalogUnavailable):
            await repository.record(upload_id, progress, {})

        assert await repository.find(upload_id) == before


class TestForWorkers:
    async def test_the_one_that_waited_longest_comes_first(self, repository: JobRepository) -> None:
        late = await upload(repository, created_at=NOON + timedelta(seconds=2))
        early = await upload(repository, created_at=NOON)
        middle = await upload(repository, created_at=NOON + timedelta(seconds=1))

        order = []
        while (upload_id := await repository.next_pending()) is not None:
            order.append(upload_id)
            await repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        assert order == [early, middle, late]

    async def test_looking_takes_nothing(self, repository: JobRepository) -> None:
        upload_id = await upload(repository)

        assert [await repository.next_pending() for _ in range(3)] == [upload_id] * 3

    @pytest.mark.parametrize("status", [PROCESSING, COMPLETE, FAILED])
    async def test_a_job_that_does_not_wait_is_not_offered(self, repository: JobRepository, status: JobStatus) -> None:
        await upload(repository, status)

        assert await repository.next_pending() is None

    async def test_recovering_makes_pending_what_was_in_hand(self, repository: JobRepository) -> None:
        uploads = {status: [await upload(repository, status) for _ in range(2)] for status in JobStatus}

        assert await repository.recover() == 2
        assert await repository.recover() == 0

        after = {status: [(await job_of(repository, one)).status for one in ids] for status, ids in uploads.items()}
        assert after == {status: [PENDING if status is PROCESSING else status] * 2 for status in JobStatus}

    async def test_recovering_leaves_who_has_shown_a_sign_of_life(self, repository: JobRepository) -> None:
        at_work = await upload(repository, PROCESSING)

        assert await repository.recover(timedelta(minutes=2)) == 0
        assert (await job_of(repository, at_work)).status is PROCESSING

        before = datetime.now(UTC)
        assert await repository.recover(timedelta(microseconds=1)) == 1
        recovered = await job_of(repository, at_work)
        assert recovered.status is PENDING
        assert recovered.updated_at >= before

    async def test_overdue_are_those_unended_without_a_sign_of_life_the_oldest_first(
        self, repository: JobRepository
    ) -> None:
        long_ago = [
            await upload(repository, created_at=datetime.now(UTC) - timedelta(minutes=minutes)) for minutes in (5, 9, 7)
        ]
        await upload(repository, created_at=datetime.now(UTC))
        for status in (PROCESSING, COMPLETE, FAILED):  # whose last sign of life is their last move, just now
            await upload(repository, status, created_at=datetime.now(UTC) - timedelta(hours=1))
        await repository.begin(new_upload_id())

        overdue = await repository.overdue(timedelta(minutes=1))

        assert overdue == [await job_of(repository, long_ago[index]) for index in (1, 2, 0)]

    async def test_of_all_that_are_unseen_those_that_have_ended_are_not_overdue(
        self, repository: JobRepository
    ) -> None:
        uploads = {await upload(repository, status): status for status in JobStatus}

        overdue = await repository.overdue(timedelta(0))

        assert {job.upload_id for job in overdue} == {
            one for one, status in uploads.items() if status in (PENDING, PROCESSING)
        }

    async def test_each_status_is_counted_even_if_it_is_nobodys(self, repository: JobRepository) -> None:
        for status in (PENDING, PENDING, PENDING, PROCESSING, FAILED):
            await upload(repository, status)

        assert await repository.count() == {PENDING: 3, PROCESSING: 1, COMPLETE: 0, FAILED: 1}


class TestForTheGarbageCollector:
    async def test_an_upload_exists_from_its_first_byte_to_its_deletion(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        assert await repository.exists(upload_id) is False

        await repository.begin(upload_id)
        assert await repository.exists(upload_id) is True
        await repository.accept(image_of(upload_id))
        assert await repository.exists(upload_id) is True

        await repository.delete(upload_id)
        assert await repository.exists(upload_id) is False

    async def test_half_uploads_are_those_begun_long_ago_whose_image_never_came(
        self, repository: JobRepository
    ) -> None:
        half = [new_upload_id() for _ in range(3)]
        for upload_id in half:
            await repository.begin(upload_id)
        await upload(repository)

        assert await repository.half_uploads(datetime.now(UTC) - timedelta(minutes=1)) == []
        assert await repository.half_uploads(datetime.now(UTC)) == half


class TestPages:
    async def uploads(self, repository: JobRepository, number: int = 25) -> Sequence[UploadId]:
        """In the order of a listing. Of every five, three have come in the same microsecond."""
        moments = [NOON + timedelta(microseconds=index // 5 * 5 + max(0, index % 5 - 2)) for index in range(number)]
        made = [(moment, await upload(repository, created_at=moment)) for moment in moments]
        return [upload_id for _, upload_id in sorted(made, reverse=True)]

    async def walk(self, repository: JobRepository, limit: int) -> list[list[UploadId]]:
        pages, cursor = [], None
        while True:
            page = await repository.newest(limit, cursor)
            pages.append([image.upload_id for image, _ in page.uploads])
            if (cursor := page.cursor) is None:
                return pages

    @pytest.mark.parametrize("limit", [1, 3, 10, 24])
    async def test_they_hold_every_upload_once_newest_first(self, repository: JobRepository, limit: int) -> None:
        ids = await self.uploads(repository)

        pages = await self.walk(repository, limit)

        assert [upload_id for page in pages for upload_id in page] == ids
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert 0 < len(pages[-1]) <= limit

    @pytest.mark.parametrize("limit", [25, 26, 100])
    async def test_one_page_that_holds_all_leads_nowhere(self, repository: JobRepository, limit: int) -> None:
        ids = await self.uploads(repository)

        assert await self.walk(repository, limit) == [ids]

    async def test_nothing_is_one_empty_page(self, repository: JobRepository) -> None:
        assert await self.walk(repository, 10) == [[]]

    async def test_uploads_come_with_their_jobs(self, repository: JobRepository) -> None:
        upload_id = await upload(repository, FAILED)

        assert (await repository.newest(1)).uploads == [await repository.find(upload_id)]

    async def test_what_comes_meanwhile_shifts_no_page(self, repository: JobRepository) -> None:
        ids = await self.uploads(repository)
        first = await repository.newest(10)
        for second in range(5):
            await upload(repository, created_at=NOON + timedelta(seconds=1 + second))

        second_page = await repository.newest(10, first.cursor)

        assert [image.upload_id for image, _ in second_page.uploads] == ids[10:20]

    async def test_what_goes_meanwhile_shifts_no_page(self, repository: JobRepository) -> None:
        ids = await self.uploads(repository)
        first = await repository.newest(10)
        for gone in (ids[3], ids[9], ids[10]):  # the cursor's own upload is among them
            await repository.delete(gone)

        second_page = await repository.newest(10, first.cursor)

        assert [image.upload_id for image, _ in second_page.uploads] == ids[11:21]

    async def test_each_walks_through_all_of_many(self, repository: JobRepository, database: Database) -> None:
        made = [image_of(UploadId(str(UUID(int=index))), NOON + timedelta(seconds=index // 3)) for index in range(1203)]
        async with database.transaction() as connection:
            jobs = [
                {"upload_id": one.upload_id, "status": PENDING, "created_at": NOON, "updated_at": NOON} for one in made
            ]
            await connection.execute(insert(upload_jobs), jobs)
            await connection.execute(insert(images), [asdict(image) for image in made])

        listed = [image.upload_id async for image, _ in repository.each()]

        assert listed == [image.upload_id for image in reversed(made)]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
BAD_CURSORS = {
    "empty": "",
    "no base64": "*" * 8,
    "cut base64": encoded(f"{NOON.isoformat()} {ID}")[:-3],
    "not ascii": "ärger",
    "a lone surrogate": "\ud800",
    "not utf-8": base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
    "empty inside": encoded(" "),
    "no id": encoded(NOON.isoformat()),
    "an id that is none": encoded(f"{NOON.isoformat()} {ID[:-1]}"),
    "an upper-case id": encoded(f"{NOON.isoformat()} {ID.upper()}"),
    "more behind the id": encoded(f"{NOON.isoformat()} {ID} "),
    "no moment": encoded(f"yesterday {ID}"),
    "a moment without its zone": encoded(f"{NOON.replace(tzinfo=None).isoformat()} {ID}"),
    "a number for a moment": encoded(f"1762084800 {ID}"),
    "SQL": encoded(f"' OR 1=1 -- {ID}"),
}


@pytest.mark.parametrize("cursor", BAD_CURSORS.values(), ids=BAD_CURSORS)
async def test_a_cursor_that_is_none_of_ours_is_a_mistake_of_the_caller(repository: JobRepository, cursor: str) -> None:
    await upload(repository)

    with pytest.raises(ValueError, match="not a cursor"):
        await repository.newest(10, cursor)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_cursor_from_beyond_the_calendar_is_a_mistake_of_the_caller(
    repository: JobRepository, moment: str
) -> None:
    await upload(repository)

    with pytest.raises(ValueError, match="not a cursor"):
        await repository.newest(10, encoded(f"{moment} {ID}"))
