"""Variants in the object store: found, written (a variant never outlives its original), removed."""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from time import monotonic

import structlog

from proxy.errors import StoreUnavailable, Unavailable, UnknownUpload
from proxy.keys import original_key, variant_key, variants_prefix
from proxy.model import UploadId, Variant
from proxy.storage.object_store import DAMAGED, ObjectExists, ObjectInfo, ObjectNotFound, ObjectStore, look_up
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step
from proxy.variants.encoded_variant import CACHE_CONTROL, EncodedVariant

log = structlog.get_logger()

_RETRY_DELAYS = (0.2, 1.0, 4.0)  # seconds before each retry, each drawn between half and all of it


class VariantStore:
    """The `images/` prefix of the object store. Its methods raise StoreUnavailable."""

    def __init__(self, store: ObjectStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._putting: set[asyncio.Task[None]] = set()

    async def find(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        """A damaged one is removed, and as good as none: its bytes would stay in caches for a year."""
        try:
            stored = await self._store.get(variant_key(upload_id, variant))
        except ObjectNotFound:
            return None
        except StoreUnavailable as error:
            if error.reason != DAMAGED:
                raise
            await self._remove_damaged(upload_id, variant)
            return None
        picture = EncodedVariant.stored(upload_id, variant, stored)
        if stored.info.metadata.get("md5", picture.md5) != picture.md5:
            await self._remove_damaged(upload_id, variant)
            return None
        return picture

    async def _remove_damaged(self, upload_id: UploadId, variant: Variant) -> None:
        log.error("a stored variant is damaged", upload=upload_id, variant=variant.name)
        self._metrics.store_errors.labels("get", DAMAGED).inc()
        with suppress(StoreUnavailable):  # it takes no deletions: then it will not take the right one either
            await self.delete(upload_id, variant)

    async def info(self, upload_id: UploadId, variant: Variant) -> ObjectInfo | None:
        return await look_up(self._store, variant_key(upload_id, variant))

    async def put(
        self, upload_id: UploadId, variant: Variant, picture: EncodedVariant, *, if_absent: bool = False
    ) -> None:
        """Raises UnknownUpload, with nothing left behind, if the original went away meanwhile; ObjectExists.

        A delete removes the original first and lists the variants then; so either its list has this variant, or the
        look-up below finds no original. In neither order does the variant outlive its upload: nor where the caller
        leaves, for a put goes on in its thread, and the look-up must follow.
        """
        putting = asyncio.create_task(self._put(upload_id, variant, picture, if_absent=if_absent))
        self._putting.add(putting)
        putting.add_done_callback(self._put_ended)
        await asyncio.shield(putting)

    async def drain(self) -> None:
        """Waits for what is being put."""
        while self._putting:
            await asyncio.wait(list(self._putting))

    async def _put(self, upload_id: UploadId, variant: Variant, picture: EncodedVariant, *, if_absent: bool) -> None:
        await self._write(upload_id, variant, picture, if_absent=if_absent)
        await self._keep_only_with_original(upload_id, variant)

    def _put_ended(self, putting: asyncio.Task[None]) -> None:
        self._putting.discard(putting)
        if not putting.cancelled():
            putting.exception()  # seen: its caller may have left

    async def _write(self, upload_id: UploadId, variant: Variant, picture: EncodedVariant, *, if_absent: bool) -> None:
        start = monotonic()
        with step("store variant"):
            await self._store.put(
                variant_key(upload_id, variant),
                picture.body,
                content_type=picture.format.media_type,
                cache_control=CACHE_CONTROL,
                metadata=picture.metadata,
                if_absent=if_absent,
            )
        self._metrics.observe_stages({"store": monotonic() - start})

    async def _keep_only_with_original(self, upload_id: UploadId, variant: Variant) -> None:
        try:
            await self._store.head(original_key(upload_id))
        except ObjectNotFound:
            await self._store.delete(variant_key(upload_id, variant))
            raise UnknownUpload("The picture was deleted while this variant was made.") from None

    async def write_back(
        self, upload_id: UploadId, variant: Variant, picture: EncodedVariant, lease: AsyncExitStack
    ) -> None:
        """Puts a variant that has been served already: retried, counted, logged, and never raises.

        `lease` is closed after the first try: others must not wait for a store that takes nothing.
        """
        written, outcome = "", "failed"
        async with lease:
            for delay in (*_RETRY_DELAYS, None):
                try:
                    written = written or await self._write_first(upload_id, variant, picture)
                    await self._keep_only_with_original(upload_id, variant)
                    outcome = written
                except UnknownUpload:
                    outcome = "gone"
                except Unavailable as error:
                    log.warning(
                        "write-back failed", upload=upload_id, variant=variant.name, error=str(error), retry=delay
                    )
                    await lease.aclose()
                    if delay is not None:
                        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                        continue
                break
        self._metrics.write_backs.labels(outcome).inc()

    async def _write_first(self, upload_id: UploadId, variant: Variant, picture: EncodedVariant) -> str:
        """The metric's word for what came of it."""
        try:
            await self._write(upload_id, variant, picture, if_absent=True)
        except ObjectExists:  # another process was faster, or a try of ours came through whose answer did not
            return "lost_race"
        return "stored"

    async def delete(self, upload_id: UploadId, *variants: Variant) -> None:
        """Removes those named, or all. Idempotent."""
        if variants:
            keys = [variant_key(upload_id, variant) for variant in variants]
        else:
            keys = [info.key async for info in self._store.list(variants_prefix(upload_id))]
        await self._store.delete(*keys)
