"""Derives and stores all missing variants of an upload from one decode, alongside other callers and processes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress

from proxy.errors import Overloaded, RenderFailed
from proxy.keys import variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.storage.object_store import ObjectExists
from proxy.variants.derive import Deriver
from proxy.variants.encoded_variant import EncodedVariant, parse_measured
from proxy.variants.leases.lease_store import LeaseStore
from proxy.variants.results import Ensured, Fetched, Tier
from proxy.variants.single_flight import SingleFlight
from proxy.variants.variant_store import VariantStore


class VariantEnsurer:
    """Implements `VariantService.ensure`.

    `fetch_shared`: gets a variant that another caller or process is deriving, through the shared flights.
    """

    def __init__(
        self,
        variants: VariantStore,
        deriver: Deriver,
        recipes: Recipes,
        leases: LeaseStore,
        *,
        flights: SingleFlight[tuple[UploadId, Variant], Fetched],
        fetch_shared: Callable[[UploadId, Variant], Awaitable[EncodedVariant]],
    ) -> None:
        self._variants = variants
        self._deriver = deriver
        self._recipes = recipes
        self._leases = leases
        self._flights = flights
        self._fetch_shared = fetch_shared

    async def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        """See `VariantService.ensure`."""
        results: asyncio.Queue[Ensured | None] = asyncio.Queue()  # at most one for each of `variants`; None ends it

        async def work() -> None:
            try:
                await self._ensure(upload_id, variants, results)
            finally:
                results.put_nowait(None)

        task = asyncio.create_task(work())
        try:
            while (ensured := await results.get()) is not None:
                yield ensured
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ensure(
        self, upload_id: UploadId, variants: Sequence[Variant], results: asyncio.Queue[Ensured | None]
    ) -> None:
        missing = await self._not_stored(upload_id, variants, results)
        if not missing:
            return
        writes: list[asyncio.Task[None]] = []
        async with AsyncExitStack() as leases:
            try:
                remaining = await self._derive_missing(upload_id, missing, results, leases, writes)
            except asyncio.CancelledError:
                for write in writes:
                    write.cancel()
                raise
            finally:
                outcomes = await asyncio.gather(*writes, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        for variant in remaining:
            results.put_nowait(await self._await_other(upload_id, variant))

    async def _derive_missing(
        self,
        upload_id: UploadId,
        missing: Sequence[Variant],
        results: asyncio.Queue[Ensured | None],
        held: AsyncExitStack,
        writes: list[asyncio.Task[None]],
    ) -> list[Variant]:
        """Derives the variants that no other caller is deriving and starts to store them; returns the others."""
        async with self._deriver.open_renderer(upload_id, missing, Priority.BACKGROUND) as render:
            # Take leases only after a process is reserved: a live request must not wait for a queued warm-up.
            leases = await self._lease(upload_id, missing, held)
            free = await self._not_stored(upload_id, list(leases), results)
            with self._flights.claim([(upload_id, variant) for variant in free], _stopped_error) as flights:
                claimed = [variant for variant in free if (upload_id, variant) in flights]
                if claimed:
                    async for encoded, variant, timings in render(claimed):
                        flights[upload_id, variant].set_result(Fetched(encoded, Tier.DERIVED, timings))
                        # Store concurrently, so that waiting for the next variant does not include this write.
                        ensured = Ensured(variant, len(encoded.body), sum(timings.values()), encoded.measured)
                        write = self._store_variant(upload_id, encoded, ensured, leases[variant], results)
                        writes.append(asyncio.create_task(write))
        return [variant for variant in missing if variant not in leases or (variant in free and variant not in claimed)]

    async def _lease(
        self, upload_id: UploadId, variants: Sequence[Variant], held: AsyncExitStack
    ) -> dict[Variant, AsyncExitStack]:
        """The variants whose leases were free, each with its lease, which is released once the variant is stored."""
        leases = {}
        for variant in variants:
            lease = await held.enter_async_context(AsyncExitStack())
            if await lease.enter_async_context(self._leases.hold(variant_key(upload_id, variant), wait=False)):
                leases[variant] = lease
        return leases

    async def _store_variant(
        self,
        upload_id: UploadId,
        encoded: EncodedVariant,
        ensured: Ensured,
        lease: AsyncExitStack,
        results: asyncio.Queue[Ensured | None],
    ) -> None:
        async with lease:
            await self._variants.put(upload_id, ensured.variant, encoded)
        results.put_nowait(ensured)

    async def _not_stored(
        self, upload_id: UploadId, variants: Sequence[Variant], results: asyncio.Queue[Ensured | None]
    ) -> list[Variant]:
        """The variants that are missing or stale; reports the others as done."""
        missing = []
        infos = await asyncio.gather(*(self._variants.look_up(upload_id, variant) for variant in variants))
        for variant, info in zip(variants, infos, strict=True):
            if info and info.metadata.get("recipe") == self._recipes.fingerprint(variant):
                results.put_nowait(Ensured(variant, info.size, None, parse_measured(info.metadata)))
            else:
                missing.append(variant)
        return missing

    async def _await_other(self, upload_id: UploadId, variant: Variant) -> Ensured:
        """Waits for a variant that another caller or process derives, and makes sure that it is stored."""
        encoded: EncodedVariant | None = None
        with suppress(Overloaded):  # then derive it here, at background priority
            encoded = await self._fetch_shared(upload_id, variant)
        stale = encoded is not None and encoded.recipe != self._recipes.fingerprint(variant)
        if encoded is None or stale:
            encoded, _ = await self._deriver.derive_one(upload_id, variant, Priority.BACKGROUND)
        with suppress(ObjectExists):
            await self._variants.put(upload_id, variant, encoded, if_absent=not stale)
        return Ensured(variant, len(encoded.body), None, encoded.measured)


def _stopped_error() -> RenderFailed:
    """For requests that joined a warm-up which was stopped; a retry derives the variant itself."""
    return RenderFailed("The warm-up that was deriving this variant was stopped. Try again.", retry_after=1)
