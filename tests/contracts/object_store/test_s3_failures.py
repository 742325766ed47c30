"""S3Store on failures, refusals and incomplete S3 implementations."""

import asyncio
from pathlib import Path

import pytest
from boto3.session import Session

from proxy.errors import StoreUnavailable
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

    async def test_proxy_of_the_environment_that_cannot_be_reached_is_named(
        self, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://name:hunter2@127.0.0.1:{unused_tcp_port}")
        store = S3Store(BUCKET, session=Session("id", "s", region_name="r"), endpoint_url="http://store.internal:9000")

        messages = await assert_unavailable(store, tmp_path / "target")

        assert all("NO_PROXY" in message and "hunter2" not in message for message in messages)

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
    async def test_error_message_names_the_remedy(self, status: int, code: str, advice: str) -> None:
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
