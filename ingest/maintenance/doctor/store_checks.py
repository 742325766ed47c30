"""The object store: every right that Darkroom needs, under both of its prefixes.

Trial objects bear the key of an upload that never was, so that `darkroom gc` removes what a killed doctor leaves.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning
from proxy.errors import StoreUnavailable
from proxy.keys import original_key, variants_prefix
from proxy.model import new_upload_id
from proxy.storage.object_store import ObjectExists, ObjectNotFound, ObjectStore, look_up

_BODY, _TYPE, _METADATA = b"trial", "text/plain", {"recipe": "trial"}


def _original() -> str:
    return original_key(new_upload_id())


def _variant() -> str:
    """A name that no edge lets through, and no listing takes for a variant."""
    return f"{variants_prefix(new_upload_id())}doctor"


@asynccontextmanager
async def _stored(store: ObjectStore, key: str) -> AsyncIterator[None]:
    await store.put(key, _BODY, content_type=_TYPE, metadata=_METADATA)
    try:
        yield
    except ObjectNotFound as error:
        raise StoreUnavailable(
            "It lacks an object that was just stored: it is not consistent enough to rely on."
        ) from error
    finally:
        await store.delete(key)


async def round_trip(store: ObjectStore) -> CheckResult:
    """Writes, reads and deletes."""
    for key in (_original(), _variant()):
        async with _stored(store, key):
            stored = await store.get(key)
        if stored.body != _BODY or stored.info.metadata.get("recipe") != _METADATA["recipe"]:
            return failed(f"It gives back other bytes or metadata than it was given, under {key.split('/')[0]}/.")
        if await look_up(store, key):
            return failed("It still has an object that was deleted: it is not consistent enough to rely on.")
    return ok("writes, reads and deletes")


async def listing(store: ObjectStore) -> CheckResult:
    """Lists, and says 404 for what is not there: two things that S3 grants by one right."""
    async with _stored(store, key := _variant()):
        try:
            listed = [info.key async for info in store.list(key)]
            missed = not await look_up(store, _original())
        except StoreUnavailable as error:
            return failed(
                f"{error} Without s3:ListBucket on the bucket, S3 answers 403 and not 404 for a key that is not there; "
                "then no variant is ever missed, and none derived."
            )
    if listed != [key]:
        return failed("It does not list an object that was just stored: it is not consistent enough to rely on.")
    if not missed:
        return failed("It claims to have an object that was never stored.")
    return ok("lists, and answers 404 for what is not there")


async def conditional_writes(store: ObjectStore) -> CheckResult:
    key = _original()
    try:
        await store.put(key, b"first", content_type=_TYPE, if_absent=True)
        try:
            await store.put(key, b"second", content_type=_TYPE, if_absent=True)
        except ObjectExists:
            return ok("honoured")
    finally:
        await store.delete(key)
    return warning(
        "This store ignores If-None-Match: leases alone keep work from being done twice, and pictures stay right. "
        "A newer version of it may know better."
    )


async def clock(store: ObjectStore) -> datetime:
    """The store's time, in whole seconds, by what it writes down of a new object."""
    async with _stored(store, key := _original()):
        return (await store.head(key)).last_modified
