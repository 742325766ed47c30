"""Pages of uploads: each upload once, despite concurrent changes."""

import base64
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert

from ingest.catalog.cursors import InvalidCursor
from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import images, upload_jobs
from ingest.catalog.upload_filter import UploadFilter
from proxy.errors import UnknownUpload
from proxy.model import UploadId, new_upload_id
from tests.contracts.uploads import FAILED, NOON, PENDING, accept_upload, upload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestPages:
    async def uploads(self, repository: JobRepository, number: int = 25) -> Sequence[UploadId]:
        """Ids in the order of a listing. Of every five uploads, three have the same microsecond."""
        moments = [NOON + timedelta(microseconds=index // 5 * 5 + max(0, index % 5 - 2)) for index in range(number)]
        made = [(moment, await accept_upload(repository, created_at=moment)) for moment in moments]
        return [upload_id for _, upload_id in sorted(made, reverse=True)]

    async def walk(self, repository: JobRepository, limit: int) -> list[list[UploadId]]:
        pages, cursor = [], None
        while True:
            page = await repository.newest(limit, cursor)
            pages.append([upload.upload_id for upload, _ in page.uploads])
            if (cursor := page.cursor) is None:
                return pages

    @pytest.mark.parametrize("limit", [pytest.param(1, marks=pytest.mark.slow), 3, 10, 24])
    async def test_pages_list_each_upload_once_newest_first(self, repository: JobRepository, limit: int) -> None:
        ids = await self.uploads(repository)

        pages = await self.walk(repository, limit)

        assert [upload_id for page in pages for upload_id in page] == ids
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert 0 < len(pages[-1]) <= limit

    @pytest.mark.parametrize("limit", [25, 26, 100])
    async def test_single_page_has_no_cursor(self, repository: JobRepository, limit: int) -> None:
        ids = await self.uploads(repository)

        assert await self.walk(repository, limit) == [ids]

    async def test_no_uploads_give_one_empty_page(self, repository: JobRepository) -> None:
        assert await self.walk(repository, 10) == [[]]

    async def test_pages_list_uploads_with_their_jobs(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, FAILED)

        assert (await repository.newest(1)).uploads == [await repository.find(upload_id)]

    async def test_new_uploads_do_not_shift_pages(self, repository: JobRepository) -> None:
        ids = await self.uploads(repository)
        first = await repository.newest(10)
        for second in range(5):
            await accept_upload(repository, created_at=NOON + timedelta(seconds=1 + second))

        second_page = await repository.newest(10, first.cursor)

        assert [upload.upload_id for upload, _ in second_page.uploads] == ids[10:20]

    async def test_deleted_uploads_do_not_shift_pages(self, repository: JobRepository) -> None:
        ids = await self.uploads(repository)
        first = await repository.newest(10)
        for gone in (ids[3], ids[9], ids[10]):  # the cursor's own upload is among them
            await repository.delete(gone)

        second_page = await repository.newest(10, first.cursor)

        assert [upload.upload_id for upload, _ in second_page.uploads] == ids[11:21]

    async def test_following_the_cursors_yields_every_upload_once(
        self, repository: JobRepository, database: Database
    ) -> None:
        made = [
            upload_of(UploadId(str(UUID(int=index))), NOON + timedelta(seconds=index // 3)) for index in range(1203)
        ]
        async with database.transaction() as connection:
            jobs = [
                {"upload_id": one.upload_id, "status": PENDING, "created_at": NOON, "updated_at": NOON} for one in made
            ]
            await connection.execute(insert(upload_jobs), jobs)
            await connection.execute(insert(images), [asdict(upload) for upload in made])

        page = await repository.newest(500)
        listed = [upload.upload_id for upload, _ in page.uploads]
        while page.cursor:
            page = await repository.newest(500, page.cursor)
            listed += [upload.upload_id for upload, _ in page.uploads]

        assert listed == [upload.upload_id for upload in reversed(made)]


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
async def test_invalid_cursor_raises_invalid_cursor(repository: JobRepository, cursor: str) -> None:
    await accept_upload(repository)

    with pytest.raises(InvalidCursor):
        await repository.newest(10, cursor)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_cursor_with_impossible_date_raises_invalid_cursor(repository: JobRepository, moment: str) -> None:
    await accept_upload(repository)

    with pytest.raises(InvalidCursor):
        await repository.newest(10, encoded(f"{moment} {ID}"))


class TestFilters:
    """Owner, external id and ids, alone and together, with and without a cursor."""

    async def uploads(self, repository: JobRepository) -> list[UploadId]:
        """Ids of uploads of the same microsecond: of Ida, Zoë, neither, Ida, ...; two of three have the external id."""
        ids = []
        for index in range(12):
            upload = replace(
                upload_of(new_upload_id()),
                owner=("Ida", "Zoë", None)[index % 3],
                external_id="7" if index % 4 else None,
            )
            await repository.begin(upload.upload_id)
            await repository.accept(upload)
            ids.append(upload.upload_id)
        return ids

    async def walk(self, repository: JobRepository, wanted: UploadFilter) -> list[UploadId]:
        found, cursor = [], None
        while True:
            page = await repository.newest(1, cursor, wanted)
            found += [upload.upload_id for upload, _ in page.uploads]
            if (cursor := page.cursor) is None:
                return found

    @pytest.mark.parametrize(
        ("wanted", "indexes"),
        [
            (UploadFilter(owner="Ida"), {0, 3, 6, 9}),
            (UploadFilter(external_id="7"), {1, 2, 3, 5, 6, 7, 9, 10, 11}),
            (UploadFilter(owner="Zoë", external_id="7"), {1, 7, 10}),
            (UploadFilter(owner="ida"), set()),
            (UploadFilter(ids=()), set()),
        ],
    )
    async def test_pages_have_the_uploads_that_meet_every_condition(
        self, repository: JobRepository, wanted: UploadFilter, indexes: set[int]
    ) -> None:
        ids = await self.uploads(repository)
        expected = sorted((ids[index] for index in indexes), reverse=True)

        page = await repository.newest(100, None, wanted)

        assert [upload.upload_id for upload, _ in page.uploads] == expected
        assert await self.walk(repository, wanted) == expected

    async def test_ids_leave_out_unknown_and_filtered_uploads(self, repository: JobRepository) -> None:
        ids = await self.uploads(repository)
        wanted = UploadFilter(owner="Ida", ids=[*ids[:4], new_upload_id()])

        assert await self.walk(repository, wanted) == sorted([ids[0], ids[3]], reverse=True)
        assert await self.walk(repository, replace(wanted, owner=None)) == sorted(ids[:4], reverse=True)

    async def test_changed_fields_are_found_by_their_new_values(self, repository: JobRepository) -> None:
        ids = await self.uploads(repository)

        changed = await repository.change_fields(ids[0], {"owner": "Zoë", "metadata": {"b": 1.0, "a": None}})

        assert (changed.owner, changed.external_id) == ("Zoë", None)
        assert list((await repository.find(ids[0]))[0].metadata or {}) == ["b", "a"]
        assert ids[0] in await self.walk(repository, UploadFilter(owner="Zoë"))
        assert ids[0] not in await self.walk(repository, UploadFilter(owner="Ida"))

    async def test_change_of_an_unknown_upload_is_refused(self, repository: JobRepository) -> None:
        with pytest.raises(UnknownUpload):
            await repository.change_fields(new_upload_id(), {"owner": "Zoë"})
