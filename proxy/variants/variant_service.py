"""The service behind routes and warm-ups: finds a variant, or derives and stores it."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from proxy.errors import DerivationTimeout, ServiceError, StoreUnavailable, UploadChanged
from proxy.keys import fields_key, original_key, trash_key, variant_key, variants_prefixes
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.storage.object_store import ObjectStore
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import step
from proxy.variants.derivation_pauses import DerivationPauses
from proxy.variants.derive import Deriver
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.ensure_variants import VariantEnsurer
from proxy.variants.invalidation.invalidation_bus import Invalidation, InvalidationBus, NoInvalidation
from proxy.variants.leases.lease_store import LeaseStore, NoLeases
from proxy.variants.memory_cache import MemoryCache
from proxy.variants.negative_cache import NegativeCache
from proxy.variants.originals import TraitLookup, Traits, is_outdated
from proxy.variants.refresh_stale import StaleRefresher
from proxy.variants.results import Ensured, Fetched, Tier
from proxy.variants.single_flight import SingleFlight
from proxy.variants.variant_store import VariantStore


class VariantService:
    """Variants of uploads. All durable state is in the object store; caches last as long as the process.

    `temporary`: folder for originals while they are rendered. `timeout`: seconds a caller waits at most.
    `missing_ttl`: seconds for which a missing upload is remembered. `delete_versions`: deleting an upload also deletes
    the old versions that the store keeps.
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
        pauses: DerivationPauses | None = None,
        temporary: Path,
        timeout: float,
        memory_cache_bytes: int,
        missing_ttl: float,
        delete_versions: bool = False,
    ) -> None:
        self._store = store
        self._pool = pool
        self._traits = TraitLookup(store, temporary)
        self._recipes = recipes
        self._metrics = metrics
        self._leases: LeaseStore = leases or NoLeases()
        self._invalidation: InvalidationBus = invalidation or NoInvalidation()
        self._timeout = timeout
        self._delete_versions = delete_versions
        self._memory_cache = MemoryCache(memory_cache_bytes, on_eviction=metrics.memory_cache_evictions.inc)
        self._memory_cache_requests = metrics.variant_requests.labels(Tier.MEMORY)
        self._negative_cache = NegativeCache(missing_ttl, timeout)
        self._variants = VariantStore(
            store, metrics, may_be_kept=self._negative_cache.may_be_kept, on_outdated=self._memory_cache.forget
        )
        self._flights: SingleFlight[tuple[UploadId, Variant], Fetched] = SingleFlight()
        self._deriver = Deriver(
            store,
            pool,
            recipes,
            metrics,
            memory_cache=self._memory_cache,
            negative_cache=self._negative_cache,
            pauses=pauses or DerivationPauses(recipes),
            temporary=temporary,
            timeout=timeout,
        )
        self._ensurer = VariantEnsurer(
            self._variants,
            self._deriver,
            pool,
            recipes,
            self._leases,
            flights=self._flights,
            fetch_shared=self._fetch_shared,
        )
        self._refresher = StaleRefresher(self._variants, self._deriver, recipes, self._leases, metrics, timeout=timeout)
        metrics.watch(metrics.memory_cache_bytes, lambda: self._memory_cache.bytes)
        metrics.watch(metrics.memory_cache_variants, lambda: len(self._memory_cache))
        metrics.watch(metrics.write_back_queue, lambda: self._variants.write_backs + len(self._refresher))

    async def fetch(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """Finds the variant, or derives it.

        Raises UnknownUpload, Undecodable (or another refusal of the original), TooHeavy, Overloaded, DerivationTimeout,
        DerivationPaused, RenderFailed, UploadChanged, StoreUnavailable or Unavailable.
        """
        if encoded := self.find_in_memory(upload_id, variant):
            return Fetched(encoded, Tier.MEMORY)
        with self._counting_refusals():
            fetched = await self._fetch(upload_id, variant)
            if await self._is_outdated(upload_id, variant, fetched.encoded):
                # Caches would keep an outdated variant for a year. The second fetch joins no derivation from before the
                # change.
                fetched = await self._fetch(upload_id, variant)
                if await self._is_outdated(upload_id, variant, fetched.encoded):
                    raise UploadChanged("The upload is being changed. Try again.")
        self._metrics.variant_requests.labels(fetched.tier).inc()
        return fetched

    def find_in_memory(self, upload_id: UploadId, variant: Variant) -> EncodedVariant | None:
        """Returns the variant if the memory cache has it. Refreshes a stale one in the background."""
        encoded = self._memory_cache.get(upload_id, variant)
        if encoded is None:
            return None
        if encoded.recipe != self._recipes.fingerprint(variant):
            self._refresher.schedule(upload_id, variant)
        self._memory_cache_requests.inc()
        return encoded

    def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        """Makes sure that every variant is stored with the current recipe; yields each as soon as it is.

        Decodes the original once for each tier of missing variants. Concurrent `fetch` calls for them share the result.
        A slow consumer does not delay a render process. Raises what `fetch` raises.
        """
        return self._ensurer.ensure(upload_id, variants)

    async def has_alpha(self, upload_id: UploadId, variant: Variant) -> bool:
        """Whether `variant` is transparent if its format allows it; False without a sound original.

        Raises Unavailable, DerivationTimeout, and the remembered error of `variant`.
        """
        return not variant.size.is_opaque and (await self._look_up(upload_id, variant)).alpha

    async def is_animated(self, upload_id: UploadId, variant: Variant) -> bool:
        """Whether the original is an animation that animated sizes show in WebP. Raises what `has_alpha` raises."""
        return (await self._look_up(upload_id, variant)).animated

    async def _look_up(self, upload_id: UploadId, variant: Variant) -> Traits:
        with self._counting_refusals():
            self._negative_cache.raise_if_cached(upload_id, variant)
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._traits.find(upload_id)
            except TimeoutError:
                raise self._timeout_error() from None

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except ServiceError:
            self._metrics.variant_requests.labels("refused").inc()
            raise

    async def delete_variants(self, upload_id: UploadId, *variants: Variant) -> None:
        """Deletes the given stored variants, or all of the upload's if none are given. Idempotent."""
        self._memory_cache.forget(upload_id)
        await self._variants.delete(upload_id, *variants)
        self._memory_cache.forget(upload_id)  # again: a concurrent fetch may have cached one before it was deleted

    async def delete_upload(self, upload_id: UploadId) -> None:
        """Deletes an upload permanently; the original first, so that no running derivation leaves a variant behind.

        Deletes its copy in the trash, too, and with `delete_versions` all old versions.
        """
        keys = original_key(upload_id), trash_key(upload_id), fields_key(upload_id)
        await self._store.delete(*keys)
        await self.withdraw(upload_id)
        if self._delete_versions:
            await self._store.delete_versions(*keys, *variants_prefixes(upload_id))

    async def withdraw(self, upload_id: UploadId) -> None:
        """Deletes the variants of an upload whose original is gone, from the store and from every process."""
        # Only after the original is gone: clients cache the resulting 404 for a minute.
        self._negative_cache.mark_deleted(upload_id)
        await self.delete_variants(upload_id)
        await self._invalidation.publish(Invalidation(upload_id))

    async def withdraw_variants(self, upload_id: UploadId) -> None:
        """Deletes the variants of an upload that was changed, from the store and from every process.

        Requests that arrive later get none that was derived before the change.
        """
        self._forget_changed(upload_id)
        await self.delete_variants(upload_id)
        self._forget_changed(upload_id)  # again: work that began before the deletion may have ended since
        await self._invalidation.publish(Invalidation(upload_id, is_deleted=False))

    async def follow_invalidations(self) -> None:
        """Drops uploads that other processes delete or change from the caches. Runs until it is cancelled."""
        await self._invalidation.subscribe(self._on_invalidation)

    def _on_invalidation(self, invalidation: Invalidation | None) -> None:
        if invalidation and invalidation.is_deleted:
            self._negative_cache.mark_deleted(invalidation.upload_id)
        elif invalidation:
            self._forget_changed(invalidation.upload_id)
        self._memory_cache.forget(invalidation and invalidation.upload_id)

    def _forget_changed(self, upload_id: UploadId) -> None:
        self._negative_cache.mark_changed(upload_id)
        self._flights.forget(lambda key: key[0] == upload_id)

    def was_deleted(self, upload_id: UploadId) -> bool:
        """Whether this process knows of a recent deletion, its own or another one's."""
        return self._negative_cache.is_deleted(upload_id)

    async def drain(self) -> None:
        """Waits for running derivations and writes, so that a stopping process loses no finished work.

        Set the `stopping` of a RetryingStore before: otherwise this waits for the end of an outage.
        """
        await self._flights.drain()
        await self._traits.drain()
        await self._refresher.drain()
        await self._variants.drain()

    async def _fetch(self, upload_id: UploadId, variant: Variant) -> Fetched:
        self._negative_cache.raise_if_cached(upload_id, variant)
        try:
            async with asyncio.timeout(self._timeout):
                fetched, is_leader = await self._flights.do(
                    (upload_id, variant), lambda: self._find_or_derive(upload_id, variant)
                )
        except TimeoutError:
            raise self._timeout_error() from None
        if not is_leader and fetched.tier is Tier.DERIVED:
            return replace(fetched, tier=Tier.COLLAPSED, timings={})
        return fetched

    async def _fetch_shared(self, upload_id: UploadId, variant: Variant) -> EncodedVariant:
        return self._memory_cache.get(upload_id, variant) or (await self._fetch(upload_id, variant)).encoded

    async def _find_or_derive(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """The work of one flight. It has its own deadline: callers may join late or leave early."""
        try:
            async with asyncio.timeout(self._timeout):
                if fetched := await self._find(upload_id, variant):
                    return fetched
                return await self._derive(upload_id, variant)
        except TimeoutError:
            self._deriver.count_outcome(variant, DerivationTimeout.code)
            raise self._timeout_error() from None

    async def _find(self, upload_id: UploadId, variant: Variant) -> Fetched | None:
        with step("find stored"):
            encoded = await self._variants.find(upload_id, variant)
        if encoded is None:
            return None
        if await self._is_outdated(upload_id, variant, encoded):
            with suppress(StoreUnavailable):  # its writer deletes it, too
                await self._variants.delete(upload_id, variant)
            return None
        if self._negative_cache.may_be_kept(upload_id):
            self._memory_cache.put(upload_id, variant, encoded)
        if encoded.recipe != self._recipes.fingerprint(variant):
            self._refresher.schedule(upload_id, variant)
        return Fetched(encoded, Tier.STORED)

    async def _is_outdated(self, upload_id: UploadId, variant: Variant, encoded: EncodedVariant) -> bool:
        """Whether the upload was deleted or changed while the variant was found or derived.

        Looks at the original only for a while after a change, as long as derivations that began before it may run.
        Raises UnknownUpload.
        """
        if self._negative_cache.is_deleted(upload_id):
            return True
        if not self._negative_cache.is_changed(upload_id):
            return False
        return is_outdated(await self._variants.original(upload_id), variant, encoded.focus)

    async def _derive(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """Derives the variant. Holds the lease until it is stored, so that a process that waits finds it stored."""
        # Before taking the lease: rejecting must stay cheap under overload, and in a flood of unknown ids.
        self._pool.raise_if_full(Priority.LIVE)
        await self._deriver.raise_if_unknown(upload_id, variant)
        key = variant_key(upload_id, variant)
        async with AsyncExitStack() as lease:
            held = await lease.enter_async_context(self._leases.hold(key, wait=False))
            if not held:
                with step("wait for another process"):
                    await lease.enter_async_context(self._leases.hold(key))
            # Another process may have stored the variant after this one looked for it.
            may_be_stored = not held or await self._leases.was_released(key)
            if may_be_stored and (found := await self._find(upload_id, variant)):
                return replace(found, tier=Tier.COLLAPSED)
            encoded, timings = await self._deriver.derive_one(upload_id, variant, Priority.LIVE)
            self._variants.start_write_back(upload_id, variant, encoded, lease)
            return Fetched(encoded, Tier.DERIVED, timings)

    def _timeout_error(self) -> DerivationTimeout:
        return DerivationTimeout(f"The variant was not ready within {self._timeout:g} seconds.")
