"""Objects in a bucket on S3 or a compatible service (boto3).

The credentials need s3:GetObject, s3:PutObject and s3:DeleteObject on the objects and s3:ListBucket on the bucket.
Without the last, S3 answers 403 instead of 404 for a missing key, so no missing variant would ever be derived.
`delete_versions` also needs s3:ListBucketVersions and s3:DeleteObjectVersion, `is_versioned` s3:GetBucketVersioning.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread
from boto3.session import Session
from botocore import exceptions as boto
from botocore.config import Config
from botocore.response import StreamingBody
from urllib3.exceptions import HTTPError

from proxy.errors import StoreUnavailable
from proxy.storage.bulkhead import LATE, Bulkhead
from proxy.storage.files import new_file
from proxy.storage.object_store import ObjectExists, ObjectInfo, ObjectNotFound, StoredObject
from proxy.telemetry import Metrics

if TYPE_CHECKING:  # stubs, which production does not install
    from types_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectsV2OutputTypeDef,
        ObjectIdentifierTypeDef,
        PutObjectRequestTypeDef,
    )

T = TypeVar("T")

_PAGE = 1000  # keys: S3's limit for one listing and one DeleteObjects
_SLOTS = {"reads": 24, "downloads": 8, "writes": 8, "deletes": 4}
"""Concurrent calls of each kind, each with a connection. Downloads are of originals: they may take 30 s, and must not
hold up reads of stored variants."""

# Deadlines of a call in seconds. botocore's time-outs apply to each read, so a store that trickles never exceeds them.
_SHORT = 4.0  # for variants and heads; below RENDER_TIMEOUT, whose error would hide the cause
_LONG = 30.0  # for originals, which may be large, and for writes
_CHUNK = 64 * 1024

_DENIED = (
    "The object store refuses these credentials. Check the keys, this machine's clock, and that they allow "
    "s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket's objects and s3:ListBucket on the bucket."
)
_BAD_KEYS = "The object store does not know these credentials. Check the access key and its secret."
_EXPIRED = "The credentials for the object store have expired. Renew them."
_WRONG_REGION = "The bucket is in another region. Correct AWS_REGION."

_ANSWERS = {
    "403": _DENIED,  # a response to HEAD has no body with a code, so this covers all reasons below
    "AccessDenied": _DENIED,
    "InvalidAccessKeyId": _BAD_KEYS,
    "SignatureDoesNotMatch": _BAD_KEYS,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "InvalidObjectState": "The object is archived. Restore it to a storage class that can be read at once.",
    "NoSuchBucket": "The bucket does not exist. Create it, or correct S3_BUCKET.",
    "RequestTimeTooSkewed": "This machine's clock differs from the object store's by minutes. Synchronize it by NTP.",
    "301": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
}

_NO_KEYS = "No credentials for the object store were found. Set the access key and its secret, or assign a role."
_NOT_S3 = "The endpoint is not an S3 service. Correct S3_ENDPOINT_URL."
_UNREACHABLE = "The object store cannot be reached. Check that it runs, and the endpoint's host and port."
_CUT = "The object store closed the connection in the middle of an object. Try again."

_CERTIFICATE = (
    "The object store's certificate was not accepted. Check the endpoint's name and this machine's CA certificates."
)

_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)

_OUTAGES: Mapping[type[Exception], tuple[str, str]] = {
    # Message and metric label. The order matters: botocore's ConnectionError is the parent of others.
    boto.ConnectTimeoutError: (LATE, "timeout"),
    boto.ReadTimeoutError: (LATE, "timeout"),
    boto.IncompleteReadError: (_CUT, "cut"),
    boto.ResponseStreamingError: (_CUT, "cut"),
    boto.SSLError: (_CERTIFICATE, "certificate"),
    boto.ConnectionError: (_UNREACHABLE, "unreachable"),
    boto.ConnectionClosedError: (_UNREACHABLE, "unreachable"),
}

_OUTAGE_CODES = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503"})
_REASONS = frozenset({*_ANSWERS, *_OUTAGE_CODES})
"""S3's error codes that become metric labels. Others count as `other`, so that a server cannot create series."""


