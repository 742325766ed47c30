"""The repository's uploads, from the first byte to deletion."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import Job, JobStatus, PrivateMetadata, VariantState
from proxy.errors import UnknownUpload
from proxy.model import new_upload_id
from tests.contracts.uploads import COMPLETE, FAILED, NOON, PENDING, PROCESSING, accept_upload, newest_ids, upload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestAccepting:
    async def test_accepted_upload_is_read_back(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        await repository.accept(upload_of(upload_id))

        upload, job = await repository.find(upload_id)

        assert upload == upload_of(upload_id)
        assert job == Job(upload_id, PENDING, 0, None, NOON, NOON)
        assert type(upload.upload_id) is str
        assert type(job.status) is JobStatus
        assert {type(variant.state) for variant in upload.variants.values()} == {VariantState}

    @pytest.mark.parametrize(
        ("format", "alpha", "read"),
        [
            ("png", True, True),
            ("png", False, False),
            ("webp", None, None),  # rows of an earlier version
            ("jpeg", None, False),
        ],
    )
    async def test_alpha_is_read_back(
        self, repository: JobRepository, format: str, alpha: bool | None, read: bool | None
    ) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        await repository.accept(replace(upload_of(upload_id), format=format, alpha=alpha))

        assert (await repository.find(upload_id))[0].alpha is read

    async def test_animation_is_read_back(self, repository: JobRepository) -> None:
        found = {}
        for animated in (True, False):
            upload_id = new_upload_id()
            await repository.begin(upload_id)
            await repository.accept(replace(upload_of(upload_id), animated=animated))
            found[(await repository.find(upload_id))[0].animated] = upload_id

        assert {row.upload_id: row.animated async for row in repository.rows()} == {
            upload_id: animated for animated, upload_id in found.items()
        }

    async def test_unknown_id_raises_unknown_upload(self, repository: JobRepository) -> None:
        with pytest.raises(UnknownUpload, match="deleted"):
            await repository.find(new_upload_id())

    async def test_upload_in_progress_is_not_visible(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()

        await repository.begin(upload_id)

        with pytest.raises(UnknownUpload):
            await repository.find(upload_id)
        assert await repository.next_pending() is None
        assert await repository.count() == dict.fromkeys(JobStatus, 0)
        assert (await repository.newest(10)).uploads == []

    async def test_begin_twice_raises(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)

        with pytest.raises(CatalogUnavailable):
            await repository.begin(upload_id)

        assert (await repository.find(upload_id))[0] == upload_of(upload_id)

    async def test_accept_without_begin_raises(self, repository: JobRepository) -> None:
        with pytest.raises(CatalogUnavailable):
            await repository.accept(upload_of(new_upload_id()))

        assert await newest_ids(repository) == []

    async def test_accept_twice_raises(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)

        with pytest.raises(CatalogUnavailable):
            await repository.accept(replace(upload_of(upload_id), format="png"))

        assert (await repository.find(upload_id))[0] == upload_of(upload_id)


class TestPrivateMetadata:
    @pytest.mark.parametrize("private", [PrivateMetadata([], []), PrivateMetadata(["location", "time"], ["time"])])
    async def test_private_metadata_is_read_back(self, repository: JobRepository, private: PrivateMetadata) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        await repository.accept(replace(upload_of(upload_id), private=private))

        assert (await repository.find(upload_id))[0].private == private

    async def test_private_metadata_of_older_uploads_is_none(self, repository: JobRepository) -> None:
        assert (await repository.find(await accept_upload(repository)))[0].private is None


class TestTimes:
    async def test_times_are_aware_utc_with_microseconds(self, repository: JobRepository) -> None:
        upload, job = await repository.find(await accept_upload(repository))

        for moment in (upload.created_at, job.created_at, job.updated_at):
            assert moment == NOON
            assert moment.tzinfo is UTC

    async def test_times_of_other_zones_become_utc(self, repository: JobRepository) -> None:
        in_delhi = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

        upload, _ = await repository.find(await accept_upload(repository, created_at=in_delhi))

        assert upload.created_at == NOON
        assert upload.created_at.tzinfo is UTC

    async def test_transition_changes_only_updated_at(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)
        before = datetime.now(UTC) - timedelta(milliseconds=1)  # SQLite's clock has no more digits

        await repository.advance(upload_id, expect=PENDING, to=PROCESSING)

        upload, job = await repository.find(upload_id)
        assert before <= job.updated_at <= datetime.now(UTC)
        assert (upload.created_at, job.created_at) == (NOON, NOON)


class TestDeleting:
    @pytest.mark.parametrize("status", JobStatus)
    async def test_delete_removes_both_rows_in_every_status(self, repository: JobRepository, status: JobStatus) -> None:
        upload_id, other = await accept_upload(repository, status), await accept_upload(repository, status)

        assert await repository.delete(upload_id) is True

        with pytest.raises(UnknownUpload):
            await repository.find(upload_id)
        assert await newest_ids(repository) == [other]
        assert sum((await repository.count()).values()) == 1
        await repository.begin(upload_id)  # the first upload left no row

    async def test_second_delete_returns_false(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository)
        await repository.delete(upload_id)

        assert await repository.delete(upload_id) is False
        assert await repository.delete(new_upload_id()) is False

    async def test_upload_in_progress_can_be_deleted(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)

        assert await repository.delete(upload_id) is True
        assert await repository.delete(upload_id) is False


class TestForTheGarbageCollector:
    async def test_upload_exists_from_its_first_byte_to_its_deletion(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        assert await repository.exists(upload_id) is False

        await repository.begin(upload_id)
        assert await repository.exists(upload_id) is True
        await repository.accept(upload_of(upload_id))
        assert await repository.exists(upload_id) is True

        await repository.delete(upload_id)
        assert await repository.exists(upload_id) is False

    async def test_only_an_accepted_upload_is_accepted(self, repository: JobRepository) -> None:
        upload_id = new_upload_id()
        await repository.begin(upload_id)
        assert await repository.is_accepted(upload_id) is False

        await repository.accept(upload_of(upload_id))
        assert await repository.is_accepted(upload_id) is True

    async def test_rows_yields_every_upload_in_the_order_of_ids_over_several_batches(
        self, repository: JobRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.catalog.upload_rows._BATCH", 3)
        accepted = [await accept_upload(repository) for _ in range(6)]
        begun = new_upload_id()
        await repository.begin(begun)

        rows = [row async for row in repository.rows()]

        assert [row.upload_id for row in rows] == sorted([*accepted, begun])
        assert {row.upload_id for row in rows if row.is_accepted} == {*accepted}
        assert {row.created_at for row in rows if row.is_accepted} == {NOON}

    async def test_rows_of_an_empty_catalog_are_none(self, repository: JobRepository) -> None:
        assert [row async for row in repository.rows()] == []

    async def test_rows_from_a_start_include_the_start(
        self, repository: JobRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.catalog.upload_rows._BATCH", 2)
        uploads = sorted([await accept_upload(repository) for _ in range(6)])
        begun = new_upload_id()
        await repository.begin(begun)

        for start in (None, *uploads):
            rows = [(row.upload_id, row.is_accepted, row.created_at) async for row in repository.rows(start)]
            expected = [upload_id for upload_id in sorted([*uploads, begun]) if start is None or upload_id >= start]
            assert [upload_id for upload_id, _, _ in rows] == expected
            assert {(accepted, moment) for upload_id, accepted, moment in rows if upload_id != begun} == {(True, NOON)}
            assert [accepted for upload_id, accepted, _ in rows if upload_id == begun] in ([], [False])


class TestAdopting:
    @pytest.mark.parametrize(("status", "progress"), [(COMPLETE, 100), (PENDING, 0)])
    async def test_adopted_upload_has_both_rows(
        self, repository: JobRepository, status: JobStatus, progress: int
    ) -> None:
        upload = upload_of(new_upload_id())

        assert await repository.adopt(upload, status) is True

        found, job = await repository.find(upload.upload_id)
        assert found == upload
        assert (job.status, job.progress, job.error, job.created_at) == (status, progress, None, NOON)
        assert abs(datetime.now(UTC) - job.updated_at) < timedelta(minutes=1)

    async def test_accepted_upload_is_left_unchanged(self, repository: JobRepository) -> None:
        upload_id = await accept_upload(repository, FAILED)
        before = await repository.find(upload_id)

        assert await repository.adopt(replace(upload_of(upload_id), format="png"), COMPLETE) is False

        assert await repository.find(upload_id) == before

    async def test_job_that_was_never_accepted_is_replaced(self, repository: JobRepository) -> None:
        upload = upload_of(new_upload_id())
        await repository.begin(upload.upload_id)

        assert await repository.adopt(upload, PENDING) is True

        assert (await repository.find(upload.upload_id))[0] == upload

    async def test_concurrent_adoptions_give_one_upload(self, repository: JobRepository) -> None:
        upload = upload_of(new_upload_id())

        assert sorted(await asyncio.gather(*(repository.adopt(upload, PENDING) for _ in range(2)))) == [False, True]


async def test_find_many_returns_the_results_of_find(repository: JobRepository) -> None:
    uploads = [await accept_upload(repository, status) for status in (PENDING, PROCESSING)]
    begun = new_upload_id()
    await repository.begin(begun)

    found = await repository.find_many([*uploads, begun, new_upload_id()])

    assert found == {upload_id: await repository.find(upload_id) for upload_id in uploads}
