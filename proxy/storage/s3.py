"""Objects in a bucket on S3 or a compatible service (boto3).

The credentials need s3:GetObject, s3:PutObject and s3:DeleteObject on the objects and s3:ListBucket on the bucket.
Without the last, S3 answers 403 instead of 404 for a missing key, so no missing variant would ever be derived.
`delete_versions` also needs s3:ListBucketVersions and s3:DeleteObjectVersion, `is_versioned` s3:GetBucketVersioning.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio.to_thread
from boto3.session import Session
from botocore import exceptions as boto

from proxy.storage.bulkhead import Bulkhead
from proxy.storage.files import NewFile
from proxy.storage.object_store import ObjectExists, ObjectInfo, ObjectNotFound, StoredObject
from proxy.storage.s3_client import open_client
from proxy.storage.s3_deletion import S3Deletion
from proxy.storage.s3_errors import error_code, translate_errors
from proxy.storage.s3_responses import object_info, read_chunks
from proxy.telemetry import Metrics

if TYPE_CHECKING:  # stubs, which production does not install
    from types_boto3_s3.type_defs import (
        CopyObjectRequestTypeDef,
        ListObjectsV2OutputTypeDef,
        PutObjectRequestTypeDef,
    )

T = TypeVar("T")

_PAGE = 1000  # keys: S3's limit for one listing and one DeleteObjects
_SLOTS = {"reads": 24, "lookups": 24, "downloads": 8, "writes": 8, "deletes": 4}
"""Concurrent calls of each kind, each with a connection. Two kinds must not delay reads of stored variants: downloads
of originals, which may take 30 s, and lookups (HEAD, listings), which anyone can cause by requesting unknown ids."""

# Deadlines of a call in seconds. botocore's time-outs apply to each read, so a store that trickles never exceeds them.
_SHORT = 4.0  # for variants and heads; below RENDER_TIMEOUT, whose error would hide the cause
_LONG = 30.0  # for originals, which may be large, and for writes


class S3Store:
    """Stores objects in one bucket, over one connection pool."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        session: Session,
        endpoint_url: str | None = None,
        addressing: Literal["path", "virtual"] | None = None,
        encryption: str | None = None,
        metrics: Metrics | None = None,
        page: int = _PAGE,
    ) -> None:
        """Opens no connection, but blocks for about 0.2 s while botocore loads its models: call it at start-up.

        `prefix` comes before every key, for a bucket that is shared with others; callers never see it.
        `endpoint_url`, `addressing`, `encryption`: as in `open_client`. `page`: keys for each request.
        """
        self._bucket = bucket
        self._prefix = prefix
        self._page = page
        connections = sum(_SLOTS.values())
        self._client = open_client(session, endpoint_url, addressing, encryption, connections=connections)
        self._deletion = S3Deletion(self._client, bucket)
        self._pages = self._client.get_paginator("list_objects_v2")
        metrics = metrics or Metrics()
        self._bulkheads = {kind: Bulkhead(kind, slots, metrics) for kind, slots in _SLOTS.items()}

    async def head(self, key: str) -> ObjectInfo:
        return await self._run("lookups", "head", _SHORT, lambda: self._head(key))

    async def get(self, key: str) -> StoredObject:
        def get() -> StoredObject:
            with self._open(key, _SHORT) as (info, chunks):
                return StoredObject(info, b"".join(chunks))

        return await self._run("reads", "get", _SHORT, get)

    async def download(self, key: str, path: Path) -> ObjectInfo:
        file = NewFile(path)

        def download() -> ObjectInfo:
            with self._open(key, _LONG) as (info, chunks), file.opened() as target:
                for chunk in chunks:
                    file.raise_if_abandoned()
                    target.write(chunk)
            return info

        try:
            return await self._run("downloads", "download", _LONG, download)
        except BaseException:
            await file.abandon()
            raise

    async def temporary_url(self, key: str, seconds: int, file_name: str) -> str | None:
        disposition = f'attachment; filename="{file_name}"'
        request = {"Bucket": self._bucket, "Key": self._prefix + key, "ResponseContentDisposition": disposition}

        def sign() -> str:
            return self._client.generate_presigned_url("get_object", request, seconds)

        return await self._run("lookups", "sign", _SHORT, sign)  # it may have to fetch credentials first

    async def put(
        self,
        key: str,
        body: bytes | Path,
        *,
        content_type: str,
        cache_control: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Stores an object.

        With `if_absent`, a retry may find the object of its own first attempt, and raise ObjectExists for it.
        """
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": self._prefix + key,
            "ContentType": content_type,
            "Metadata": dict(metadata or {}),
        }
        if cache_control is not None:
            request["CacheControl"] = cache_control
        if if_absent:
            request["IfNoneMatch"] = "*"

        def send() -> None:
            with body.open("rb") if isinstance(body, Path) else nullcontext(body) as data:
                request["Body"] = data
                self._client.put_object(**request)

        def put() -> None:
            try:
                send()
            except boto.ClientError as error:
                if not (if_absent and error_code(error) == "NotImplemented"):
                    raise
                # An older server without conditional puts. A concurrent writer may be overwritten between the head and
                # the put. That is harmless: writers of one key write the same variant.
                with suppress(ObjectNotFound):
                    self._head(key)
                    raise ObjectExists(key) from error
                del request["IfNoneMatch"]
                send()

        await self._run("writes", "put", _LONG, put)

    async def copy(self, source: str, target: str) -> None:
        request: CopyObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": self._prefix + target,
            "CopySource": {"Bucket": self._bucket, "Key": self._prefix + source},
        }

        def copy() -> None:
            self._client.copy_object(**request)

        await self._run("writes", "copy", _LONG, copy)

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        """Copies the object onto itself. A bucket with versioning keeps the old version. Tags stay.

        A store may carry out a copy late, after its caller has timed out and another copy has been made. Its condition
        on the modification time then fails. A condition on the ETag would not fail, because the ETag is that of the
        bytes.
        """

        def copy() -> None:
            stored = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            request: CopyObjectRequestTypeDef = {
                "Bucket": self._bucket,
                "Key": self._prefix + key,
                "CopySource": {"Bucket": self._bucket, "Key": self._prefix + key},
                # Some stores know fractions of the second that their header leaves out.
                "CopySourceIfUnmodifiedSince": stored["LastModified"] + timedelta(seconds=1),
                "MetadataDirective": "REPLACE",
                "Metadata": dict(metadata),
                "ContentType": stored["ContentType"],
            }
            if "CacheControl" in stored:
                request["CacheControl"] = stored["CacheControl"]
            if "StorageClass" in stored:  # absent for the standard one, which a copy gets
                request["StorageClass"] = stored["StorageClass"]
            try:
                self._client.copy_object(**request)
            except boto.ClientError as error:
                # botocore's second attempt meets what the first one wrote, if only its answer was lost.
                if error_code(error) != "PreconditionFailed" or self._head(key).metadata != metadata:
                    raise

        await self._run("writes", "set_metadata", _LONG, copy)

    async def delete(self, *keys: str) -> None:
        def delete() -> None:
            for start in range(0, len(keys), self._page):
                self._deletion.delete([{"Key": self._prefix + key} for key in keys[start : start + self._page]])

        await self._run("deletes", "delete", _LONG, delete)

    async def delete_versions(self, *prefixes: str) -> None:
        def delete() -> None:
            versions = self._client.get_paginator("list_object_versions")
            for prefix in prefixes:
                for page in versions.paginate(
                    Bucket=self._bucket, Prefix=self._prefix + prefix, PaginationConfig={"PageSize": self._page}
                ):
                    found = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                    if found:
                        self._deletion.delete([{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found])

        await self._run("deletes", "delete_versions", _LONG, delete)

    async def is_versioned(self) -> bool:
        """Whether the bucket keeps old versions: those from before versioning was suspended, too.

        False if the server knows no versions.
        """

        def ask() -> bool:
            try:
                return bool(self._client.get_bucket_versioning(Bucket=self._bucket).get("Status"))
            except boto.ClientError as error:
                if error_code(error) != "NotImplemented":
                    raise
                return False

        return await self._run("lookups", "versioning", _SHORT, ask)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        if not after.startswith(prefix):  # MinIO's gateways refuse it
            if after > prefix:
                return
            after = ""
        async for page in self._list_pages(prefix, after=after):
            for entry in page.get("Contents", ()):
                yield ObjectInfo(entry["Key"].removeprefix(self._prefix), entry["Size"], entry["LastModified"])

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        async for page in self._list_pages(prefix, "/"):
            for entry in page.get("CommonPrefixes", ()):
                yield entry["Prefix"].removeprefix(self._prefix + prefix).rstrip("/")

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._client.close)

    async def _run(self, kind: str, operation: str, seconds: float, work: Callable[[], T]) -> T:
        return await self._bulkheads[kind].run(operation, translate_errors()(work), seconds)

    async def _list_pages(
        self, prefix: str, delimiter: str = "", after: str = ""
    ) -> "AsyncIterator[ListObjectsV2OutputTypeDef]":
        listing = self._pages.paginate(
            Bucket=self._bucket,
            Prefix=self._prefix + prefix,
            Delimiter=delimiter,
            StartAfter=after and self._prefix + after,
            PaginationConfig={"PageSize": self._page},
        )
        pages = iter(listing)
        while page := await self._run("lookups", "list", _SHORT, lambda: next(pages, None)):
            yield page

    def _head(self, key: str) -> ObjectInfo:
        with translate_errors():
            try:
                return object_info(key, self._client.head_object(Bucket=self._bucket, Key=self._prefix + key))
            except boto.ClientError as error:
                # A response to HEAD has no body, so a 404 may mean the key or the bucket. Checking the bucket costs a
                # request on each miss; without it, a missing bucket would make CDNs cache 404s for every image.
                if error_code(error) == "404":
                    self._client.head_bucket(Bucket=self._bucket)
                raise

    @contextmanager
    def _open(self, key: str, seconds: float) -> Iterator[tuple[ObjectInfo, Iterator[bytes]]]:
        end = monotonic() + seconds
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        with closing(answer["Body"]) as body:
            yield object_info(key, answer), read_chunks(body, end)
