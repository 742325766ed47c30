"""S3Store on servers that lack parts of S3."""

from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.object_store import ObjectExists
from tests.contracts.stores import (
    OBJECT,
    fault,
    http,
    s3_that,
)


class TestGateways:
    """Servers that implement less of S3, such as MinIO's gateways."""

    async def test_server_without_versioning_support_is_not_versioned(self) -> None:
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
