"""S3Store in shared buckets, with encryption, temporary keys and servers that lack a part of S3."""

import asyncio
from collections.abc import Awaitable
from types import NoneType
from typing import Any

import pytest
from boto3.session import Session

from proxy.errors import StoreUnavailable
from proxy.model import UploadId
from proxy.services import open_aws_session
from proxy.settings.settings import Settings
from proxy.storage.s3 import S3Store
from tests import http_client
from tests.contracts.stores import BUCKET, OBJECT, failures, fault, http, keys, s3_that

SESSION = Session("id", "secret", region_name="us-east-1")


class Sent(Exception):
    """Carries the request that botocore was about to send."""


async def sent_by(store: S3Store, call: Awaitable[object] | None = None, operation: str = "GetObject") -> Any:
    """Returns the request of `operation` that `call` would send."""

    def stop(request: object, **_event: object) -> None:
        raise Sent(request)

    event = f"before-send.s3.{operation}"
    store._client.meta.events.register(event, stop)
    with pytest.raises(Sent) as caught:
        await (call or store.get("images/a"))
    store._client.meta.events.unregister(event, stop)
    return caught.value.args[0]


class TestPrefix:
    async def test_objects_of_others_are_neither_listed_nor_deleted(self, moto: S3Store) -> None:
        store = S3Store(BUCKET, prefix="team/darkroom/", session=Session("a", "b", region_name="eu-central-1"))
        others = ["images/a", "team/darkroom", "team/darkroomy/images/a", "team/images/a"]
        for key in others:
            await moto.put(key, b"theirs", content_type="image/png")
        await store.put("images/a", b"ours", content_type="image/png")
        await store.copy("images/a", "trash/a")
        assert await keys(moto, "") == sorted([*others, "team/darkroom/images/a", "team/darkroom/trash/a"])

        assert await keys(store, "") == ["images/a", "trash/a"]
        assert [name async for name in store.folders("")] == ["images", "trash"]
        assert (await store.get("images/a")).info.key == "images/a"

        await store.delete("images/a", "trash/a")
        await store.delete_versions("")
        assert await keys(moto, "") == sorted(others)


class TestAddressing:
    @pytest.mark.parametrize(
        ("endpoint", "addressing", "url"),
        [
            (None, None, "https://bucket.s3.amazonaws.com/images/a"),
            (None, "path", "https://s3.amazonaws.com/bucket/images/a"),
            ("https://objects.example", None, "https://objects.example/bucket/images/a"),
            ("https://objects.example", "virtual", "https://bucket.objects.example/images/a"),
        ],
    )
    async def test_url_has_the_bucket_where_the_server_expects_it(
        self, endpoint: str | None, addressing: Any, url: str
    ) -> None:
        store = S3Store("bucket", session=SESSION, endpoint_url=endpoint, addressing=addressing)

        assert (await sent_by(store)).url == url


class TestCredentials:
    async def test_session_token_of_the_settings_is_sent(self) -> None:
        settings = Settings(aws_access_key_id="id", aws_secret_access_key="secret", aws_session_token="a-token")
        store = S3Store("bucket", session=open_aws_session(settings, "us-east-1"))

        assert (await sent_by(store)).headers["X-Amz-Security-Token"] == b"a-token"

    async def test_missing_keys_are_read_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"ACCESS_KEY_ID": "env", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "its-token"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        store = S3Store("bucket", session=open_aws_session(Settings.model_construct(), "us-east-1"))

        assert (await sent_by(store)).headers["X-Amz-Security-Token"] == b"its-token"


class TestEncryption:
    @pytest.mark.parametrize(
        ("setting", "algorithm", "key"),
        [
            ("AES256", "AES256", None),
            ("aws:kms", "aws:kms", None),
            ("aws:kms:arn:aws:kms:eu-central-1:1:key/k", "aws:kms", "arn:aws:kms:eu-central-1:1:key/k"),
        ],
    )
    async def test_puts_and_copies_are_encrypted(
        self, moto: S3Store, upload_id: UploadId, setting: str, algorithm: str, key: str | None
    ) -> None:
        session = Session("a", "b", region_name="eu-central-1")
        store = S3Store(BUCKET, session=session, encryption=setting)

        await store.put(f"originals/{upload_id}", b"x", content_type="image/png")
        await store.copy(f"originals/{upload_id}", f"trash/{upload_id}")

        for folder in ("originals", "trash"):
            head = moto._client.head_object(Bucket=BUCKET, Key=f"{folder}/{upload_id}")
            assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == (algorithm, key)


