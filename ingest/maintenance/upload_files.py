"""Uploads local files without a server, through the same code as HTTP uploads."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from ingest.ingest_errors import MissingImage
from ingest.ingest_services import IngestServices, build_upload_service, open_services
from ingest.jobs.deliver import deliver
from ingest.records import Job, Upload
from ingest.serialization.serializers import Serializer
from ingest.uploads.multipart import too_large
from ingest.uploads.receive_with_retries import receive_with_retries
from proxy.errors import ServiceError
from proxy.model import UploadId
from proxy.rendering.admission import Priority
from proxy.settings import Settings

STANDARD_INPUT = "-"
_CHUNK = 256 * 1024  # bytes
_POLL_SECONDS = 0.5  # between looks at a job that another worker has


@dataclass(frozen=True, slots=True)
class FileResult:
    """The result for one file: it was stored, its warm-up ended, or one of these failed.

    `document`: the API's response, or the problem, with the upload id if the file is stored. `url`: of the largest
    size, only for a file that was just stored. `failure`: readable text if the upload or its warm-up failed.
    """

    file: str
    document: dict[str, Any]
    url: str = ""
    failure: str | None = None


Report = Callable[[FileResult], None]


async def upload(settings: Settings, files: Sequence[str], report: Report, *, wait: bool) -> None:
    """Uploads `files` one by one, because the memory may suffice for one only. `wait`: waits for their warm-ups.

    A refused file does not stop the others. Calls `report` as soon as a file is stored or refused and, with `wait`,
    again when its warm-up has ended, so that an interrupted caller knows what is stored.
    """
    async with open_services(settings, rendering=True) as ingest:
        uploader = _Uploader(ingest, report)
        for file in files:
            upload = await uploader.upload(file)
            if upload and wait:
                await uploader.warm(file, upload)


class _Uploader:
    def __init__(self, ingest: IngestServices, report: Report) -> None:
        settings = ingest.proxy.settings
        self._ingest = ingest
        self._report = report
        self._uploads = build_upload_service(ingest, priority=Priority.BACKGROUND)
        self._serializer = Serializer.from_settings(settings)
        self._max_bytes = settings.max_upload_mb << 20

    async def upload(self, file: str) -> Upload | None:
        """Uploads a file and reports the result. Returns None if the file is refused."""
        try:
            upload = await self._receive(file)
        except ServiceError as error:
            self._report(FileResult(file, _problem(error), failure=str(error)))
            return None
        self._report(FileResult(file, {**self._serializer.created(upload)}, self._serializer.largest_url(upload)))
        return upload

    async def _receive(self, file: str) -> Upload:
        read = partial(_chunks, file, self._max_bytes)
        if file != STANDARD_INPUT:
            return await receive_with_retries(self._uploads, file, read)
        async with aclosing(read()) as chunks:  # standard input can be read only once, so there are no retries
            return await self._uploads.receive(chunks)

    async def warm(self, file: str, upload: Upload) -> None:
        """Waits until the upload's warm-up has ended, and reports the result."""
        try:
            upload, job = await self._run_warm_up(upload.upload_id)
        except ServiceError as error:
            document = {"uploadId": upload.upload_id} | _problem(error)
            reason = f"It is stored, but its warm-up was not completed: {error}"
            self._report(FileResult(file, document, failure=reason))
        else:
            failure = f"It is stored, but its warm-up failed: {job.error}" if job.error else None
            self._report(FileResult(file, {**self._serializer.upload(upload, job)}, failure=failure))

    async def _run_warm_up(self, upload_id: UploadId) -> tuple[Upload, Job]:
        """Warms up the upload here, unless a living worker has its job. Returns when the job has ended."""
        while True:
            upload, job = await self._ingest.repository.find(upload_id)
            if job.status.has_ended:
                return upload, job
            if await deliver(self._ingest.warmup.run, upload_id, force=job.is_stalled) is None:
                await asyncio.sleep(_POLL_SECONDS)


def _problem(error: ServiceError) -> dict[str, Any]:
    return {"code": error.code, "title": error.title, "detail": str(error)}


async def _chunks(file: str, max_bytes: int) -> AsyncGenerator[bytes]:
    """Yields the file's bytes. Raises TooLarge beyond `max_bytes`, MissingImage if the file cannot be read."""
    seen = 0
    source = 0 if file == STANDARD_INPUT else file
    if source == 0 and os.isatty(0):  # Ctrl-C would not end the read
        raise MissingImage("Standard input is a terminal. Redirect an image to it with < or |.")
    try:
        async with await anyio.open_file(source, "rb", closefd=source != 0) as opened_file:
            while chunk := await opened_file.read(_CHUNK):
                seen += len(chunk)
                if seen > max_bytes:
                    raise too_large(max_bytes)
                yield chunk
    except OSError as error:
        raise MissingImage(f"The file cannot be read: {error.strerror}.") from error
