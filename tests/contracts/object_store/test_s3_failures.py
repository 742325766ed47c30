"""S3Store on failures, refusals and incomplete S3 implementations."""

import asyncio
import threading
from collections.abc import Awaitable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session

from proxy.errors import StoreUnavailable
from proxy.storage.circuit_breaker import FAILURES
from proxy.storage.object_store import ObjectExists
from proxy.storage.s3 import S3Store
from tests.contracts.stores import (
    BUCKET,
    OBJECT,
    assert_unavailable,
    fake_store,
    fault,
    http,
    keys,
    s3_that,
    store_of,
)
from tests.seaweedfs import SeaweedServer


class TestS3Fails:
    async def test_closed_port_raises(self, tmp_path: Path, unused_tcp_port: int) -> None:
        store = fake_store(unused_tcp_port)

        messages = await assert_unavailable(store, tmp_path / "target")

        assert all("cannot be reached" in message for message in messages)

    async def test_dropped_connection_raises(self, tmp_path: Path) -> None:
        async with s3_that(lambda _: b"") as store:
            messages = await assert_unavailable(store, tmp_path / "target")

        assert all("cannot be reached" in message for message in messages)

    async def test_wrong_secret_raises(self, seaweedfs: SeaweedServer, tmp_path: Path) -> None:
        store = store_of(seaweedfs, secret="wrong-and-never-to-be-shown")

        messages = await assert_unavailable(store, tmp_path / "target")

        assert all("credentials" in message for message in messages)
        assert not [s for s in messages if "never-to-be-shown" in s or seaweedfs.access_key_id in s]

    async def test_missing_credentials_raise(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

        messages = await assert_unavailable(
            S3Store(BUCKET, session=Session(region_name="us-east-1")), tmp_path / "target"
        )

        assert all("No credentials" in message for message in messages)

    async def test_missing_bucket_is_not_a_missing_key(self, seaweedfs: SeaweedServer, tmp_path: Path) -> None:
        store = store_of(seaweedfs, bucket="no-such-bucket")

        messages = await assert_unavailable(store, tmp_path / "target")

        assert all("bucket does not exist" in message for message in messages)

    @pytest.mark.promise("C9", "E1")
    async def test_truncated_body_raises(self, tmp_path: Path) -> None:
        cut = http(200, b"ten bytes.", **OBJECT, content_length="3000000")
        async with s3_that(lambda _: cut) as store:
            with pytest.raises(StoreUnavailable, match="closed the connection"):
                await store.get("key")
            with pytest.raises(StoreUnavailable, match="closed the connection"):
                await store.download("key", tmp_path / "target")
        assert not (tmp_path / "target").exists()

    async def test_download_does_not_replace_an_existing_file(self, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_bytes(b"somebody's")
        async with s3_that(lambda _: http(200, b"x", **OBJECT)) as store:
            with pytest.raises(FileExistsError):
                await store.download("key", target)
        assert target.read_bytes() == b"somebody's"

    async def test_non_s3_response_raises(self, tmp_path: Path) -> None:
        async with s3_that(lambda _: http(200, b"<!doctype html><p>Welcome!")) as store:
            reads = store.head("key"), store.get("key"), store.download("key", tmp_path / "target"), keys(store, "")
            errors = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in errors] == [StoreUnavailable] * 4
        assert all("not an S3 service" in str(error) for error in errors[:3])
        assert not (tmp_path / "target").exists()

    @pytest.mark.promise("E1")
    @pytest.mark.parametrize(
        ("status", "code", "advice"),
        [
            (403, "AccessDenied", "s3:ListBucket"),
            (403, "RequestTimeTooSkewed", "clock"),
            (403, "InvalidAccessKeyId", "access key"),
            (400, "ExpiredToken", "expired"),
            (400, "AuthorizationHeaderMalformed", "region"),
            (404, "NoSuchBucket", "bucket does not exist"),
            (503, "SlowDown", "SlowDown"),
        ],
    )
    async def test_error_message_says_what_to_do(self, status: int, code: str, advice: str) -> None:
        async with s3_that(lambda _: fault(status, code)) as store:
            with pytest.raises(StoreUnavailable, match=advice):
                await store.get("key")

    async def test_failed_deletion_raises(self) -> None:
        answer = "<DeleteResult><Error><Key>key</Key><Code>AccessDenied</Code></Error></DeleteResult>"
        async with s3_that(lambda _: http(200, answer.encode())) as store:
            with pytest.raises(StoreUnavailable, match="s3:DeleteObject"):
                await store.delete("key", "other")

    async def test_conflicting_put_raises_object_exists(self) -> None:
        async with s3_that(lambda _: fault(409, "ConditionalRequestConflict")) as store:
            with pytest.raises(ObjectExists):
                await store.put("key", b"x", content_type="image/png", if_absent=True)

    async def test_non_ascii_metadata_raises_value_error(self) -> None:
        async with s3_that(lambda _: http(200)) as store:
            with pytest.raises(ValueError, match="ascii"):
                await store.put("key", b"x", content_type="image/png", metadata={"name": "Größe"})


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
    async def test_lookups_without_answers_leave_reads_their_slots(self) -> None:
        asked, released = asyncio.Semaphore(0), asyncio.Event()

        async def answer_late() -> bytes:
            asked.release()
            await released.wait()
            return http(404)

        def answer(request: str) -> bytes | Awaitable[bytes]:
            is_lookup = request.startswith("HEAD") or "list-type" in request
            return answer_late() if is_lookup else http(200, b"sound", **OBJECT)

        async with s3_that(answer) as store:
            lookups = [lookup for number in range(50) for lookup in (store.head(f"{number}"), keys(store, f"{number}"))]
            flood = asyncio.gather(*lookups, return_exceptions=True)
            for _ in range(24):
                await asked.acquire()

            assert (await store.get("key")).body == b"sound"

            released.set()
            await flood

    @pytest.mark.parametrize("held", ["response", "body"])
    async def test_late_download_does_not_disturb_its_repetition(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
    ) -> None:
        """Its thread goes on, and leaves no file."""
        first = HeldBody(b"late")
        bodies = [first, BytesIO(b"sound")]

        def get_object(**_: object) -> dict[str, Any]:
            body = bodies.pop(0)
            if body is first and held == "response":
                first.hold()
            return {"Body": body, "ContentLength": 5, "LastModified": datetime.now(UTC), "Metadata": {}}

        store, target = fake_store(9), tmp_path / "target"
        monkeypatch.setattr(store._client, "get_object", get_object)
        late = asyncio.create_task(store.download("key", target))
        await asyncio.to_thread(first.reached.wait)
        late.cancel()  # as its deadline does
        await asyncio.wait([late])

        try:
            await store.download("key", target)
            assert target.read_bytes() == b"sound"
            target.unlink()
        finally:
            first.released.set()
        await asyncio.to_thread(first.ended.wait)
        assert list(tmp_path.iterdir()) == []


class HeldBody(BytesIO):
    """A body that arrives only when it is `released`."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reached, self.released, self.ended = threading.Event(), threading.Event(), threading.Event()

    def hold(self) -> None:
        self.reached.set()
        self.released.wait()

    def read(self, size: int | None = -1, /) -> bytes:
        self.hold()
        return super().read(size)

    def close(self) -> None:
        super().close()
        self.ended.set()


class TestGateways:
    """Servers that implement less of S3, such as MinIO's gateways."""

    async def test_server_without_versions_is_not_versioned(self) -> None:
        async with s3_that(lambda _: fault(501, "NotImplemented")) as store:
            assert not await store.is_versioned()
        async with s3_that(lambda _: fault(403, "AccessDenied")) as store:
            with pytest.raises(StoreUnavailable):
                await store.is_versioned()

    async def test_list_sends_no_start_outside_of_its_prefix(self) -> None:
        def answer(request: str) -> bytes:
            assert "start-after=a" not in request
            return http(
                200,
                b"<ListBucketResult><Contents><Key>images/a</Key><Size>1</Size>"
                b"<LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>",
            )

        async with s3_that(answer) as store:
            assert [info.key async for info in store.list("images/", after="a")] == ["images/a"]
            assert [info.key async for info in store.list("images/", after="j")] == []


class TestS3WithoutConditionalPuts:
    """Servers that answer 501 to If-None-Match."""

    @pytest.mark.parametrize("from_file", [False, True], ids=["bytes", "file"])
    async def test_put_if_absent_stores_a_missing_object(self, tmp_path: Path, from_file: bool) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"picture")
        puts = []

        def answer(request: str) -> bytes:
            match request.split()[:2]:
                case ["PUT", _] if "if-none-match: *" in request.lower():
                    return fault(501, "NotImplemented")
                case ["PUT", _]:
                    puts.append(request)
                    return http(200)
                case ["HEAD", "/bucket"]:
                    return http(200)
            return http(404)

        async with s3_that(answer) as store:
            await store.put("key", source if from_file else b"picture", content_type="image/png", if_absent=True)

        (put,) = puts
        assert put.endswith("\r\n\r\npicture")

    async def test_put_if_absent_keeps_an_existing_object(self) -> None:
        def answer(request: str) -> bytes:
            assert request.startswith("HEAD") or "if-none-match: *" in request.lower()
            return http(200, b"", **OBJECT) if request.startswith("HEAD") else fault(501, "NotImplemented")

        async with s3_that(answer) as store:
            with pytest.raises(ObjectExists):
                await store.put("key", b"picture", content_type="image/png", if_absent=True)

    async def test_plain_put_has_no_fallback(self) -> None:
        async with s3_that(lambda _: fault(501, "NotImplemented")) as store:
            with pytest.raises(StoreUnavailable, match="NotImplemented"):
                await store.put("key", b"picture", content_type="image/png")