class TestSetMetadata:
    async def test_tags_storage_class_and_checksum_stay_and_the_object_is_encrypted(
        self, moto: S3Store, upload_id: UploadId
    ) -> None:
        store = S3Store(BUCKET, session=Session("a", "b", region_name="eu-central-1"), encryption="AES256")
        key = f"originals/{upload_id}"
        moto._client.put_object(
            Bucket=BUCKET, Key=key, Body=b"x", StorageClass="STANDARD_IA", Tagging="team=a", ChecksumAlgorithm="SHA256"
        )

        await store.set_metadata(key, {"focus": "0,1"})

        head = moto._client.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        tags = moto._client.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"]
        assert (head["StorageClass"], head["ServerSideEncryption"]) == ("STANDARD_IA", "AES256")
        assert head["ChecksumSHA256"]
        assert tags == [{"Key": "team", "Value": "a"}]

    async def test_copy_that_arrives_after_a_later_one_is_refused(self, seaweed: S3Store, upload_id: UploadId) -> None:
        """For instance a change of the focus whose caller has timed out, after the upload was made private."""
        key = f"originals/{upload_id}"
        await seaweed.put(key, b"x", content_type="image/png")
        late = await sent_by(seaweed, seaweed.set_metadata(key, {"focus": "0,1"}), "CopyObject")
        await asyncio.sleep(2.1)  # less than a call takes to time out
        await seaweed.set_metadata(key, {"visibility": "private"})

        refused = http_client.http.request(late.method, late.url, headers=dict(late.headers))

        assert refused.status_code == 412
        assert (await seaweed.head(key)).metadata == {"visibility": "private"}

    @pytest.mark.parametrize(("stored", "expected"), [("0,1", None), ("1,1", StoreUnavailable)])
    async def test_second_attempt_accepts_only_the_object_of_the_first(
        self, stored: str, expected: type[Exception] | None
    ) -> None:
        def answer(request: str) -> bytes:
            is_copy = request.startswith("PUT")
            return fault(412, "PreconditionFailed") if is_copy else http(200, **OBJECT, x_amz_meta_focus=stored)

        async with s3_that(answer) as store:
            assert await failures(store.set_metadata("a", {"focus": "0,1"})) == [expected or NoneType]


class TestDeletes:
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (501, "NotImplemented"),
            (405, "MethodNotAllowed"),
            (400, "MissingContentMD5"),
            (400, "InvalidRequest"),
            (400, "InvalidArgument"),
        ],
    )
    async def test_server_without_delete_objects_gets_single_deletes(self, status: int, code: str) -> None:
        requests = []

        def answer(request: str) -> bytes:
            requests.append(tuple(request.split()[:2]))
            return fault(status, code) if request.startswith("POST") else http(204)

        async with s3_that(answer) as store:
            await store.delete("a", "b")
            await store.delete("c", "d")

        assert [method for method, _ in requests] == ["POST", "DELETE", "DELETE", "DELETE", "DELETE"]
        assert [path for _, path in requests[1:]] == ["/bucket/a", "/bucket/b", "/bucket/c", "/bucket/d"]

    async def test_one_key_needs_no_delete_objects(self) -> None:
        async with s3_that(lambda request: http(204) if request.startswith("DELETE") else fault(501, "x")) as store:
            await store.delete("a")

    async def test_delete_ignores_a_404_for_a_missing_key(self) -> None:
        async with s3_that(lambda _: fault(404, "NoSuchKey")) as store:
            await store.delete("a")

    async def test_refused_single_delete_raises(self) -> None:
        async with s3_that(lambda _: fault(403, "AccessDenied")) as store:
            with pytest.raises(StoreUnavailable, match="s3:DeleteObject"):
                await store.delete("a")
