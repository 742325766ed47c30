"""Stand-ins for ingest's neighbours, and the bodies and requests that its tests send."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from PIL import Image as Picture
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.catalog.tables import images, upload_jobs
from ingest.idempotency import Claim
from ingest.jobs import MOVES, UNKNOWN, Cause, Image, Job, JobStatus, LostJob, WarmedVariant
from ingest.queue.base import Handler
from ingest.queue.retries import deliver
from proxy.derivation.answers import Ensured
from proxy.derivation.service import Derivations
from proxy.errors import CatalogUnavailable, ServiceError, Unavailable, UnknownUpload
from proxy.model import Fit, Size, Sizes, UploadId, Variant, new_upload_id
from tests import pictures
from tests.fakes import Gate, VirtualTimeLoop

T = TypeVar("T")

SIZES = Sizes(Size("tiny", 24, 24, Fit.COVER), Size("small", 48, 48, Fit.COVER))
"""Two small sizes, eight variants: a warm-up of them takes a tenth of a second."""

BOUNDARY = "x-darkroom-boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


# Pictures and uploads


def picture(width: int = 120, height: int = 110, format: str = "jpeg") -> bytes:
    """A small picture with something in it, valid in every respect."""
    image = Picture.linear_gradient("L").resize((width, height))
    image = Picture.merge("RGB", (image, image.transpose(Picture.Transpose.ROTATE_180), image))
    return {"jpeg": pictures.jpeg, "png": pictures.png, "webp": pictures.webp}[format](image)


def accepted(upload_id: UploadId | None = None, **changes: Any) -> Image:
    """An upload as `Uploads` describes it, with a moment of its own."""
    image = Image(
        upload_id or new_upload_id(),
        "jpeg",
        4711,
        640,
        427,
        "1QcSHQRnh493V4dIh4eXh1h4kJUI",
        "#7a6b5c",
        {},
        now(),
    )
    return replace(image, **changes)


def now() -> datetime:
    return datetime.now(UTC)


# Bodies


async def chunks_of(data: bytes, size: int | None = None) -> AsyncIterator[bytes]:
    """`data` in pieces of `size` bytes, or whole."""
    step = size or max(1, len(data))
    for start in range(0, len(data), step):
        yield data[start : start + step]


@dataclass
class Pieces:
    """A body that counts what was taken of it, and may end in an exception."""

    pieces: Iterable[bytes]
    end: Exception | None = None
    taken: int = 0
    taken_bytes: int = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._run()

    async def _run(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            self.taken_bytes += len(piece)
            yield piece
        if self.end:
            raise self.end


def part(disposition: str, body: bytes = b"", *headers: str) -> bytes:
    """One part of a multipart body; `disposition` is what follows `form-data; `."""
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    return "\r\n".join([f"--{BOUNDARY}", *lines, "", ""]).encode() + body + b"\r\n"


def multipart(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload_body(file: bytes, field: str = "image") -> bytes:
    return multipart(part(f'name="{field}"; filename="photo.jpg"', file, "Content-Type: image/jpeg"))


# Neighbours


class WatchedRepository(JobRepository):
    """The real one, keeping a record of calls; told to, it fails or waits before a call has any effect."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.calls: list[tuple[str, UploadId]] = []
        self.progress: list[int] = []
        self.recorded: list[dict[str, WarmedVariant]] = []
        self._failures: Counter[str] = Counter()
        self._gates: dict[str, Gate] = {}
        self._called: dict[str, asyncio.Event] = {}

    def fail(self, method: str, times: int = 1_000_000) -> None:
        """The next `times` calls of `method` raise CatalogUnavailable and change nothing; 0 mends it."""
        self._failures[method] = times

    def hold(self, method: str) -> Gate:
        """Calls of `method` wait at the gate before they do anything."""
        self._gates[method] = Gate()
        return self._gates[method]

    async def called(self, method: str) -> None:
        """Returns once `method` was called after this."""
        await self._called.setdefault(method, asyncio.Event()).wait()

    async def _enter(self, method: str, upload_id: UploadId) -> None:
        self.calls.append((method, upload_id))
        self._called.pop(method, asyncio.Event()).set()
        if gate := self._gates.get(method):
            await gate.wait()
        if self._failures[method]:
            self._failures[method] -= 1
            raise CatalogUnavailable("The fake database was told to fail.")

    async def begin(self, upload_id: UploadId, claim: Claim | None = None, cause: Cause = UNKNOWN) -> None:
        await self._enter("begin", upload_id)
        await super().begin(upload_id, claim, cause)

    async def accept(self, image: Image, fingerprint: str | None = None) -> None:
        await self._enter("accept", image.upload_id)
        await super().accept(image, fingerprint)

    async def delete(self, upload_id: UploadId) -> bool:
        await self._enter("delete", upload_id)
        return await super().delete(upload_id)

    async def find(self, upload_id: UploadId) -> tuple[Image, Job]:
        await self._enter("find", upload_id)
        return await super().find(upload_id)

    async def advance(self, upload_id: UploadId, *, expect: JobStatus, to: JobStatus, **values: Any) -> None:
        await self._enter("advance", upload_id)
        await super().advance(upload_id, expect=expect, to=to, **values)

    async def record(self, upload_id: UploadId, progress: int, variants: Mapping[str, WarmedVariant]) -> None:
        await self._enter("record", upload_id)
        await super().record(upload_id, progress, variants)
        self.progress.append(progress)
        self.recorded.append(dict(variants))


