"""Event streams share their looks at the database. In virtual time."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from starlette.types import Message

from ingest.ingest_errors import CatalogUnavailable
from ingest.records import Job, JobStatus, Upload
from ingest.serialization.serializers import Serializer
from ingest.web.event_streams import EventStreams, SharedPolls
from proxy.model import UploadId
from proxy.settings import Settings
from proxy.telemetry import Metrics
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.tasks import at_once, cancel_and_wait

Known = tuple[Upload, Job]


class Catalog:
    """Finds every upload that it was given. Fails while `fails` is set."""

    def __init__(self, *uploads: Upload) -> None:
        self.known = {
            upload.upload_id: (
                upload,
                Job(upload.upload_id, JobStatus.PENDING, 0, None, upload.created_at, upload.created_at),
            )
            for upload in uploads
        }
        self.asked: list[set[UploadId]] = []
        self.fails = False

    async def find_many(self, upload_ids: Collection[UploadId]) -> dict[UploadId, Known]:
        self.asked.append(set(upload_ids))
        if self.fails:
            raise CatalogUnavailable
        return {each: self.known[each] for each in upload_ids if each in self.known}


def test_callers_at_the_same_time_share_one_query() -> None:
    first, second, _ = uploads = [accepted() for _ in range(3)]
    catalog = Catalog(first, second)
    polls = SharedPolls(catalog.find_many)
    ids = [upload.upload_id for upload in uploads]

    async def story() -> list[Known | None]:
        return await asyncio.gather(*(polls.find(each) for each in ids * 100))

    assert at_once(story()) == [catalog.known[ids[0]], catalog.known[ids[1]], None] * 100
    assert catalog.asked == [{*ids}]


def test_caller_during_a_query_gets_the_next_one() -> None:
    upload = accepted()
    catalog = Catalog(upload)

    async def story() -> None:
        polls = SharedPolls(catalog.find_many)
        for _ in range(3):
            await polls.find(upload.upload_id)

    at_once(story())

    assert catalog.asked == [{upload.upload_id}] * 3


def test_failure_reaches_every_caller_and_the_next_query_works() -> None:
    upload = accepted()
    catalog = Catalog(upload)
    catalog.fails = True

    async def story() -> Known | None:
        polls = SharedPolls(catalog.find_many)
        results = await asyncio.gather(*(polls.find(upload.upload_id) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [CatalogUnavailable] * 3
        catalog.fails = False
        return await polls.find(upload.upload_id)

    assert at_once(story()) == catalog.known[upload.upload_id]


@pytest.mark.parametrize("left", [0, 1])
def test_query_is_made_only_for_those_who_still_wait(left: int) -> None:
    upload = accepted()
    catalog = Catalog(upload)

    async def story() -> None:
        polls = SharedPolls(catalog.find_many)
        callers = [asyncio.create_task(polls.find(upload.upload_id)) for _ in range(2)]
        await asyncio.sleep(0.1)
        await cancel_and_wait(*callers[left:])
        await asyncio.sleep(1)

    at_once(story())

    assert len(catalog.asked) == left


class Listener:
    """A client that follows an upload and never leaves. `messages`: what it was sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def follow(self, streams: EventStreams, known: Known) -> None:
        async def send(message: Message) -> None:
            self.messages.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await streams.stream(known, {})(scope, asyncio.Event().wait, send)  # receives nothing


def event_streams(catalog: Catalog) -> EventStreams:
    repository: Any = catalog
    return EventStreams(repository, Serializer.from_settings(Settings()), Metrics())


def test_all_streams_of_a_process_cost_at_most_four_queries_a_second() -> None:
    uploads = [accepted() for _ in range(3)]
    catalog = Catalog(*uploads)

    async def story() -> None:
        streams = event_streams(catalog)
        followed = [catalog.known[upload.upload_id] for upload in uploads * 50]
        following = [asyncio.create_task(Listener().follow(streams, known)) for known in followed]
        await asyncio.sleep(10)
        await cancel_and_wait(*following)

    at_once(story())

    assert catalog.asked == [{upload.upload_id for upload in uploads}] * len(catalog.asked)
    assert 2 <= len(catalog.asked) <= 40  # fewer on a busy machine


def test_stream_of_a_job_that_never_ends_is_complete_after_ten_minutes() -> None:
    upload = accepted()
    catalog = Catalog(upload)
    listener = Listener()

    async def story() -> float:
        start = asyncio.get_running_loop().time()
        await listener.follow(event_streams(catalog), catalog.known[upload.upload_id])
        return asyncio.get_running_loop().time() - start

    assert 600 <= at_once(story()) < 660
    assert listener.messages[-1].get("more_body") is False
    assert len(catalog.asked) <= 2401
