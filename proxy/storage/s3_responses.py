"""Reads what S3 answers about objects."""

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

from botocore.response import StreamingBody

from proxy.errors import StoreUnavailable
from proxy.storage.bulkhead import LATE
from proxy.storage.object_store import ObjectInfo
from proxy.storage.s3_errors import NOT_S3

if TYPE_CHECKING:  # stubs, which production does not install
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef

_CHUNK = 64 * 1024


def read_chunks(body: StreamingBody, end: float) -> Iterator[bytes]:
    """Reads the body in chunks until `end` (monotonic seconds), when the caller has timed out.

    botocore compares the length with Content-Length at the end, so a truncated body raises.
    """
    while chunk := body.read(_CHUNK):
        if monotonic() > end:
            raise StoreUnavailable(LATE, reason="timeout", is_outage=True)
        yield chunk


def object_info(key: str, answer: "GetObjectOutputTypeDef | HeadObjectOutputTypeDef") -> ObjectInfo:
    """Returns the info in S3's answer about an object. Raises StoreUnavailable for an answer that is not S3's."""
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
        raise StoreUnavailable(NOT_S3) from error
