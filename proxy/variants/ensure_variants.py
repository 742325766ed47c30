"""Variants made before they are asked for: all that are missing, from one decode, beside whoever makes some of them."""

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
    """`fetch`: how a variant is got that somebody else is making."""

    def __init__(
        self,
        variants: VariantStore,
        rendering: Deriver,
        recipes: Recipes,
        leases: LeaseStore,
        *,
        flights: SingleFlight[tuple[UploadId, Variant], Fetched],
        fetch: Callable[[UploadId, Variant], Awaitable[EncodedVariant]],
    ) -> None:
        self._variants = variants
        self._rendering = rendering
        self._recipes = recipes
        self._leases = leases
        self._flights = flights
        self._fetch = fetch

    async def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        """As `VariantService.ensure`."""
        ensured: asyncio.Queue[Ensured | None] = asyncio.Queue()  # never holds more than `variants`

        async def work() -> None:
            try:
                await self._ensure(upload_id, variants, ensured)
            finally:
                ensured.put_nowait(None)

        task = asyncio.create_task(work())
        try:
            while (one := await ensured.get()) is not None:
                yield one
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ensure(
        self, upload_id: UploadId, variants: Sequence[Variant], ensured: asyncio.Queue[Ensured | None]
    ) -> None:
        missing = await self._not_stored(upload_id, variants, ensured)
        if not missing:
            return
        writes: list[asyncio.Task[None]] = []
        async with AsyncExitStack() as leases:
            try:
                left = await self._make(upload_id, missing, ensured, leases, writes)
            except asyncio.CancelledError:
                for write in writes:
                    write.cancel()
                raise
            finally:
                outcomes = await asyncio.gather(*writes, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        for variant in left:
            ensured.put_nowait(await self._from_others(upload_id, variant))

    async def _make(
        self,
        upload_id: UploadId,
        missing: Sequence[Variant],
        ensured: asyncio.Queue[Ensured | None],
        kept: AsyncExitStack,
        writes: list[asyncio.Task[None]],
    ) -> list[Variant]:
        """Renders what nobody else is making, and begins to write it; returns what somebody else is making."""
        async with self._rendering.begin(upload_id, missing, Priority.BACKGROUND) as render:
            # Only now, with a process in hand: a live request must not end up waiting behind a queued warm-up.
            leases = await self._lease(upload_id, missing, kept)
            free = await self._not_stored(upload_id, list(leases), ensured)
            with self._flights.claim([(upload_id, variant) for variant in free], _handed_back) as flights:
                made = [variant for variant in free if (upload_id, variant) in flights]
                if made:
                    async for picture, variant, timings in render(made):
                        flights[upload_id, variant].set_result(Fetched(picture, Tier.DERIVED, timings))
                        # Beside the rendering: who waits for the next variant does not wait for this one's write.
                        done = Ensured(variant, len(picture.body), sum(timings.values()), picture.measured)
                        write = self._put(upload_id, picture, done, leases[variant], ensured)
                        writes.append(asyncio.create_task(write))
        return [variant for variant in missing if variant not in leases or (variant in free and variant not in made)]

    async def _lease(
        self, upload_id: UploadId, variants: Sequence[Variant], kept: AsyncExitStack
    ) -> dict[Variant, AsyncExitStack]:
        """Those whose leases are free, each with its own, to be closed as soon as the variant is stored."""
        leases = {}
        for variant in variants:
            lease = await kept.enter_async_context(AsyncExitStack())
            if await lease.enter_async_context(self._leases.hold(variant_key(upload_id, variant), wait=False)):
                leases[variant] = lease
        return leases

    async def _put(
        self,
        upload_id: UploadId,
        picture: EncodedVariant,
        done: Ensured,
        lease: AsyncExitStack,
        ensured: asyncio.Queue[Ensured | None],
    ) -> None:
        async with lease:
            await self._variants.put(upload_id, done.variant, picture)
        ensured.put_nowait(done)

    async def _not_stored(
        self, upload_id: UploadId, variants: Sequence[Variant], ensured: asyncio.Queue[Ensured | None]
    ) -> list[Variant]:
        """Those that are not stored, or stale; the others are done."""
        missing = []
        infos = await asyncio.gather(*(self._variants.info(upload_id, variant) for variant in variants))
        for variant, info in zip(variants, infos, strict=True):
            if info and info.metadata.get("recipe") == self._recipes.fingerprint(variant):
                ensured.put_nowait(Ensured(variant, info.size, None, parse_measured(info.metadata)))
            else:
                missing.append(variant)
        return missing

    async def _from_others(self, upload_id: UploadId, variant: Variant) -> Ensured:
        picture: EncodedVariant | None = None
        with suppress(Overloaded):  # in a flood it waits its turn, here
            picture = await self._fetch(upload_id, variant)
        stale = picture is not None and picture.recipe != self._recipes.fingerprint(variant)
        if picture is None or stale:
            picture, _ = await self._rendering.one(upload_id, variant, Priority.BACKGROUND)
        with suppress(ObjectExists):
            await self._variants.put(upload_id, variant, picture, if_absent=not stale)
        return Ensured(variant, len(picture.body), None, picture.measured)


def _handed_back() -> RenderFailed:
    """For those who joined a warm-up that was stopped: their next try derives the variant itself."""
    return RenderFailed("The warm-up that was making this picture was stopped. Try again.", retry_after=1)
