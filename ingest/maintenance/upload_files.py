"""Uploads local files without a server, through the same code as HTTP uploads."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio

from ingest.ingest_errors import MissingImage
from ingest.ingest_services import IngestServices, build_upload_service, open_services
from ingest.jobs.queue.deliver import deliver
from ingest.progress import Progress
from ingest.records import Job, Upload
from ingest.uploads.multipart import too_large
from ingest.web.serializers import Serializer
from proxy.errors import ServiceError
from proxy.settings import Settings

STANDARD_INPUT = "-"
_CHUNK = 256 * 1024  # bytes
_POLL_SECONDS = 0.5  # between looks at a job that another worker has


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result for one file. `document`: the API's response, or the problem. `url`: of the largest size, if accepted.

    `failure`: readable text if the upload or its warm-up failed.
    """

    file: str
    document: dict[str, Any]
    url: str = ""
    failure: str | None = None


async def upload(
    settings: Settings, files: Sequence[str], receipts: list[Receipt], *, wait: bool, progress: Progress
) -> None:
    """Uploads `files` one after another: two at once could exceed the memory. `wait`: also until each is warmed up.

    A refused file does not stop the others. Appends a receipt to `receipts` for each file, so that an interrupted
    caller knows what was uploaded.
    """
    async with open_services(settings, rendering=True) as ingest:
        uploader = _Uploader(ingest, wait=wait)
        progress.begin("Uploading", len(files))
        for file in files:
            receipts.append(await uploader.upload(file))
            failed = sum(1 for receipt in receipts if receipt.failure)
            progress.update(len(receipts), f"{failed} failed")


class _Uploader:
    def __init__(self, ingest: IngestServices, *, wait: bool) -> None:
        settings = ingest.proxy.settings
        self._ingest = ingest
        self._wait = wait
        self._uploads = build_upload_service(ingest)
        self._serializer = Serializer.from_settings(settings)
        self._max_bytes = settings.max_upload_mb << 20

    async def upload(self, file: str) -> Receipt:
        name = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in file)
        try:
            async with aclosing(_chunks(file, self._max_bytes)) as chunks:
                upload = await self._uploads.receive(chunks)
            if self._wait:
                return self._warmed_receipt(name, *await self._warm(upload))
        except ServiceError as error:
            problem = {"code": error.code, "title": error.title, "detail": str(error)}
            return Receipt(name, {"file": name} | problem, failure=str(error))
        return Receipt(name, {"file": name} | self._serializer.created(upload), self._serializer.largest_url(upload))

    async def _warm(self, upload: Upload) -> tuple[Upload, Job]:
        """Warms up the upload here, unless a living worker has its job. Returns when the job has ended."""
        while True:
            upload, job = await self._ingest.repository.find(upload.upload_id)
            if job.status.has_ended:
                return upload, job
            if await deliver(self._ingest.warmup.run, upload.upload_id, force=job.is_stalled) is None:
                await asyncio.sleep(_POLL_SECONDS)

    def _warmed_receipt(self, name: str, upload: Upload, job: Job) -> Receipt:
        document = {"file": name} | self._serializer.upload(upload, job)
        failure = f"It is stored, but its warm-up failed: {job.error}" if job.error else None
        return Receipt(name, document, self._serializer.largest_url(upload), failure)


async def _chunks(file: str, max_bytes: int) -> AsyncGenerator[bytes]:
    """Yields the file's bytes. Raises TooLarge beyond `max_bytes`, MissingImage if the file cannot be read."""
    seen = 0
    source = 0 if file == STANDARD_INPUT else file
    if source == 0 and os.isatty(0):  # and Ctrl-C would not end the read
        raise MissingImage("Standard input is a terminal. Redirect a picture to it with < or |.")
    try:
        async with await anyio.open_file(source, "rb", closefd=source != 0) as opened_file:
            while chunk := await opened_file.read(_CHUNK):
                seen += len(chunk)
                if seen > max_bytes:
                    raise too_large(max_bytes)
                yield chunk
    except OSError as error:
        raise MissingImage(f"The file cannot be read: {error.strerror}.") from error
