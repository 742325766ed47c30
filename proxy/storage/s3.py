"""Objects in a bucket, on S3 or what speaks like it (boto3).

Every bucket needs s3:GetObject, s3:PutObject and s3:DeleteObject on its objects and s3:ListBucket on itself: without
the last, S3 answers 403 for a key that is not there, and no variant could ever be missed and then derived.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
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

if TYPE_CHECKING:  # stubs: not there when the service runs
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef, PutObjectRequestTypeDef

T = TypeVar("T")

_PAGE = 1000  # keys: the most that one answer lists, and that one DeleteObjects takes
_READERS, _WRITERS = 24, 8  # at a time, each with a connection

# Seconds that a caller waits. botocore's time-outs are for one silence; a store that sends drop by drop has none.
_SHORT = 4.0  # for a variant, or a word about it: less than a derivation may take, or its deadline would hide the cause
_LONG = 30.0  # for an original, which may be large and the store slow
_CHUNK = 64 * 1024

_DENIED = (
    "The object store refuses these credentials: check the keys, this machine's clock, and that they allow "
    "s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket's objects and s3:ListBucket on the bucket."
)
_BAD_KEYS = "The object store does not know these credentials: check the access key and its secret."
_EXPIRED = "The credentials for the object store have expired: renew them."
_WRONG_REGION = "The bucket is in another region: correct the region in the settings."

_ANSWERS = {
    "403": _DENIED,  # the answer to a HEAD has no body, hence no code: any of the reasons below may be behind it
    "AccessDenied": _DENIED,
    "InvalidAccessKeyId": _BAD_KEYS,
    "SignatureDoesNotMatch": _BAD_KEYS,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "NoSuchBucket": "The bucket does not exist: create it, or correct its name in the settings.",
    "RequestTimeTooSkewed": "This machine's clock differs from the object store's by minutes: set it by NTP.",
    "301": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
}

_NO_KEYS = "No credentials for the object store were found: set the access key and its secret, or give a role."
_NOT_S3 = "What answers at the endpoint is no S3 service: correct the endpoint in the settings."
_GONE = "The object store cannot be reached: check that it runs, and the endpoint's host and port."
_CUT = "The object store broke off in the middle of an object: try again."

_CERTIFICATE = "The object store's certificate was not accepted: check the endpoint's name and this machine's CAs."

_FAILURES: Mapping[type[Exception], tuple[str, str]] = {
    # With a word for metrics. In this order: the ConnectionError of botocore is the parent of others.
    boto.NoCredentialsError: (_NO_KEYS, "credentials"),
    boto.PartialCredentialsError: (_NO_KEYS, "credentials"),
    boto.CredentialRetrievalError: (_NO_KEYS, "credentials"),
    boto.ConnectTimeoutError: (LATE, "timeout"),
    boto.ReadTimeoutError: (LATE, "timeout"),
    boto.IncompleteReadError: (_CUT, "cut"),
    boto.ResponseStreamingError: (_CUT, "cut"),
    boto.FlexibleChecksumError: (_CUT, "cut"),
    boto.SSLError: (_CERTIFICATE, "certificate"),
    boto.ConnectionError: (_GONE, "unreachable"),
    boto.ConnectionClosedError: (_GONE, "unreachable"),
}

_REASONS = frozenset({*_ANSWERS, "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503"})
"""S3's codes that metrics know by name; what else a server makes up must not become a series of its own."""