class S3Store:
    """Stores objects in one bucket, over one connection pool."""

    def __init__(
        self,
        bucket: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        metrics: Metrics | None = None,
        page: int = _PAGE,
    ) -> None:
        """Opens no connection, but blocks for about 0.2 s while botocore loads its models: call it at start-up.

        Without keys, boto3's credential chain applies (environment, profile, role). `page`: keys for each request.
        """
        config = Config(
            connect_timeout=1,
            read_timeout=2,  # for each read; two attempts and the pause must fit into _SHORT
            # `standard` adds jitter to the pause and has a retry budget: it stops retrying when most attempts fail.
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=sum(_SLOTS.values()),
        )
        if endpoint_url:  # only AWS is sure to support bucket host names and botocore's default checksums
            config = config.merge(
                Config(
                    s3={"addressing_style": "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                )
            )
        self._bucket = bucket
        self._page = page
        self._client = Session(access_key_id, secret_access_key, region_name=region).client(
            "s3", endpoint_url=endpoint_url, config=config
        )
        self._pages = self._client.get_paginator("list_objects_v2")
        metrics = metrics or Metrics()
        self._bulkheads = {kind: Bulkhead(kind, slots, metrics) for kind, slots in _SLOTS.items()}

    async def head(self, key: str) -> ObjectInfo:
        return await self._run("reads", "head", _SHORT, lambda: self._head(key))

    async def get(self, key: str) -> StoredObject:
        def get() -> StoredObject:
            with self._open(key, _SHORT) as (info, chunks):
                return StoredObject(info, b"".join(chunks))

        return await self._run("reads", "get", _SHORT, get)

    async def download(self, key: str, path: Path) -> ObjectInfo:
        def download() -> ObjectInfo:
            with self._open(key, _LONG) as (info, chunks), new_file(path) as file:
                file.writelines(chunks)
            return info

        return await self._run("downloads", "download", _LONG, download)

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
        """A retried conditional put may find the object of its own first attempt, and raise ObjectExists for it."""
        request: PutObjectRequestTypeDef = {"Bucket": self._bucket, "Key": key, "ContentType": content_type}
        request["Metadata"] = dict(metadata or {})
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
                if not (if_absent and _code(error) == "NotImplemented"):
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
        def copy() -> None:
            self._client.copy_object(
                Bucket=self._bucket, Key=target, CopySource={"Bucket": self._bucket, "Key": source}
            )

        await self._run("writes", "copy", _LONG, copy)

    async def delete(self, *keys: str) -> None:
        def delete() -> None:
            for start in range(0, len(keys), self._page):
                self._delete([{"Key": key} for key in keys[start : start + self._page]])

        await self._run("deletes", "delete", _LONG, delete)

    async def delete_versions(self, *prefixes: str) -> None:
        def delete() -> None:
            versions = self._client.get_paginator("list_object_versions")
            for prefix in prefixes:
                pages = versions.paginate(Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": self._page})
                for page in pages:
                    found = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                    if found:
                        self._delete([{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found])

        await self._run("deletes", "delete_versions", _LONG, delete)

    async def is_versioned(self) -> bool:
        """Also if versioning is suspended: older versions then stay."""

        def ask() -> bool:
            return bool(self._client.get_bucket_versioning(Bucket=self._bucket).get("Status"))

        return await self._run("reads", "versioning", _SHORT, ask)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        async for page in self._list_pages(prefix, after=after):
            for entry in page.get("Contents", ()):
                yield ObjectInfo(entry["Key"], entry["Size"], entry["LastModified"])

    async def folders(self, prefix: str) -> AsyncIterator[str]:
        async for page in self._list_pages(prefix, "/"):
            for entry in page.get("CommonPrefixes", ()):
                yield entry["Prefix"].removeprefix(prefix).rstrip("/")

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._client.close)

    async def _run(self, kind: str, operation: str, seconds: float, work: Callable[[], T]) -> T:
        return await self._bulkheads[kind].run(operation, _translate_errors()(work), seconds)

    async def _list_pages(
        self, prefix: str, delimiter: str = "", after: str = ""
    ) -> "AsyncIterator[ListObjectsV2OutputTypeDef]":
        listing = self._pages.paginate(
            Bucket=self._bucket,
            Prefix=prefix,
            Delimiter=delimiter,
            StartAfter=after,
            PaginationConfig={"PageSize": self._page},
        )
        pages = iter(listing)
        while page := await self._run("reads", "list", _SHORT, lambda: next(pages, None)):
            yield page

    def _delete(self, objects: "Sequence[ObjectIdentifierTypeDef]") -> None:
        answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            raise _unavailable(errors[0].get("Code", "no code"))

    def _head(self, key: str) -> ObjectInfo:
        with _translate_errors():
            try:
                return _info(key, self._client.head_object(Bucket=self._bucket, Key=key))
            except boto.ClientError as error:
                # A response to HEAD has no body, so a 404 may mean the key or the bucket. Checking the bucket costs a
                # request on each miss; without it, a missing bucket would make CDNs cache 404s for every image.
                if _code(error) == "404":
                    self._client.head_bucket(Bucket=self._bucket)
                raise

    @contextmanager
    def _open(self, key: str, seconds: float) -> Iterator[tuple[ObjectInfo, Iterator[bytes]]]:
        end = monotonic() + seconds
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        with closing(answer["Body"]) as body:
            yield _info(key, answer), _chunks(body, end)


def _chunks(body: StreamingBody, end: float) -> Iterator[bytes]:
    """Reads the body in chunks until `end` (monotonic seconds), when the caller has timed out.

    botocore compares the length with Content-Length at the end, so a truncated body raises.
    """
    while chunk := body.read(_CHUNK):
        if monotonic() > end:
            raise StoreUnavailable(LATE, reason="timeout", is_outage=True)
        yield chunk


def _info(key: str, answer: "GetObjectOutputTypeDef | HeadObjectOutputTypeDef") -> ObjectInfo:
    try:
        return ObjectInfo(
            key,
            answer["ContentLength"],
            answer["LastModified"],
            answer.get("ContentType", ""),
            answer.get("CacheControl"),
            answer["Metadata"],
        )
    except KeyError as error:
        raise StoreUnavailable(_NOT_S3) from error


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translates botocore's exceptions, whose texts may contain names and addresses; the only place that does.

    Runs inside the thread, so that the bulkhead sees the result of a call whose caller has timed out.
    """
    try:
        yield
    except boto.ParamValidationError as error:  # raised before sending: a mistake of the caller
        raise ValueError(str(error)) from error
    except boto.ClientError as error:
        raise _translate_client_error(error) from error
    except boto.FlexibleChecksumError as error:
        raise StoreUnavailable(_CUT, reason="cut") from error
    except _NO_CREDENTIALS as error:
        raise StoreUnavailable(_NO_KEYS, reason="credentials") from error
    except (boto.BotoCoreError, HTTPError) as error:  # HTTPError: urllib3's, when TLS fails in the middle of a body
        unknown = f"The object store cannot be used: {type(error).__name__}.", "other"
        advice, reason = next((known for kind, known in _OUTAGES.items() if isinstance(error, kind)), unknown)
        raise StoreUnavailable(advice, reason=reason, is_outage=True) from error


def _translate_client_error(error: boto.ClientError) -> Exception:
    match error.operation_name, _code(error):
        case ("GetObject" | "CopyObject", "NoSuchKey") | ("HeadObject", "404"):
            return ObjectNotFound(str(error))
        case ("PutObject", "PreconditionFailed" | "ConditionalRequestConflict"):  # 412: exists; 409: race
            return ObjectExists(str(error))
        case ("HeadBucket", "404"):
            return _unavailable("NoSuchBucket")
        case _:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return _unavailable(_code(error), is_outage=status == 429 or (status >= 500 and status != 501))


def _code(error: boto.ClientError) -> str:
    """S3's error code; the HTTP status if the response had no body."""
    return error.response["Error"].get("Code", "no code")


def _unavailable(code: str, *, is_outage: bool = False) -> StoreUnavailable:
    advice = _ANSWERS.get(code, f"The object store answered {code}.")
    reason = code if code in _REASONS else "other"
    return StoreUnavailable(advice, reason=reason, is_outage=is_outage or code in _OUTAGE_CODES)
