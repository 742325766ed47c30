"""Receives a file for a command, and retries where an HTTP client would be told to try again later."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

from ingest.idempotency_key import IdempotencyKey
from ingest.ingest_errors import InProgress, InstallationMismatch
from ingest.records import Upload
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.errors import ServiceError, StoreUnavailable
from proxy.retries import Attempts

log = structlog.get_logger()

_RETRIES = (0.5, 1, 2, 4, 8)  # seconds before each
_NOT_RETRIED = (
    InProgress,  # of another call, which the caller may wait for
    InstallationMismatch,  # stays until someone corrects the settings
    StoreUnavailable,  # the store of commands has waited for minutes already
)


async def receive_with_retries(
    uploads: UploadService,
    name: str,
    read: Callable[[], AsyncGenerator[bytes]],
    key: IdempotencyKey | None = None,
    fields: UploadFields | None = None,
) -> Upload:
    """Receives the bytes of `read`, which each attempt calls again, as `UploadService.receive` does.

    Tries again if there was no capacity, a render process died, or the database did not answer. Raises the last error.
    `name`: of the file, for the log.
    """
    async for retry_in in Attempts(_RETRIES):
        try:
            async with aclosing(read()) as chunks:
                return await uploads.receive(chunks, key, fields)
        except ServiceError as error:
            if retry_in is None or not error.retryable or isinstance(error, _NOT_RETRIED):
                raise
            log.warning("upload retry scheduled", file=name, error=str(error), retry_in=retry_in)
    raise AssertionError  # the last attempt returns or raises
