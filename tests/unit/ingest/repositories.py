"""Job repositories that misbehave on demand, and one without a database."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ingest.catalog.database import Database
from ingest.catalog.repository import PAGE, JobRepository
from ingest.idempotency_key import IdempotencyKey
from ingest.ingest_errors import CatalogUnavailable
from ingest.records import (
    NO_TRACE,
    STALLED_AFTER,
    TRANSITIONS,
    Job,
    JobNotClaimable,
    JobStatus,
    TraceContext,
    Upload,
    WarmedVariant,
)
from proxy.errors import UnknownUpload
from proxy.model import UploadId
from tests.fakes import Gate


class WatchedRepository(JobRepository):
    """A real repository that records calls and can fail or block before a call takes effect."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.calls: list[tuple[str, UploadId]] = []
        self.progress: list[int] = []
        self.recorded: list[dict[str, WarmedVariant]] = []
        self._failures: Counter[str] = Counter()
        self._gates: dict[str, Gate] = {}
        self._called: dict[str, asyncio.Event] = {}

    def fail(self, method: str, times: int = 1_000_000) -> None:
        """Makes the next `times` calls of `method` raise CatalogUnavailable without effect; 0 ends that."""
        self._failures[method] = times

    def hold(self, method: str) -> Gate:
        """Makes calls of `method` wait at the returned gate before they take effect."""
        self._gates[method] = Gate()
        return self._gates[method]

    async def called(self, method: str) -> None:
        """Returns after the next call of `method`."""
        await self._called.setdefault(method, asyncio.Event()).wait()

    async def _enter(self, method: str, upload_id: UploadId) -> None:
        self.calls.append((method, upload_id))
        self._called.pop(method, asyncio.Event()).set()
        if gate := self._gates.get(method):
            await gate.wait()
        if self._failures[method]:
            self._failures[method] -= 1
            raise CatalogUnavailable("The fake database was told to fail.")

    async def begin(
        self, upload_id: UploadId, key: IdempotencyKey | None = None, trace_context: TraceContext = NO_TRACE
    ) -> datetime:
        await self._enter("begin", upload_id)
        return await super().begin(upload_id, key, trace_context)

    async def accept(self, upload: Upload, fingerprint: str | None = None) -> None:
        await self._enter("accept", upload.upload_id)
        await super().accept(upload, fingerprint)

    async def change_presentation(
        self, upload_id: UploadId, values: Mapping[str, Any], variants: Mapping[str, WarmedVariant]
    ) -> None:
        await self._enter("change_presentation", upload_id)
        await super().change_presentation(upload_id, values, variants)

    async def delete(self, upload_id: UploadId, *, keeps_key: bool = True) -> bool:
        await self._enter("delete", upload_id)
        return await super().delete(upload_id, keeps_key=keeps_key)

    async def find(self, upload_id: UploadId) -> tuple[Upload, Job]:
        await self._enter("find", upload_id)
        return await super().find(upload_id)

    async def find_many(self, upload_ids: Collection[UploadId]) -> dict[UploadId, tuple[Upload, Job]]:
        await self._enter("find_many", min(upload_ids))
        return await super().find_many(upload_ids)

    async def advance(self, upload_id: UploadId, *, expect: JobStatus, to: JobStatus, **values: Any) -> int:
        await self._enter("advance", upload_id)
        return await super().advance(upload_id, expect=expect, to=to, **values)

    async def record(
        self, upload_id: UploadId, progress: int, variants: Mapping[str, WarmedVariant], worker: str | None = None
    ) -> None:
        await self._enter("record", upload_id)
        await super().record(upload_id, progress, variants, worker)
        self.progress.append(progress)
        self.recorded.append(dict(variants))

    async def record_heartbeat(self, upload_id: UploadId, worker: str) -> None:
        await self._enter("record_heartbeat", upload_id)
        await super().record_heartbeat(upload_id, worker)


