"""`GET /images/{uploadId}/events`: the status as Server-Sent Events, until the job ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest
from sqlalchemy import update

from ingest.catalog.tables import upload_jobs
from ingest.records import JobStatus
from proxy.model import UploadId
from tests.fakes import sample
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.repositories import WatchedRepository
from tests.unit.ingest.tasks import cancel_and_wait
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(frozen=True)
class Event:
    name: str
    data: dict[str, object]


def events(answer: httpx.Response) -> list[Event]:
    """Parses events as a browser does; omits comments."""
    found = []
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append(Event(fields["event"], json.loads(fields["data"])))
    return found


@asynccontextmanager
async def working(service: Service, upload_id: UploadId) -> AsyncIterator[None]:
    """A worker with the job of this upload alone: the service has those of all tests before."""
    others = upload_jobs.c.upload_id != upload_id
    async with service.ingest.database.transaction() as connection:
        await connection.execute(update(upload_jobs).where(others).values(status=JobStatus.COMPLETE))
    async with service.ingest.working():
        yield


async def upload(service: Service) -> UploadId:
    return UploadId((await service.upload(image_bytes())).json()["uploadId"])


async def follow(
    service: Service, upload_id: UploadId, repository: WatchedRepository | None = None
) -> asyncio.Task[httpx.Response]:
    """A client that has received the first event."""
    repository = repository or WatchedRepository(service.ingest.database)
    following = asyncio.create_task(service.made_of(repository=repository).get(f"/images/{upload_id}/events"))
    await repository.called("find_many")  # the look for the second event
    return following


@pytest.mark.heavy
async def test_events_follow_a_job_from_pending_to_complete(service: Service) -> None:
    upload_id = await upload(service)
    following = await follow(service, upload_id)

    async with working(service, upload_id):
        answer = await following

    seen = events(answer)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert {event.name for event in seen} == {"status"}
    assert seen[0].data["status"] == "pending"
    assert seen[-1].data == (await service.get(f"/images/{upload_id}/status")).json()
    assert (seen[-1].data["status"], seen[-1].data["progress"]) == ("complete", 100)


@pytest.mark.heavy
async def test_each_event_is_a_change_and_progress_only_grows(service: Service) -> None:
    upload_id = await upload(service)
    async with working(service, upload_id):
        seen = events(await service.get(f"/images/{upload_id}/events"))

    documents = [event.data for event in seen]
    assert all(one != other for one, other in pairwise(documents))
    progress = [int(str(document["progress"])) for document in documents]
    assert progress == sorted(progress)


@pytest.mark.parametrize("end", [JobStatus.COMPLETE, JobStatus.FAILED])
async def test_ended_job_is_one_event(service: Service, end: JobStatus) -> None:
    upload_id = await upload(service)
    repository = service.ingest.repository
    await repository.advance(upload_id, expect=JobStatus.PENDING, to=JobStatus.PROCESSING)
    await repository.advance(
        upload_id, expect=JobStatus.PROCESSING, to=end, error="why" if end is JobStatus.FAILED else None
    )

    seen = events(await service.get(f"/images/{upload_id}/events"))

    assert seen == [Event("status", (await service.get(f"/images/{upload_id}/status")).json())]


@pytest.mark.heavy
async def test_deleted_upload_sends_deleted_and_ends(service: Service) -> None:
    upload_id = await upload(service)
    following = await follow(service, upload_id)
    assert (await service.delete(f"/images/{upload_id}")).status_code == 204

    seen = events(await following)

    assert [event.name for event in seen] == ["status", "deleted"]
    assert seen[-1].data == {}


@pytest.mark.heavy
async def test_database_outage_ends_the_stream(service: Service) -> None:
    upload_id = await upload(service)
    repository = WatchedRepository(service.ingest.database)
    transport = httpx.ASGITransport(service.made_of(repository=repository).app)  # raises what the app raises
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        following = asyncio.create_task(client.get(f"/images/{upload_id}/events"))
        await repository.called("find_many")
        repository.fail("find_many")

        assert [event.name for event in events(await following)] == ["status"]


async def test_unknown_upload_is_404(service: Service) -> None:
    answer = await service.get("/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/events")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.heavy
async def test_disconnected_client_is_not_followed(service: Service) -> None:
    upload_id = await upload(service)
    repository = WatchedRepository(service.ingest.database)
    following = await follow(service, upload_id, repository)

    await cancel_and_wait(following)

    asked = len(repository.calls)
    await asyncio.sleep(0.4)  # long enough for another poll
    assert len(repository.calls) == asked


@pytest.mark.heavy
async def test_open_streams_are_counted(service: Service) -> None:
    metrics = service.ingest.proxy.metrics
    upload_id = await upload(service)
    following = await follow(service, upload_id)
    assert sample(metrics, "darkroom_event_streams") == 1

    await service.delete(f"/images/{upload_id}")
    await following
    assert sample(metrics, "darkroom_event_streams") == 0


@pytest.mark.heavy
async def test_stream_beyond_the_limit_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.web.event_streams.MAX_STREAMS", 1)
    upload_id = await upload(service)
    repository = WatchedRepository(service.ingest.database)
    limited = service.made_of(repository=repository)
    following = asyncio.create_task(limited.get(f"/images/{upload_id}/events"))
    await repository.called("find_many")

    refused = await limited.get(f"/images/{upload_id}/events")

    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
    assert refused.headers["retry-after"] == "10"
    await cancel_and_wait(following)  # the client leaves
    await service.delete(f"/images/{upload_id}")
    assert (await limited.get(f"/images/{upload_id}/events")).status_code == 404
    other = await upload(service)
    following = asyncio.create_task(limited.get(f"/images/{other}/events"))
    await repository.called("find_many")
    await service.delete(f"/images/{other}")
    assert (await following).status_code == 200