class MemoryRepository(JobRepository):
    """Jobs in a dictionary, for loops whose time is virtual: a real database answers from a thread."""

    def __init__(self, *uploads: Image) -> None:
        self.images = {image.upload_id: image for image in uploads}
        self.status = dict.fromkeys(self.images, JobStatus.PENDING)
        self.progress = dict.fromkeys(self.images, 0)
        self.errors: dict[UploadId, str | None] = dict.fromkeys(self.images)
        self.looked = 0
        self.failures: Counter[str] = Counter()
        self.recorded: list[int] = []
        self.ended = asyncio.Event()

    def _enter(self, method: str) -> None:
        if self.failures[method]:
            self.failures[method] -= 1
            raise CatalogUnavailable("The fake database was told to fail.")

    async def next_pending(self) -> UploadId | None:
        self.looked += 1
        self._enter("next_pending")
        return next((one for one, status in self.status.items() if status is JobStatus.PENDING), None)

    async def find(self, upload_id: UploadId) -> tuple[Image, Job]:
        self._enter("find")
        if upload_id not in self.images:
            raise UnknownUpload
        image = self.images[upload_id]
        moment = image.created_at
        job = Job(upload_id, self.status[upload_id], self.progress[upload_id], self.errors[upload_id], moment, moment)
        return image, job

    async def advance(
        self,
        upload_id: UploadId,
        *,
        expect: JobStatus,
        to: JobStatus,
        progress: int | None = None,
        error: str | None = None,
    ) -> None:
        self._enter("advance")
        assert to in MOVES[expect]
        if self.status.get(upload_id) is not expect:
            raise LostJob(upload_id)
        self.status[upload_id], self.errors[upload_id] = to, error
        if to.ended:
            self.ended.set()
        if progress is not None:
            self.progress[upload_id] = progress

    async def recover(self, unseen: timedelta = timedelta(0)) -> int:
        self._enter("recover")
        return 0

    async def overdue(self, unseen: timedelta) -> list[Job]:
        self._enter("overdue")
        return [(await self.find(one))[1] for one, status in self.status.items() if not status.ended]

    async def record(self, upload_id: UploadId, progress: int, variants: Mapping[str, WarmedVariant]) -> None:
        self._enter("record")
        if self.status.get(upload_id) is not JobStatus.PROCESSING:
            raise LostJob(upload_id)
        self.recorded.append(progress)
        self.progress[upload_id] = progress
        self.images[upload_id] = replace(self.images[upload_id], variants=dict(variants))


