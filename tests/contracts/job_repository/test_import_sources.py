"""Sources of imports: one upload for each, for years, and again only if that is wished."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.idempotency_key import FOREVER, source_key
from ingest.ingest_errors import InProgress, KeyReused
from ingest.records import JobStatus
from proxy.model import new_upload_id
from tests.contracts.job_repository.keyed_uploads import (
    PRINT,
    begun_before,
    delete_another_ticket,
    keys,
    now,
    spent_before,
    taken,
)
from tests.contracts.uploads import upload_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = source_key("a.jpg", timedelta(0))


async def test_imported_source_is_known_for_years(repository: JobRepository, database: Database) -> None:
    upload_id = await taken(repository, SOURCE, now() - timedelta(days=3650))

    found = await repository.find_by_key(SOURCE)

    assert found
    assert found[0].upload_id == upload_id
    with pytest.raises(InProgress):
        await repository.begin(new_upload_id(), SOURCE)
    assert await keys(database) == {upload_id: SOURCE.digest}


async def test_unfinished_attempt_is_taken_over_at_once_by_the_holder_of_the_lease(
    repository: JobRepository, database: Database
) -> None:
    dead = new_upload_id()
    await repository.begin(dead, SOURCE)
    await begun_before(database, dead, timedelta(milliseconds=2))

    with pytest.raises(InProgress):
        await repository.find_by_key(source_key("a.jpg", timedelta(minutes=1)))
    assert await repository.find_by_key(SOURCE) is None
    second = await taken(repository, SOURCE)

    assert await keys(database) == {dead: None, second: SOURCE.digest}
    with pytest.raises(InProgress):
        await repository.accept(upload_of(dead, now()), PRINT)


async def test_deleted_source_is_used_until_it_is_forgotten(repository: JobRepository, database: Database) -> None:
    await repository.delete(await taken(repository, SOURCE))
    await spent_before(database, timedelta(days=3650) - FOREVER)
    await delete_another_ticket(repository)  # forgets old tickets

    with pytest.raises(KeyReused, match="This source was used for an upload that was deleted"):
        await repository.find_by_key(SOURCE)
    with pytest.raises(KeyReused):
        await repository.begin(new_upload_id(), SOURCE)

    again = replace(SOURCE, again=True)
    assert await repository.find_by_key(again) is None
    await repository.begin(failed := new_upload_id(), again)
    await repository.delete(failed)  # it was refused, so the source stays used
    with pytest.raises(KeyReused):
        await repository.find_by_key(SOURCE)

    upload_id = await taken(repository, again)
    assert await repository.find_by_key(SOURCE) == ((await repository.find(upload_id))[0], PRINT)
    await repository.delete(upload_id)
    with pytest.raises(KeyReused):
        await repository.find_by_key(SOURCE)


async def test_many_sources_are_found_in_one_query(repository: JobRepository) -> None:
    upload_id, unfinished = await taken(repository, SOURCE), source_key("b.jpg", timedelta(0))
    await repository.begin(new_upload_id(), unfinished)

    found = await repository.find_by_sources([SOURCE.digest, unfinished.digest, "unknown"])

    assert found == {SOURCE.digest: ((await repository.find(upload_id))[0], PRINT)}
    assert await repository.find_by_sources([]) == {}


async def test_adopted_upload_has_its_source_unless_the_source_is_taken(repository: JobRepository) -> None:
    first, other = upload_of(new_upload_id(), now()), upload_of(new_upload_id(), now())

    assert await repository.adopt(first, JobStatus.PENDING, (SOURCE, PRINT))
    assert not await repository.adopt(first, JobStatus.PENDING, (SOURCE, PRINT))
    for _ in range(2):
        with pytest.raises(KeyReused):
            await repository.adopt(other, JobStatus.PENDING, (SOURCE, PRINT))
        assert not await repository.exists(other.upload_id)
        await repository.delete(first.upload_id)


async def test_source_of_an_attempt_that_failed_is_free(repository: JobRepository) -> None:
    upload_id = new_upload_id()
    await repository.begin(upload_id, SOURCE)

    await repository.delete(upload_id, keeps_key=False)

    assert await repository.find_by_key(SOURCE) is None
