"""The one door to a variant: find it, or derive and store it. The route and the warm-up both come through here."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import structlog

from proxy.errors import DerivationTimeout, ServiceError
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.storage.object_store import ObjectStore
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step
from proxy.variants.derive import Deriver
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.ensure_variants import VariantEnsurer
from proxy.variants.invalidation.invalidation_bus import InvalidationBus, NoInvalidation
from proxy.variants.leases.lease_store import LeaseStore, NoLeases
from proxy.variants.memory_cache import MemoryCache
from proxy.variants.negative_cache import NegativeCache
from proxy.variants.results import Ensured, Fetched, Tier
from proxy.variants.single_flight import SingleFlight
from proxy.variants.variant_store import VariantStore

log = structlog.get_logger()

_MAX_WRITE_BACKS = 256  # in hand at once; past that a variant is served and derived again another time
_MAX_REFRESHES = 4


class VariantService:
    """Variants of uploads. The object store is the truth; nothing here outlives the process but what it stores.

    `timeout`: seconds a caller waits at most. `missing_ttl`: seconds for which a missing upload is remembered.
    """

    def __init__(
        self,
        store: ObjectStore,
        pool: RenderPool,
        recipes: Recipes,
        metrics: Metrics,
        leases: LeaseStore | None = None,
        *,
        invalidation: InvalidationBus | None = None,
        temporary: Path,
        timeout: float,
        memory_cache_bytes: int,
        missing_ttl: float,
    ) -> None:
        self._store = store
        self._variants = VariantStore(store, metrics)
        self._recipes = recipes
        self._metrics = metrics
        self._leases: LeaseStore = leases or NoLeases()
        self._invalidation: InvalidationBus = invalidation or NoInvalidation()
        self._timeout = timeout
        self._hot = MemoryCache(memory_cache_bytes, on_eviction=metrics.memory_cache_evictions.inc)
        self._hot_requests = metrics.variant_requests.labels(Tier.MEMORY)
        self._negative_cache = NegativeCache(missing_ttl, timeout)
        self._flights: SingleFlight[tuple[UploadId, Variant], Fetched] = SingleFlight()
        self._rendering = Deriver(
            store, pool, recipes, metrics, hot=self._hot, negative_cache=self._negative_cache, temporary=temporary
        )
        self._ensurer = VariantEnsurer(
            self._variants, self._rendering, recipes, self._leases, flights=self._flights, fetch=self._from_others
        )
        self._background: set[asyncio.Task[None]] = set()
        self._refreshing: set[tuple[UploadId, Variant]] = set()
        metrics.watch(metrics.memory_cache_bytes, lambda: self._hot.bytes)
        metrics.watch(metrics.memory_cache_variants, lambda: len(self._hot))
        metrics.watch(metrics.write_back_queue, lambda: len(self._background))

    async def fetch(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """The variant, derived if need be.

        Raises UnknownUpload, Undecodable (or another refusal of the original), TooHeavy, Overloaded, DerivationTimeout,
        RenderFailed or StoreUnavailable.
        """
        if picture := self.hot(upload_id, variant):
            return Fetched(picture, Tier.MEMORY)
        try:
            fetched = await self._fetch(upload_id, variant)
        except ServiceError:
            self._metrics.variant_requests.labels("refused").inc()
            raise
        self._metrics.variant_requests.labels(fetched.tier).inc()
        return fetched

    def hot(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        """The variant, if it is in memory; a stale one is derived anew in the background."""
        picture = self._hot.get(upload_id, variant)
        if picture is None:
            return None
        if picture.recipe != self._recipes.fingerprint(variant):
            self._refresh_later(upload_id, variant)
        self._hot_requests.inc()
        return picture

    def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        """Sees to it that every variant is stored, with today's recipe; yields each once it is.

        The original is decoded once for all that are missing, and whoever asks for one of them meanwhile gets it from
        here. Raises what `fetch` raises. However long the caller takes between two, no render process waits for it.
        """
        return self._ensurer.ensure(upload_id, variants)

    async def estimate_memory(self, path: Path, variants: Sequence[Variant]) -> int:
        """Bytes of memory that deriving `variants` of the original at `path` takes. Raises TooHeavy."""
        return await self._rendering.estimate_memory(path, variants)

    async def delete_variants(self, upload_id: UploadId, *variants: Variant) -> None:
        """Removes stored variants, those named or all of them. Idempotent."""
        self._hot.forget(upload_id)
        await self._variants.delete(upload_id, *variants)
        self._hot.forget(upload_id)  # what was found meanwhile

    async def delete_upload(self, upload_id: UploadId) -> None:
        """Removes an upload from the store: the original first, so that no derivation under way can outlive it."""
        await self._store.delete(original_key(upload_id))
        self._negative_cache.note_deletion(upload_id)  # not before it is true: caches keep for a minute that it is gone
        await self.delete_variants(upload_id)
        await self._invalidation.publish(upload_id)

    async def follow_invalidations(self) -> None:
        """Forgets what other processes delete, until it is cancelled."""
        await self._invalidation.subscribe(self._on_invalidation)

    def _on_invalidation(self, upload_id: UploadId | None) -> None:
        if upload_id is not None:
            self._negative_cache.note_deletion(upload_id)
        self._hot.forget(upload_id)

    async def drain(self) -> None:
        """Waits for flights and writes, so that a stopping server loses no work that it has done."""
        await self._flights.drain()
        while self._background:
            await asyncio.wait(list(self._background))
        await self._variants.drain()

    async def _fetch(self, upload_id: UploadId, variant: Variant) -> Fetched:
        self._negative_cache.check(upload_id, variant)
        try:
            async with asyncio.timeout(self._timeout):
                fetched, leads = await self._flights.do(
                    (upload_id, variant), lambda: self._find_or_derive(upload_id, variant)
                )
        except TimeoutError:
            raise self._late() from None
        if not leads and fetched.tier is Tier.DERIVED:
            return replace(fetched, tier=Tier.COLLAPSED, timings={})
        return fetched

    async def _from_others(self, upload_id: UploadId, variant: Variant) -> EncodedVariant:
        return self._hot.get(upload_id, variant) or (await self._fetch(upload_id, variant)).encoded

    async def _find_or_derive(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """One flight. Its deadline is its own; the callers who share it come and go."""
        try:
            async with asyncio.timeout(self._timeout):
                if fetched := await self._find(upload_id, variant):
                    return fetched
                return await self._derive(upload_id, variant)
        except TimeoutError:
            self._rendering.count(variant, DerivationTimeout.code)
            raise self._late() from None

    async def _find(self, upload_id: UploadId, variant: Variant) -> Fetched | None:
        with step("find stored"):
            picture = await self._variants.find(upload_id, variant)
        if picture is None:
            return None
        if not self._negative_cache.is_deleted(upload_id):
            self._hot.put(upload_id, variant, picture)
        if picture.recipe != self._recipes.fingerprint(variant):
            self._refresh_later(upload_id, variant)
        return Fetched(picture, Tier.STORED)

    async def _derive(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """The lease covers the write-back too: who waits for it finds the variant stored, and derives nothing."""
        self._rendering.check(Priority.LIVE)  # in a flood, most are told so: that must cost them no lease
        key = variant_key(upload_id, variant)
        async with AsyncExitStack() as lease:
            if not await lease.enter_async_context(self._leases.hold(key, wait=False)):
                with step("wait for another's derivation"):
                    await lease.enter_async_context(self._leases.hold(key))
                if found := await self._find(upload_id, variant):
                    return replace(found, tier=Tier.COLLAPSED)
            picture, timings = await self._rendering.one(upload_id, variant, Priority.LIVE)
            if len(self._background) < _MAX_WRITE_BACKS:
                self._later(self._variants.write_back(upload_id, variant, picture, lease.pop_all()))
            else:
                self._metrics.write_backs.labels("skipped").inc()
            return Fetched(picture, Tier.DERIVED, timings)

    def _refresh_later(self, upload_id: UploadId, variant: Variant) -> None:
        key = (upload_id, variant)
        if key in self._refreshing:
            return
        if len(self._refreshing) < _MAX_REFRESHES:
            self._refreshing.add(key)
            self._later(self._refresh(upload_id, variant))
        else:
            self._count_stale(variant, "deferred")

    async def _refresh(self, upload_id: UploadId, variant: Variant) -> None:
        """Replaces a variant of another recipe. Failing is harmless: the stale one goes on being served.

        It has a deadline, though live requests go first: a server that stops waits for it.
        """
        outcome = "failed"
        try:
            async with self._leases.hold(variant_key(upload_id, variant), wait=False) as held:
                outcome = "elsewhere"
                if held:
                    outcome = "failed"
                    async with asyncio.timeout(self._timeout):
                        picture, _ = await self._rendering.one(upload_id, variant, Priority.BACKGROUND)
                        await self._variants.put(upload_id, variant, picture)
                    outcome = "refreshed"
        except (ServiceError, TimeoutError) as error:
            log.warning(
                "stale variant not refreshed", upload=upload_id, variant=variant.name, error=str(error) or "late"
            )
        finally:
            self._refreshing.discard((upload_id, variant))
            self._count_stale(variant, outcome)

    def _count_stale(self, variant: Variant, outcome: str) -> None:
        self._metrics.stale_variants.labels(variant.size_name, variant.format, outcome).inc()

    def _late(self) -> DerivationTimeout:
        return DerivationTimeout(f"The picture was not ready within {self._timeout:g} seconds.")

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
