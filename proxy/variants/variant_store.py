"""Reads, writes and deletes variants in the object store. Deletes them with their original, and when it changes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from time import monotonic

import structlog

from proxy.errors import StoreUnavailable, Unavailable, UnknownUpload, UploadChanged
from proxy.keys import variant_key, variants_prefixes
from proxy.model import Focus, Position, UploadId, Variant, Visibility
from proxy.retries import Attempts
from proxy.storage.object_store import DAMAGED, ObjectExists, ObjectInfo, ObjectNotFound, ObjectStore, look_up
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step
from proxy.variants.encoded_variant import CACHE_CONTROL, MAX_PRIVATE_AGE, EncodedVariant, without_blocking
from proxy.variants.originals import focus_of, head_original, is_outdated, require_visibility

log = structlog.get_logger()

_MAX_WRITE_BACKS = 256  # concurrent; beyond that a variant is served but not stored, and derived again later
_RETRY_DELAYS = (0.2, 1.0, 4.0)  # seconds before each retry
_CACHE_CONTROL = {Visibility.PUBLIC: CACHE_CONTROL, Visibility.PRIVATE: f"private, max-age={MAX_PRIVATE_AGE}"}


class VariantStore:
    """The variants in the object store. Its methods raise StoreUnavailable.

    `may_be_kept`: whether an upload was neither changed nor deleted recently, to the knowledge of this process.
    `on_outdated`: called for an upload that was changed while one of its variants was derived.
    """

    def __init__(
        self,
        store: ObjectStore,
        metrics: Metrics,
        may_be_kept: Callable[[UploadId], bool] = lambda _: True,
        on_outdated: Callable[[UploadId], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._may_be_kept = may_be_kept
        self._on_outdated = on_outdated
        self._putting: set[asyncio.Task[None]] = set()
        self._write_backs: set[asyncio.Task[None]] = set()

    async def find(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        """Returns the stored variant, or None. Deletes a damaged one: its bytes would stay in caches for a year."""
        try:
            stored = await self._store.get(variant_key(upload_id, variant))
        except ObjectNotFound:
            return None
        except StoreUnavailable as error:
            if error.reason != DAMAGED:
                raise
            await self._remove_damaged(upload_id, variant)
            return None
        make = partial(EncodedVariant.from_store, upload_id, variant, stored)
        encoded = await without_blocking(make, stored.info.size)
        if stored.info.metadata.get("md5", encoded.md5) != encoded.md5:
            await self._remove_damaged(upload_id, variant)
            return None
        return encoded

    async def _remove_damaged(self, upload_id: UploadId, variant: Variant) -> None:
        log.error("stored variant damaged, to be deleted", upload=upload_id, variant=variant.name)
        self._metrics.store_errors.labels("get", DAMAGED).inc()
        with suppress(StoreUnavailable):  # the next read tries again
            await self.delete(upload_id, variant)

    async def look_up(self, upload_id: UploadId, variant: Variant) -> ObjectInfo | None:
        """Returns the info of a stored variant, without its bytes; None if it is missing or damaged."""
        return await look_up(self._store, variant_key(upload_id, variant))

    async def put(
        self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant, *, if_absent: bool = False
    ) -> None:
        """Stores a variant. Raises UnknownUpload if the original was deleted meanwhile or has another visibility now,
        UploadChanged if the variant was cropped around another focus than the upload has now; with `if_absent`,
        ObjectExists.

        A deletion removes the original first and then lists the variants; a change of focus or visibility replaces the
        original's metadata first. So either that list has this variant, or the look-up after the write finds that the
        original is gone or changed, and deletes the variant again. The look-up before the write prevents most such
        writes, which an edge that reads the bucket could see. Look-ups and write are one shielded task: a cancelled
        caller does not stop the write's thread, and the second look-up must follow it.
        """
        putting = asyncio.create_task(self._put(upload_id, variant, encoded, if_absent=if_absent))
        self._putting.add(putting)
        putting.add_done_callback(self._on_put_done)
        await asyncio.shield(putting)

    async def drain(self) -> None:
        """Waits for running writes."""
        while running := self._putting | self._write_backs:
            await asyncio.wait(running)

    async def _put(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant, *, if_absent: bool) -> None:
        await self._delete_if_outdated(upload_id, variant, encoded)
        try:
            await self._write(upload_id, variant, encoded, if_absent=if_absent)
        except ObjectExists:  # which may be outdated as well
            await self._delete_if_outdated(upload_id, variant, encoded)
            raise
        await self._delete_if_outdated(upload_id, variant, encoded)

    async def focus_for(self, upload_id: UploadId, *variants: Variant) -> Focus | None:
        """Returns the focus that the upload has now; None, without a look, if no variant uses it.

        Raises UnknownUpload.
        """
        if not any(variant.size.position is Position.FOCUS for variant in variants):
            return None
        return focus_of(await self.original(upload_id))

    async def original(self, upload_id: UploadId) -> ObjectInfo:
        """Returns the info of the upload's original. Raises UnknownUpload."""
        return await head_original(self._store, upload_id)

    def _on_put_done(self, putting: asyncio.Task[None]) -> None:
        self._putting.discard(putting)
        if not putting.cancelled():
            putting.exception()  # marks it as retrieved: the caller may have been cancelled

    async def _write(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant, *, if_absent: bool) -> None:
        start = monotonic()
        with step("store variant"):
            await self._store.put(
                variant_key(upload_id, variant),
                encoded.body,
                content_type=encoded.format.media_type,
                cache_control=_CACHE_CONTROL[variant.visibility],
                metadata=encoded.metadata,
                if_absent=if_absent,
            )
        self._metrics.observe_stages({"store": monotonic() - start})

    async def _delete_if_outdated(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant) -> None:
        try:
            original = await self.original(upload_id)
        except UnknownUpload:
            await self._store.delete(variant_key(upload_id, variant))
            raise
        if is_outdated(original, variant, encoded.focus):
            await self._store.delete(variant_key(upload_id, variant))
            self._on_outdated(upload_id)
            require_visibility(original, variant.visibility)
            raise UploadChanged("The upload was changed while this variant was derived. Try again.")

    @property
    def write_backs(self) -> int:
        """The number of running write-backs."""
        return len(self._write_backs)

    def start_write_back(
        self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant, lease: AsyncExitStack
    ) -> None:
        """Stores a variant that was served already, in the background, unless too many write-backs are running.

        A write-back takes over what `lease` holds, and releases it at its end.
        """
        if len(self._write_backs) < _MAX_WRITE_BACKS:
            task = asyncio.create_task(self.write_back(upload_id, variant, encoded, lease.pop_all()))
            self._write_backs.add(task)
            task.add_done_callback(self._write_backs.discard)
        else:
            self._metrics.write_backs.labels("skipped").inc()

    async def write_back(
        self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant, lease: AsyncExitStack
    ) -> None:
        """Stores a variant that was served already. Retries, counts and logs; never raises.

        `lease` is released after the first failure: other processes must not wait for a store that rejects writes.
        """
        written, outcome = "", "failed"
        async with lease:
            async for retry_in in Attempts(_RETRY_DELAYS):
                try:
                    written = written or await self._write_if_absent(upload_id, variant, encoded)
                    await self._delete_if_outdated(upload_id, variant, encoded)
                    outcome = written
                except UnknownUpload:
                    outcome = "gone"
                except UploadChanged:
                    outcome = "outdated"
                except Unavailable as error:
                    log.warning(
                        "write-back failed", upload=upload_id, variant=variant.name, error=str(error), retry_in=retry_in
                    )
                    await lease.aclose()
                    continue
                except Exception:  # in the background, nothing else would log or count it
                    log.exception("unhandled error in a write-back", upload=upload_id, variant=variant.name)
                break
        self._metrics.write_backs.labels(outcome).inc()

    async def _write_if_absent(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant) -> str:
        """Returns the outcome, as `darkroom_write_backs_total` labels it."""
        if not self._may_be_kept(upload_id):  # until it is deleted again, an edge could read it from the bucket
            await self._delete_if_outdated(upload_id, variant, encoded)
        try:
            await self._write(upload_id, variant, encoded, if_absent=True)
        except ObjectExists:  # another process was faster, or an earlier attempt succeeded but its response was lost
            return "lost_race"
        return "stored"

    async def delete(self, upload_id: UploadId, *variants: Variant) -> None:
        """Deletes the given variants, or all. Idempotent."""
        if variants:
            keys = [variant_key(upload_id, variant) for variant in variants]
        else:
            keys = [info.key for prefix in variants_prefixes(upload_id) async for info in self._store.list(prefix)]
        await self._store.delete(*keys)