class MemoryRepository(JobRepository):
    """Jobs in a dictionary, for tests in virtual time: a real database answers from a thread."""

    def __init__(self, *uploads: Upload) -> None:
        self.uploads = {upload.upload_id: upload for upload in uploads}
        self.status = dict.fromkeys(self.uploads, JobStatus.PENDING)
        self.progress = dict.fromkeys(self.uploads, 0)
        self.attempts: Counter[UploadId] = Counter()
        self.retry_at: dict[UploadId, float] = {}
        """By the clock of the event loop."""
        self.errors: dict[UploadId, str | None] = dict.fromkeys(self.uploads)
        self.looked = 0
        self.failures: Counter[str] = Counter()
        self.recorded: list[int] = []
        self.ended = asyncio.Event()

    def _enter(self, method: str) -> None:
        if self.failures[method]:
            self.failures[method] -= 1
            raise CatalogUnavailable("The fake database was told to fail.")

    async def next_pending(self, taken: Collection[UploadId] = ()) -> UploadId | None:
        self.looked += 1
        self._enter("next_pending")
        now = asyncio.get_running_loop().time()
        pending = (one for one, status in self.status.items() if status is JobStatus.PENDING)
        return next((one for one in pending if one not in taken and self.retry_at.get(one, now) <= now), None)

    async def find(self, upload_id: UploadId) -> tuple[Upload, Job]:
        self._enter("find")
        if upload_id not in self.uploads:
            raise UnknownUpload
        upload = self.uploads[upload_id]
        moment = upload.created_at
        job = Job(upload_id, self.status[upload_id], self.progress[upload_id], self.errors[upload_id], moment, moment)
        return upload, job

    async def advance(
        self,
        upload_id: UploadId,
        *,
        expect: JobStatus,
        to: JobStatus,
        progress: int | None = None,
        error: str | None = None,
        worker: str | None = None,
        retry_in: float | None = None,
        sends_webhook: bool = True,
    ) -> int:
        self._enter("advance")
        assert to in TRANSITIONS[expect]
        if self.status.get(upload_id) is not expect:
            raise JobNotClaimable(upload_id)
        self.retry_at.pop(upload_id, None)
        if to is JobStatus.PROCESSING:
            self.attempts[upload_id] = 1 if expect.has_ended else self.attempts[upload_id] + 1
        elif retry_in is not None:
            self.retry_at[upload_id] = asyncio.get_running_loop().time() + retry_in
        elif to is JobStatus.PENDING:
            self.attempts[upload_id] -= 1
        self.status[upload_id], self.errors[upload_id] = to, error
        if to.has_ended:
            self.ended.set()
        if progress is not None:
            self.progress[upload_id] = progress
        return self.attempts[upload_id]

    async def recover(self, idle: timedelta = timedelta(0)) -> int:
        self._enter("recover")
        return 0

    async def find_stalled(
        self, status: JobStatus, after: Job | None = None, *, idle: timedelta = STALLED_AFTER
    ) -> list[Job]:
        self._enter("find_stalled")
        stalled = [one for one, known in self.status.items() if known is status]
        start = stalled.index(after.upload_id) + 1 if after else 0
        return [(await self.find(one))[1] for one in stalled[start : start + PAGE]]

    async def record_heartbeat(self, upload_id: UploadId, worker: str) -> None:
        if self.status.get(upload_id) is not JobStatus.PROCESSING:
            raise JobNotClaimable(upload_id)

    async def record(
        self,
        upload_id: UploadId,
        progress: int,
        variants: Mapping[str, WarmedVariant],
        worker: str | None = None,
    ) -> None:
        self._enter("record")
        if self.status.get(upload_id) is not JobStatus.PROCESSING:
            raise JobNotClaimable(upload_id)
        self.recorded.append(progress)
        self.progress[upload_id] = progress
        self.uploads[upload_id] = replace(self.uploads[upload_id], variants=dict(variants))
