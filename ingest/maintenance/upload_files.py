"""Files from this machine into the installation, through the same code as the web's uploads."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio

from ingest.errors import MissingImage
from ingest.jobs.queue.retries import deliver
from ingest.progress import Progress
from ingest.records import Job, Upload
from ingest.services import IngestServices, build_upload_service, open_services
from ingest.uploads.multipart import too_large
from ingest.web.serializers import Serializer
from proxy.errors import ServiceError
from proxy.settings import Settings

STANDARD_INPUT = "-"
_CHUNK = 256 * 1024  # bytes
_LOOK_AGAIN = 0.5  # seconds between looks at a job that another worker has


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one file. `document`: the API's answer, or its refusal; `url`: of the largest size, if taken.

    `failure`: a sentence, where something of it went wrong.
    """

    file: str
    document: dict[str, Any]
    url: str = ""
    failure: str | None = None


async def upload(
    settings: Settings, files: Sequence[str], receipts: list[Receipt], *, wait: bool, progress: Progress
) -> None:
    """Each of `files`, one after another: two at once could be refused for want of memory. `wait`: until it is warmed.

    A file that is refused is noted, and the next ones are taken all the same. `receipts` grows by one for each: who
    interrupts this finds there what was taken.
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
        self._documents = Serializer.of(settings)
        self._most = settings.max_upload_mb << 20

    async def upload(self, file: str) -> Receipt:
        name = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in file)
        try:
            async with aclosing(_chunks(file, self._most)) as chunks:
                upload = await self._uploads.receive(chunks)
            if self._wait:
                return self._warmed(name, *await self._warm(upload))
        except ServiceError as error:
            problem = {"code": error.code, "title": error.title, "detail": str(error)}
            return Receipt(name, {"file": name} | problem, failure=str(error))
        return Receipt(name, {"file": name} | self._documents.created(upload), self._documents.largest(upload))

    async def _warm(self, upload: Upload) -> tuple[Upload, Job]:
        """Warms it up here, unless a worker has it already; if that one dies, here after all."""
        while True:
            upload, job = await self._ingest.repository.find(upload.upload_id)
            if job.status.has_ended:
                return upload, job
            if await deliver(self._ingest.warmup.run, upload.upload_id, force=job.is_stalled) is None:
                await asyncio.sleep(_LOOK_AGAIN)

    def _warmed(self, name: str, upload: Upload, job: Job) -> Receipt:
        document = {"file": name} | self._documents.upload(upload, job)
        failure = f"It is stored, but its warm-up failed: {job.error}" if job.error else None
        return Receipt(name, document, self._documents.largest(upload), failure)


async def _chunks(file: str, most: int) -> AsyncGenerator[bytes]:
    """The file's bytes. Raises TooLarge once there are more than `most`, MissingImage where it cannot be read."""
    seen = 0
    source = 0 if file == STANDARD_INPUT else file
    if source == 0 and os.isatty(0):  # nobody types a picture, and Ctrl-C would not end the reading
        raise MissingImage("Standard input is a terminal: give it a picture by < or |.")
    try:
        async with await anyio.open_file(source, "rb", closefd=source != 0) as opened_file:
            while chunk := await opened_file.read(_CHUNK):
                seen += len(chunk)
                if seen > most:
                    raise too_large(most)
                yield chunk
    except OSError as error:
        raise MissingImage(f"It cannot be read: {error.strerror}.") from error
