"""Invalidations in CloudFront (boto3)."""

import asyncio
from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ingest.ingest_errors import CdnUnavailable
from proxy.retries import Attempts

log = structlog.get_logger()

_BATCH = 1000
"""Tags in one request. CloudFront allows 3,000 items in progress per distribution, in any number of requests."""

_RETRIED = {"TooManyInvalidationsInProgress", "Throttling", "ThrottlingException", "ServiceUnavailable"}
_DELAYS = (0.5, 1.0, 2.0)  # seconds before each retry
_CONNECT_TIMEOUT, _READ_TIMEOUT = 1, 4
_DEADLINE = 10.0  # seconds for a batch with its retries
_REPEAT_AFTER = 2.0
"""Seconds until what was withdrawn is invalidated again. A response that was on its way is stored by then; processes
without Redis also learn of a withdrawal within half a second."""
_THREADS = 4  # not those of the default limiter: a slow CloudFront must not delay uploads and derivations


class CloudFront:
    """One distribution. Its `CacheTagConfig` names the header with the tags (deploy/cloudfront.yaml)."""

    def __init__(
        self,
        distribution_id: str,
        *,
        session: Session,
        endpoint_url: str | None = None,
    ) -> None:
        """Sends nothing, but blocks while botocore loads its models: create it at startup.

        The region of `session` must be us-east-1, where CloudFront has its only endpoint.
        """
        self._distribution_id = distribution_id
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._client = session.client(
            "cloudfront",
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT, read_timeout=_READ_TIMEOUT, retries={"total_max_attempts": 1}
            ),
        )

    async def invalidate(self, tags: Sequence[str], *, withdrawn: bool = False) -> None:
        await self._invalidate_all(tags)
        if withdrawn and tags:
            await asyncio.sleep(_REPEAT_AFTER)
            await self._invalidate_all(tags)

    async def _invalidate_all(self, tags: Sequence[str]) -> None:
        for start in range(0, len(tags), _BATCH):
            try:
                async with asyncio.timeout(_DEADLINE):
                    await self._invalidate(tags[start : start + _BATCH])
            except TimeoutError:
                raise CdnUnavailable(f"CloudFront did not answer within {_DEADLINE:g} seconds. Try again.") from None

    async def _invalidate(self, tags: Sequence[str]) -> None:
        items = [f"#{tag}" for tag in tags]  # a leading # marks a tag; other items are paths
        send = partial(
            self._client.create_invalidation,
            DistributionId=self._distribution_id,
            # The reference is the same in every attempt, so CloudFront detects repeats.
            InvalidationBatch={"Paths": {"Quantity": len(items), "Items": items}, "CallerReference": str(uuid4())},
        )
        async for retry_in in Attempts(_DELAYS):
            try:
                # After the deadline, the thread goes on until its own timeouts.
                await anyio.to_thread.run_sync(send, limiter=self._threads, abandon_on_cancel=True)
            except (ClientError, BotoCoreError) as error:
                if retry_in is None or not _is_retryable(error):
                    raise CdnUnavailable(_advice(error)) from error
                log.warning("CloudFront invalidation failed, retry scheduled", error=str(error), retry_in=retry_in)
            else:
                return


def _is_retryable(error: Exception) -> bool:
    return not isinstance(error, ClientError) or error.response["Error"]["Code"] in _RETRIED


def _advice(error: Exception) -> str:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    if code == "NoSuchDistribution":
        return "CloudFront has no such distribution: correct CDN_DISTRIBUTION_ID."
    if code == "AccessDenied":
        return "CloudFront denies access: allow these credentials cloudfront:CreateInvalidation on the distribution."
    return f"CloudFront does not accept the invalidation ({code}). Try again."
