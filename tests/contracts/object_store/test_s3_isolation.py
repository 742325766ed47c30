"""S3Store's circuits and bulkheads: trouble with one object or one kind of call stays its own."""

import asyncio
import threading
from collections.abc import Awaitable
from datetime import UTC, datetime
from io import BufferedWriter, BytesIO, FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage import files
from proxy.storage.circuit_breaker import FAILURES
from proxy.storage.s3 import _SLOTS
from tests.contracts.stores import (
    OBJECT,
    fake_store,
    fault,
    http,
    keys,
    s3_that,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class TestCircuit:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(403, "AccessDenied"), (403, "InvalidObjectState"), (400, "InvalidRequest"), (501, "NotImplemented")],
    )
    async def test_refused_object_does_not_stop_calls_for_others(self, tmp_path: Path, status: int, code: str) -> None:
        def answer(request: str) -> bytes:
            method, path, *_ = request.split()
            if "/refused" in path:
                return fault(status, code)
            return http(200, b"sound" if method == "GET" else b"", **OBJECT)

        async with s3_that(answer) as store:
            for number in range(2 * FAILURES):
                refused = f"refused-{number}"
                for call in (store.get(refused), store.head(refused), store.download(refused, tmp_path / refused)):
                    with pytest.raises(StoreUnavailable):
                        await call
                with pytest.raises(StoreUnavailable):
                    await store.put(refused, b"x", content_type="image/png")

            assert (await store.get("other")).body == b"sound"
            await store.download("other", tmp_path / "other")
            await store.put("other", b"x", content_type="image/png")

    async def test_refused_deletions_stop_no_calls(self) -> None:
        answer = "<DeleteResult><Error><Key>key</Key><Code>AccessDenied</Code></Error></DeleteResult>"

        async with s3_that(lambda request: http(200, answer.encode() if "?delete" in request else b"")) as store:
            for _ in range(2 * FAILURES):
                with pytest.raises(StoreUnavailable, match="s3:DeleteObject"):
                    await store.delete("key", "other")

            await store.put("other", b"x", content_type="image/png")

    @pytest.mark.parametrize(
        ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (502, "BadGateway"), (429, "TooManyRequests")]
    )
    async def test_outage_opens_the_circuit_of_its_kind_of_call(self, status: int, code: str) -> None:
        requests = []

        def answer(request: str) -> bytes:
            if request.startswith("GET"):
                requests.append(request)
                return fault(status, code)
            return http(200, **OBJECT)

        async with s3_that(answer) as store:
            for _ in range(FAILURES):
                with pytest.raises(StoreUnavailable, match=code):
                    await store.get("key")
            seen = len(requests)
            with pytest.raises(StoreUnavailable, match=code):
                await store.get("key")

            assert len(requests) == seen
            await store.put("key", b"x", content_type="image/png")


class TestBulkheads:
    @pytest.mark.promise("E1")
    @pytest.mark.parametrize("kind", ["lookups", "downloads"])
    async def test_other_calls_without_answers_leave_reads_their_slots(self, tmp_path: Path, kind: str) -> None:
        asked, released = asyncio.Semaphore(0), asyncio.Event()

        async def answer_late() -> bytes:
            asked.release()
            await released.wait()
            return http(404)

        def answer(request: str) -> bytes | Awaitable[bytes]:
            return http(200, b"sound", **OBJECT) if request.split()[1].endswith("/key") else answer_late()

        async with s3_that(answer) as store:
            calls: list[Awaitable[object]] = []
            for name in map(str, range(50)):
                if kind == "lookups":
                    calls += store.head(name), keys(store, name)
                else:
                    calls.append(store.download(name, tmp_path / name))
            flood = asyncio.gather(*calls, return_exceptions=True)
            for _ in range(_SLOTS[kind]):
                await asked.acquire()

            assert (await store.get("key")).body == b"sound"

            released.set()
            await flood

    @pytest.mark.promise("E7")
    @pytest.mark.parametrize("held", ["response", "body", "open", "close"])
    async def test_late_download_does_not_disturb_its_repetition_or_the_event_loop(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
    ) -> None:
        """Its thread goes on, alone touches the file, and leaves none."""
        hold, target = Hold(held), tmp_path / "target"
        bodies = [HeldBody(b"late", hold), BytesIO(b"sound")]
        removers = []
        really_open, really_unlink = Path.open, Path.unlink

        def get_object(**_: object) -> dict[str, Any]:
            body = bodies.pop(0)
            hold.at("response")
            return {"Body": body, "ContentLength": 5, "LastModified": datetime.now(UTC), "Metadata": {}}

        def open_file(path: Path, mode: str, **options: Any) -> IO[Any]:
            if mode != "xb":
                return really_open(path, mode, **options)
            hold.at("open")
            return BufferedWriter(HeldFile(path, hold))

        def unlink(path: Path, *, missing_ok: bool) -> None:
            removers.append(threading.current_thread())
            really_unlink(path, missing_ok=missing_ok)

        store = fake_store(9)
        monkeypatch.setattr(store._client, "get_object", get_object)
        monkeypatch.setattr(files, "_REMOVE_TIMEOUT", 0.0 if held == "open" else 60.0)
        monkeypatch.setattr(Path, "open", open_file)
        monkeypatch.setattr(Path, "unlink", unlink)
        late = asyncio.create_task(store.download("key", target))
        await asyncio.to_thread(hold.reached.wait)
        late.cancel()  # as its deadline does
        await asyncio.wait([late])

        try:
            await store.download("key", target)
            assert target.read_bytes() == b"sound"
            really_unlink(target)
        finally:
            hold.released.set()
        await asyncio.to_thread(hold.ended.wait)
        assert list(tmp_path.iterdir()) == []
        assert threading.current_thread() not in removers


class Hold:
    """Holds the first thread that arrives at `place` until it is released."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.reached, self.released, self.ended = threading.Event(), threading.Event(), threading.Event()

    def at(self, place: str) -> None:
        if place == self.place and not self.reached.is_set():
            self.reached.set()
            self.released.wait()


class HeldBody(BytesIO):
    def __init__(self, content: bytes, hold: Hold) -> None:
        super().__init__(content)
        self._hold = hold

    def read(self, size: int | None = -1, /) -> bytes:
        self._hold.at("body")
        return super().read(size)

    def close(self) -> None:
        super().close()
        self._hold.ended.set()


class HeldFile(FileIO):
    """Its first bytes are written when it is closed, because they fit into the buffer."""

    def __init__(self, path: Path, hold: Hold) -> None:
        super().__init__(path, "xb")
        self._hold = hold

    def write(self, data: "ReadableBuffer", /) -> int:
        self._hold.at("close")
        return super().write(data)
