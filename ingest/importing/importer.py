"""Makes an upload of a source, or finds the upload that an earlier run made of that source."""

from asyncio import sleep
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from ingest.catalog.repository import JobRepository
from ingest.idempotency_key import IdempotencyKey, fingerprint, source_key
from ingest.idempotency_key import digest as digest_of
from ingest.importing.import_sources import Entry, LeftOut, Outcome, Source, SourceProblem, read_file
from ingest.ingest_errors import InProgress, KeyReused
from ingest.records import Upload
from ingest.uploads.receive_with_retries import receive_with_retries
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.errors import Refused, ServiceError
from proxy.variants.leases.lease_store import LeaseStore

Known = tuple[Upload, str]
"""An upload, and the fingerprint that its source had when it was imported."""

_POLL_SECONDS = 1.0
_BATCH = 100  # entries that are looked up at a time
_PATIENCE = timedelta(minutes=5)
"""The age at which another import's unfinished attempt counts as dead, if leases do not work. An attempt takes less."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a source. `line`: of the CSV. `upload_id`: of its upload, also if the source has changed since.

    `code` and `detail`: why it is REFUSED, FAILED or IGNORED; None with other outcomes.
    """

    name: str
    outcome: Outcome
    line: int | None = None
    upload_id: str | None = None
    external_id: str | None = None
    code: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the line of `darkroom import` for this source, without the members that are None."""
        document = {
            "source": self.name,
            "line": self.line,
            "outcome": self.outcome,
            "uploadId": self.upload_id,
            "externalId": self.external_id,
            "code": self.code,
            "detail": self.detail,
        }
        return {name: value for name, value in document.items() if value is not None}


class Importer:
    """Imports sources, each at most once, whatever else imports them at the same moment.

    The source's identity is the idempotency key of its upload, and the database accepts one upload for each key. A
    lease keeps two imports from working on one source. So if this import holds the lease and finds an unfinished
    attempt, that attempt is dead.
    """

    def __init__(
        self,
        uploads: UploadService,
        repository: JobRepository,
        leases: LeaseStore,
        *,
        max_bytes: int,
        dry_run: bool = False,
        skip_known: bool = False,
        again: bool = False,
    ) -> None:
        """`dry_run`: changes nothing. `skip_known`: reads no imported source. `again`: also imports deleted ones."""
        self._uploads = uploads
        self._repository = repository
        self._leases = leases
        self._max_bytes = max_bytes
        self._dry_run = dry_run
        self._skip_known = skip_known
        self._again = again

    async def look_up(self, entries: AsyncIterator[Entry]) -> AsyncGenerator[tuple[Entry, Known | None]]:
        """Yields each entry with the upload that it has already. Raises what `entries` raises, and CatalogUnavailable.

        Looks up many at a time: otherwise most of a repeated run would be queries.
        """
        batch: list[Entry] = []
        async for entry in entries:
            batch.append(entry)
            if len(batch) == _BATCH:
                for each in await self._look_up(batch):
                    yield each
                batch = []
        if batch:
            for each in await self._look_up(batch):
                yield each

    async def _look_up(self, batch: list[Entry]) -> list[tuple[Entry, Known | None]]:
        digests = [
            source_key(entry.identity, timedelta(0)).digest if isinstance(entry, Source) else "" for entry in batch
        ]
        known = await self._repository.find_by_sources(digests)
        return [(entry, known.get(digest)) for entry, digest in zip(batch, digests, strict=True)]

    async def handle(self, entry: Entry, known: Known | None = None) -> Result:
        """Imports one source. Re-raises outages, because other sources would fail too.

        `known`: the upload of this source as `look_up` returned it; None looks it up.
        """
        if isinstance(entry, LeftOut):
            return Result(entry.name, entry.outcome, entry.line, code=entry.code, detail=entry.detail)
        try:
            return await (self._compare(entry, *known) if known else self._import_once(entry))
        except SourceProblem as problem:
            return _result(entry, problem.outcome, code=problem.code, detail=str(problem))
        except ServiceError as error:
            if error.is_outage:
                raise
            is_refused = isinstance(error, Refused) and not error.retryable
            outcome = Outcome.REFUSED if is_refused else Outcome.FAILED
            return _result(entry, outcome, code=error.code, detail=str(error))

    async def _import_once(self, source: Source) -> Result:
        attempt_timeout = timedelta(0)
        while True:
            key = source_key(source.identity, attempt_timeout, again=self._again)
            try:
                if self._dry_run:
                    return await self._import(source, key)
                async with self._leases.hold(f"import/{key.digest}"):
                    return await self._import(source, key)
            except InProgress:  # without working leases, two imports would otherwise take the key from each other
                attempt_timeout = _PATIENCE
                await sleep(_POLL_SECONDS)

    async def _import(self, source: Source, key: IdempotencyKey) -> Result:
        try:
            known = await self._repository.find_by_key(key)
        except KeyReused:
            return _result(
                source,
                Outcome.REFUSED,
                code="source_deleted",
                detail="Its upload was deleted. To import it again, as a new upload, add --again.",
            )
        if known:
            return await self._compare(source, *known)
        if self._dry_run:
            return _result(source, Outcome.NEW)
        async with source.open() as path:
            read = partial(read_file, path, self._max_bytes)
            fields = UploadFields(dict(source.fields))
            upload = await receive_with_retries(self._uploads, source.name, read, key, fields)
        return _result(source, Outcome.IMPORTED, upload)

    async def _compare(self, source: Source, upload: Upload, known_by: str) -> Result:
        """Compares the source's bytes and fields with its upload, and reports a change as REFUSED."""
        if self._skip_known:
            return _result(source, Outcome.ALREADY, upload)
        if source.size is not None and source.size != upload.original_size:
            return _changed(source, upload)
        async with source.open() as path, aclosing(read_file(path, self._max_bytes)) as chunks:
            sha256 = await digest_of(chunks)
        if sha256 != upload.sha256:
            return _changed(source, upload)
        if fingerprint(sha256, source.fields) != known_by:
            return _result(
                source,
                Outcome.REFUSED,
                upload,
                code="fields_changed",
                detail=f"It was imported with other fields. Change them by PATCH /images/{upload.upload_id}.",
            )
        return _result(source, Outcome.ALREADY, upload)


def _changed(source: Source, upload: Upload) -> Result:
    return _result(
        source,
        Outcome.REFUSED,
        upload,
        code="source_changed",
        detail="The file has changed since it was imported, and an upload's image never changes. Import it under "
        "another name, or delete the upload and import with --again.",
    )


def _result(
    source: Source,
    outcome: Outcome,
    upload: Upload | None = None,
    *,
    code: str | None = None,
    detail: str | None = None,
) -> Result:
    fields: Mapping[str, Any] = source.fields
    upload_id = upload.upload_id if upload else None
    return Result(source.name, outcome, source.line, upload_id, fields.get("externalId"), code, detail)
