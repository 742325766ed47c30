"""Opens a client of S3 or a compatible service (boto3)."""

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from boto3.session import Session
from botocore.config import Config

if TYPE_CHECKING:  # stubs, which production does not install
    from types_boto3_s3 import S3Client


def open_client(
    session: Session,
    endpoint_url: str | None,
    addressing: Literal["path", "virtual"] | None,
    encryption: str | None,
    *,
    connections: int,
) -> "S3Client":
    """Returns a client. Opens no connection, but blocks for about 0.2 s while botocore loads its models.

    `endpoint_url`: of another server than AWS.
    `addressing`: `path` or `virtual` (the bucket in the host name); by default `path` for other servers than AWS.
    `encryption`: `AES256`, `aws:kms` or `aws:kms:KEY-ID`, which every write requests from the server.
    `connections`: how many the client keeps open.
    """
    config = Config(
        connect_timeout=1,
        read_timeout=2,  # for each read; two attempts and the pause must fit into the 4 s of a read
        # `standard` adds jitter to the pause and has a retry budget: it stops retrying when most attempts fail.
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=connections,
        signature_version="s3v4",  # temporary URLs are otherwise signed in a way that only AWS accepts
    )
    if addressing := addressing or ("path" if endpoint_url else None):
        config = config.merge(Config(s3={"addressing_style": addressing}))
    if endpoint_url:  # only AWS is sure to support bucket host names and botocore's default checksums
        config = config.merge(
            Config(
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
        )
    client = session.client("s3", endpoint_url=endpoint_url, config=config)
    if encryption:
        for operation in ("PutObject", "CopyObject"):
            client.meta.events.register(f"before-parameter-build.s3.{operation}", partial(_encrypt, encryption))
    return client


def _encrypt(encryption: str, params: dict[str, Any], **_event: object) -> None:
    algorithm, kms, key = encryption.partition("aws:kms")
    params["ServerSideEncryption"] = algorithm + kms
    if key:
        params["SSEKMSKeyId"] = key.removeprefix(":")
