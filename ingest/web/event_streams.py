"""Follows jobs for event streams: bounded in number, with one database query for all that wait at the same time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.types import Message, Receive, Scope, Send

from ingest.catalog.upload_reader import UploadReader
from ingest.ingest_errors import CatalogUnavailable, TooManyStreams
from ingest.records import Job, Upload
from ingest.serialization.schemas import Status
from ingest.serialization.serializers import Serializer
from proxy.model import UploadId
from proxy.telemetry import Metrics

MAX_STREAMS = 256
"""Event streams of one process. Each holds a connection; all of them together cost a tenth of a processor."""

_POLL_SECONDS = 0.25
_FOLLOW_SECONDS = 600

Known = tuple[Upload, Job]


class EventStreams:
    """Streams the status of uploads, each until its job ends, the upload is deleted, or ten minutes have passed."""

    def __init__(self, repository: UploadReader, serializer: Serializer, metrics: Metrics) -> None:
        self._polls = SharedPolls(repository.find_many)
        self._serializer = serializer
        self._open = 0
        self._gauge = metrics.event_streams

    def stream(self, known: Known, headers: Mapping[str, str]) -> "EventStream":
        """Returns the response, which must be sent at once. Raises TooManyStreams."""
        if self._open >= MAX_STREAMS:
            raise TooManyStreams("Too many clients follow uploads. Ask for the status instead, or try again later.")
        self._open += 1
        self._gauge.set(self._open)
        response = EventSourceResponse(self._follow(known), headers=headers)
        del response.headers["connection"]  # "keep-alive" is for the server to say, and wrong in HTTP/1.0
        return EventStream(response, self._on_end)

    def _on_end(self) -> None:
        self._open -= 1
        self._gauge.set(self._open)

    async def _follow(self, first: Known) -> AsyncGenerator[dict[str, Any]]:
        """Yields an event for each change."""
        known: Known | None = first
        last: Status | None = None
        end = asyncio.get_running_loop().time() + _FOLLOW_SECONDS
        while known:
            upload, job = known
            document = self._serializer.status(upload, job)
            if document != last:
                yield {"event": "status", "data": json.dumps(document)}
                last = document
            if job.status.has_ended or asyncio.get_running_loop().time() > end:
                return
            try:
                known = await self._polls.find(upload.upload_id)
            except CatalogUnavailable:
                return  # the client reconnects automatically
        yield {"event": "deleted", "data": "{}"}


class EventStream:
    """A response that frees its place among the streams however it ends, even before the first event.

    Completes the stream if the server stops: sse-starlette stops in the middle of it, which servers report as an error.
    """

    def __init__(self, response: EventSourceResponse, on_end: Callable[[], None]) -> None:
        self._response = response
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = False

        async def watched(message: Message) -> None:
            nonlocal is_open
            await send(message)
            is_open = message["type"] == "http.response.start" or message.get("more_body", False)

        try:
            await self._response(scope, receive, watched)
            if is_open:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._on_end()


class SharedPolls:
    """Answers all callers within a quarter of a second by one query. Without callers there are no queries."""

    def __init__(self, find_many: Callable[[Collection[UploadId]], Awaitable[dict[UploadId, Known]]]) -> None:
        self._find_many = find_many
        self._next: _Poll | None = None

    async def find(self, upload_id: UploadId) -> Known | None:
        """Returns the upload and its job as of the next poll; None if it is deleted. Raises CatalogUnavailable."""
        poll = self._next
        if poll is None:
            poll = self._next = _Poll(self._run)
        return (await poll.result_for(upload_id)).get(upload_id)

    async def _run(self, poll: "_Poll") -> dict[UploadId, Known]:
        try:
            await asyncio.sleep(_POLL_SECONDS)
        finally:
            self._next = None  # later callers get a later answer
        return await self._find_many(poll.wanted)


class _Poll:
    """One query. It is cancelled when its last caller has left."""

    def __init__(self, run: "Callable[[_Poll], Awaitable[dict[UploadId, Known]]]") -> None:
        self.wanted: set[UploadId] = set()
        self._callers = 0
        self._task = asyncio.ensure_future(run(self))

    async def result_for(self, upload_id: UploadId) -> dict[UploadId, Known]:
        self.wanted.add(upload_id)
        self._callers += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._callers -= 1
            if not self._callers:
                self._task.cancel()