class S3Store:
    """Keeps objects in one bucket, over one pool of connections."""

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
        """Sends nothing, but blocks for some 0.2 s while botocore reads its models: to be called at start.

        Without keys, boto3 looks for credentials where it always does: environment, profile, role.
        """
        config = Config(
            connect_timeout=1,
            read_timeout=2,  # of silence. Twice that and a pause must fit into what a caller waits
            # `standard` draws the pause before the second try at random, and has a budget: when most first tries fail,
            # there are no second ones.
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=_READERS + _WRITERS,
        )
        if endpoint_url:  # S3 alone is sure to know buckets by host name, and the checksums that botocore adds unasked
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
        self._reads, self._writes = Bulkhead("reads", _READERS, metrics), Bulkhead("writes", _WRITERS, metrics)

    async def head(self, key: str) -> ObjectInfo:
        return await self._read("head", lambda: self._head(key))

    async def get(self, key: str) -> StoredObject:
        def get() -> StoredObject:
            with self._open(key, _SHORT) as (info, chunks):
                return StoredObject(info, b"".join(chunks))

        return await self._read("get", get)

    async def download(self, key: str, path: Path) -> ObjectInfo:
        def download() -> ObjectInfo:
            with self._open(key, _LONG) as (info, chunks), new_file(path) as file:
                file.writelines(chunks)
            return info

        return await self._read("download", download, _LONG)

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
        """A conditional put that is sent twice may meet its own first try, and call its own bytes ObjectExists."""
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
                # An older server, without conditional puts. A rival may write between the two lines below and lose its
                # object to ours: wasteful, but right, for two who race for one key carry the same picture.
                with suppress(ObjectNotFound):
                    self._head(key)
                    raise ObjectExists(key) from error
                del request["IfNoneMatch"]
                send()

        await self._write("put", put)

    async def delete(self, *keys: str) -> None:
        def delete() -> None:
            for start in range(0, len(keys), self._page):
                batch = keys[start : start + self._page]
                answer = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
                if errors := answer.get("Errors"):
                    raise _unavailable(errors[0].get("Code", "no code"))

        await self._write("delete", delete)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        listing = self._pages.paginate(Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": self._page})
        pages = iter(listing)
        while page := await self._read("list", lambda: next(pages, None)):
            for entry in page.get("Contents", ()):
                yield ObjectInfo(entry["Key"], entry["Size"], entry["LastModified"])

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._client.close)

    async def _read(self, operation: str, work: Callable[[], T], seconds: float = _SHORT) -> T:
        return await self._reads.run(operation, _translated()(work), seconds)

    async def _write(self, operation: str, work: Callable[[], None]) -> None:
        await self._writes.run(operation, _translated()(work), _LONG)

    def _head(self, key: str) -> ObjectInfo:
        with _translated():
            try:
                return _info(key, self._client.head_object(Bucket=self._bucket, Key=key))
            except boto.ClientError as error:
                # The answer to a HEAD has no body, so a 404 may mean the key or the bucket. To ask for the bucket costs
                # a request on each miss; to take a lost bucket for a miss would tell every CDN that no image exists.
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
    """The body counts itself against Content-Length when it is read to its end: a cut one raises there.

    By `end` the caller has left; this thread need not go on either.
    """
    while chunk := body.read(_CHUNK):
        if monotonic() > end:
            raise StoreUnavailable(LATE, reason="timeout")
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
def _translated() -> Iterator[None]:
    """The one place where botocore's exceptions become ours. What it says of itself may hold names and addresses.

    In the thread already: so the lane knows how a call ended that its caller has left.
    """
    try:
        yield
    except boto.ParamValidationError as error:  # refused before anything was sent: the caller's mistake
        raise ValueError(str(error)) from error
    except boto.ClientError as error:
        raise _answered(error) from error
    except (boto.BotoCoreError, HTTPError) as error:  # urllib3's own HTTPError: TLS that breaks in the middle of a body
        unknown = f"The object store cannot be used: {type(error).__name__}.", "other"
        advice, reason = next((known for kind, known in _FAILURES.items() if isinstance(error, kind)), unknown)
        raise StoreUnavailable(advice, reason=reason) from error


def _answered(error: boto.ClientError) -> Exception:
    match error.operation_name, _code(error):
        case ("GetObject", "NoSuchKey") | ("HeadObject", "404"):
            return ObjectNotFound(str(error))
        case ("PutObject", "PreconditionFailed" | "ConditionalRequestConflict"):  # 412: it is there; 409: a race is on
            return ObjectExists(str(error))
        case ("HeadBucket", "404"):
            return _unavailable("NoSuchBucket")
        case _:
            return _unavailable(_code(error))


def _code(error: boto.ClientError) -> str:
    """S3's name for what went wrong; the bare status where the answer had no body."""
    return error.response["Error"].get("Code", "no code")


def _unavailable(code: str) -> StoreUnavailable:
    advice = _ANSWERS.get(code, f"The object store answered {code}.")
    return StoreUnavailable(advice, reason=code if code in _REASONS else "other")
