"""Checks every permission that Darkroom needs in the object store, under each of its prefixes.

Test objects use keys of unknown uploads, so `darkroom gc` removes what a killed doctor leaves behind.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning
from proxy.errors import StoreUnavailable
from proxy.keys import fields_key, original_key, variants_prefix
from proxy.model import Visibility, new_upload_id
from proxy.storage.object_store import ObjectExists, ObjectNotFound, ObjectStore, look_up

_BODY, _TYPE, _METADATA = b"trial", "text/plain", {"recipe": "trial"}


def _original() -> str:
    return original_key(new_upload_id())


def _variant(visibility: Visibility = Visibility.PUBLIC) -> str:
    """Returns a key below the variants' prefix that names no variant, so edges and listings ignore it."""
    return f"{variants_prefix(new_upload_id(), visibility)}doctor"


@asynccontextmanager
async def _stored(store: ObjectStore, key: str) -> AsyncIterator[None]:
    try:  # a put that is interrupted may have stored it
        await store.put(key, _BODY, content_type=_TYPE, metadata=_METADATA)
        yield
    except ObjectNotFound as error:
        raise StoreUnavailable(
            "It lacks an object that was just stored: use a store with read-after-write consistency."
        ) from error
    finally:
        await _clean_up(store, key)


async def _clean_up(store: ObjectStore, key: str) -> None:
    """Deletes what a check stored. Whether the store deletes is for `round_trip` alone to judge."""
    with suppress(StoreUnavailable):
        await store.delete(key)


async def round_trip(store: ObjectStore) -> CheckResult:
    """Checks that writing, reading and deleting work."""
    for key in (_original(), *map(_variant, Visibility), fields_key(new_upload_id())):
        prefix = f"{key.split('/')[0]}/"
        async with _stored(store, key):
            stored = await store.get(key)
            if stored.body != _BODY or stored.info.metadata.get("recipe") != _METADATA["recipe"]:
                return failed(f"It returns bytes or metadata that differ from what was stored under {prefix}.")
            try:
                await store.delete(key)
            except StoreUnavailable as error:
                return failed(
                    f"It writes and reads, but does not delete under {prefix}: {error} "
                    "Grant s3:DeleteObject there, and use no Object Lock."
                )
        if await look_up(store, key):
            return failed("It still has an object that was deleted: use a store with read-after-write consistency.")
    return ok("writes, reads and deletes")


async def listing(store: ObjectStore) -> CheckResult:
    """Checks that listing works and that a missing key gets 404: S3 grants both with one permission."""
    async with _stored(store, key := _variant()):
        try:
            listed = [info.key async for info in store.list(key)]
            missed = not await look_up(store, _original())
        except StoreUnavailable as error:
            return failed(
                f"{error} Grant s3:ListBucket on the bucket: without it, S3 answers 403 and not 404 for a missing key, "
                "and Darkroom derives no variants."
            )
    if listed != [key]:
        return failed("It does not list an object that was just stored: use a store with read-after-write consistency.")
    if not missed:
        return failed("It reports an object that was never stored.")
    return ok("lists, and answers 404 for a missing key")


async def conditional_writes(store: ObjectStore) -> CheckResult:
    """Checks that `put` with `if_absent` overwrites nothing, which some stores ignore."""
    key = _original()
    try:
        await store.put(key, b"first", content_type=_TYPE, if_absent=True)
        try:
            await store.put(key, b"second", content_type=_TYPE, if_absent=True)
        except ObjectExists:
            return ok("supported")
    finally:
        await _clean_up(store, key)
    return warning(
        "This store ignores If-None-Match: leases alone prevent duplicate work; variants stay correct. "
        "A newer version may support it."
    )


async def clock(store: ObjectStore) -> datetime:
    """Returns the store's time in whole seconds: the modification time of a new object."""
    async with _stored(store, key := _original()):
        return (await store.head(key)).last_modified