class ScriptedDerivations(Derivations):
    """What a warm-up sees of Derivations. Attempts end as `script` says, after `after` variants; then all succeed.

    As with the real ones, what an earlier attempt has stored is there already, and its seconds are not known any more.
    """

    def __init__(self, *script: Exception, after: int = 1, during: Callable[[], None] | None = None) -> None:
        self._script = list(script)
        self._after = after
        self._during = during
        self.attempts = 0
        self.stored: set[Variant] = set()
        self.deleted: list[Variant] = []

    async def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        self.attempts += 1
        if self._during:
            self._during()
        for number, variant in enumerate(variants):
            if number == self._after and self._script:
                raise self._script.pop(0)
            yield Ensured(variant, 1000 + number, None if variant in self.stored else 0.25)
            self.stored.add(variant)

    async def delete(self, upload_id: UploadId, *variants: Variant) -> None:
        self.deleted += variants
        self.stored.difference_update(variants)


@dataclass
class RecordingCdn:
    """Keeps what it was told to forget, and fails if told to."""

    failure: ServiceError | None = None
    forgotten: list[str] = field(default_factory=list)

    async def forget(self, tags: Sequence[str]) -> None:
        if self.failure:
            raise self.failure
        self.forgotten += tags


@dataclass
class RecordingQueue:
    """Keeps what is published, and fails if told to; `consume` hands all of it over, once, and ends."""

    failure: ServiceError | None = None
    published: list[UploadId] = field(default_factory=list)
    given_up: dict[UploadId, str] = field(default_factory=dict)

    async def publish(self, upload_id: UploadId) -> None:
        if self.failure:
            raise self.failure
        self.published.append(upload_id)

    async def gave_up(self, upload_id: UploadId) -> str | None:
        if self.failure:
            raise self.failure
        return self.given_up.get(upload_id)

    async def lengths(self) -> dict[str, int]:
        return {"waiting": len(self.published)}

    async def consume(self, handle: Handler, concurrency: int) -> None:
        for upload_id in self.published:
            await deliver(handle, upload_id)

    async def close(self) -> None:
        pass


async def rows(database: Database) -> tuple[int, int]:
    """How many rows there are: jobs, images. Uploads that are still coming have the first alone."""
    async with database.transaction() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (upload_jobs, images)
        ]
    return counts[0], counts[1]


def queue_away() -> Unavailable:
    return Unavailable("The fake queue was told to fail.")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in virtual time: seconds of waiting pass at once."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


async def reached(gate: Gate, work: asyncio.Task[Any]) -> None:
    """Waits until somebody has come to the gate; fails where `work` ends without coming there."""
    waiting = asyncio.create_task(gate.reached.wait())
    await asyncio.wait([waiting, work], return_when=asyncio.FIRST_COMPLETED)
    if not gate.reached.is_set():
        await eventually(waiting)
        raise AssertionError(f"it ended before it came to the gate: {work.result()}")


async def eventually(*tasks: asyncio.Task[Any]) -> None:
    """Cancels what a test has started, and sees it end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Requests that no HTTP client would send


@dataclass
class Exchange:
    """One request and what came of it, seen from the server's side of the ASGI interface.

    Each of `body` is one message, the last of them the end if `ends`; after that the client waits for ever, or hangs
    up where `hangs_up`. It hangs up anyway once the answer is complete.
    """

    body: Iterable[bytes] = ()
    ends: bool = True
    hangs_up: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    received: int = 0
    received_before_answer: int = 0
    received_after_end: int = 0

    async def run(self, app: ASGIApp, method: str, path: str, **headers: str) -> "Exchange":
        raw = {"host": "origin.test"} | {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "server": ("origin.test", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in raw.items()],
        }
        messages = self._messages()
        answered = asyncio.Event()

        async def receive() -> Message:
            await asyncio.sleep(0)  # as a server's does
            self.received += 1
            if not self.status:
                self.received_before_answer += 1
            for message in messages:
                return message
            if self.ends:
                self.received_after_end += 1
            if self.hangs_up or self.status:  # who has an answer that says `close` goes away
                return {"type": "http.disconnect"}
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
                return
            self.answer += message.get("body", b"")
            if not message.get("more_body"):
                answered.set()

        await app(scope, receive, send)
        assert answered.is_set()
        return self

    def _messages(self) -> Any:
        for piece in self.body:
            yield {"type": "http.request", "body": piece, "more_body": True}
        if self.ends:
            yield {"type": "http.request", "body": b"", "more_body": False}


def files_below(folder: Path) -> list[str]:
    """Whatever there is in `folder`, by relative path; folders count, too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
