"""Derives and stores all missing variants of an upload from one decode, alongside other callers and processes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

from proxy.errors import Overloaded, RenderFailed
from proxy.keys import variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.storage.object_store import ObjectExists
from proxy.variants.derive import Deriver, Render
from proxy.variants.encoded_variant import EncodedVariant, is_current, parse_measured
from proxy.variants.leases.lease_store import LeaseStore
from proxy.variants.results import Ensured, Fetched, Tier
from proxy.variants.single_flight import SingleFlight
from proxy.variants.variant_store import VariantStore

Results = asyncio.Queue[Ensured | None]
"""The results of one call: at most one for each variant, then None."""


class VariantEnsurer:
    """Implements `VariantService.ensure`.

    `fetch_shared`: gets a variant that another caller or process is deriving, through the shared flights.
    """

    def __init__(
        self,
        variants: VariantStore,
        deriver: Deriver,
        pool: RenderPool,
        recipes: Recipes,
        leases: LeaseStore,
        *,
        flights: SingleFlight[tuple[UploadId, Variant], Fetched],
        fetch_shared: Callable[[UploadId, Variant], Awaitable[EncodedVariant]],
    ) -> None:
        self._variants = variants
        self._deriver = deriver
        self._pool = pool
        self._recipes = recipes
        self._leases = leases
        self._flights = flights
        self._fetch_shared = fetch_shared

    async def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        """Implements `VariantService.ensure`."""
        results: Results = asyncio.Queue()

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

    async def _ensure(self, upload_id: UploadId, variants: Sequence[Variant], results: Results) -> None:
        missing = await self._not_stored(upload_id, variants, results)
        if not missing:
            return
        async with AsyncExitStack() as leases:
            run = _Run(upload_id, missing, results, leases)
            try:
                await self._derive_missing(run)
            except asyncio.CancelledError:
                for write in run.writes:
                    write.cancel()
                raise
            finally:
                outcomes = await asyncio.gather(*run.writes, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        for variant in run.others:
            results.put_nowait(await self._await_other(upload_id, variant))

    async def _derive_missing(self, run: "_Run") -> None:
        """Derives the variants that no other caller is deriving, and starts to store them.

        Releases the render worker after a variant if a live request waits for one, and later goes on with the rest.
        """
        async with self._deriver.open_original(run.upload_id, run.missing, Priority.BACKGROUND) as original:
            while run.missing:
                async with self._deriver.open_renderer(original, Priority.BACKGROUND) as render:
                    await self._derive_in_turn(run, render)

    async def _derive_in_turn(self, run: "_Run", render: Render) -> None:
        with self._flights.claiming(_stopped_error) as claim:
            taken: dict[Variant, tuple[AsyncExitStack, asyncio.Future[Fetched]]] = {}

            async def accept(variant: Variant) -> bool:
                if taken and self._pool.has_live_waiting:
                    return False
                run.missing.remove(variant)
                # Only now: a live request must not wait for a variant whose turn has not come.
                lease = await run.leases.enter_async_context(AsyncExitStack())
                if not await lease.enter_async_context(
                    self._leases.hold(variant_key(run.upload_id, variant), wait=False)
                ):
                    run.others.append(variant)
                elif await self._not_stored(run.upload_id, [variant], run.results):
                    if flight := claim((run.upload_id, variant)):
                        taken[variant] = lease, flight
                        return True
                    run.others.append(variant)
                await lease.aclose()
                return False

            async for encoded, variant, timings in render([*run.missing], accept):
                lease, flight = taken[variant]
                flight.set_result(Fetched(encoded, Tier.DERIVED, timings))
                # Store concurrently, so that waiting for the next variant does not include this write.
                ensured = Ensured(variant, len(encoded.body), sum(timings.values()), encoded.measured)
                write = self._store_variant(run.upload_id, encoded, ensured, lease, run.results)
                run.writes.append(asyncio.create_task(write))

    async def _store_variant(
        self,
        upload_id: UploadId,
        encoded: EncodedVariant,
        ensured: Ensured,
        lease: AsyncExitStack,
        results: Results,
    ) -> None:
        async with lease:
            await self._variants.put(upload_id, ensured.variant, encoded)
        results.put_nowait(ensured)

    async def _not_stored(self, upload_id: UploadId, variants: Sequence[Variant], results: Results) -> list[Variant]:
        """Returns the variants that are missing or stale, and reports the others as done."""
        missing = []
        infos = await asyncio.gather(*(self._variants.look_up(upload_id, variant) for variant in variants))
        focus = await self._variants.focus_for(upload_id, *variants)
        for variant, info in zip(variants, infos, strict=True):
            if info and is_current(info, variant, self._recipes, focus):
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
        seconds = None
        if encoded is None or stale:
            encoded, timings = await self._deriver.derive_one(upload_id, variant, Priority.BACKGROUND)
            seconds = sum(timings.values())
        try:
            await self._variants.put(upload_id, variant, encoded, if_absent=not stale)
        except ObjectExists:
            seconds = None  # another caller or process stored it first
        return Ensured(variant, len(encoded.body), seconds, encoded.measured)


@dataclass(eq=False, slots=True)
class _Run:
    """The state of one call. `missing`: to derive; `others`: those that other callers or processes derive."""

    upload_id: UploadId
    missing: list[Variant]
    results: Results
    leases: AsyncExitStack
    others: list[Variant] = field(default_factory=list)
    writes: list[asyncio.Task[None]] = field(default_factory=list)


def _stopped_error() -> RenderFailed:
    """Returns the error for requests that joined a warm-up which was stopped. A retry derives the variant itself."""
    return RenderFailed("The warm-up that was deriving this variant was stopped. Try again.", retry_after=1)
