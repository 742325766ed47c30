"""Derives variants from a stored original: download, admission, render worker, memory cache."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Protocol

from proxy.errors import DerivationTimeout, RenderFailed, ServiceError, StoreUnavailable, TooHeavy, UnknownUpload
from proxy.keys import variants_prefix
from proxy.model import Focus, UploadId, Variant, Visibility
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderedFile, RenderWorker
from proxy.storage.object_store import ObjectStore
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import record_stages, step
from proxy.variants.derivation_pauses import DerivationPauses
from proxy.variants.encoded_variant import EncodedVariant, without_blocking
from proxy.variants.memory_cache import MemoryCache
from proxy.variants.negative_cache import NegativeCache, is_permanent
from proxy.variants.originals import check_original, focus_of, original_file, require_visibility

Rendered = tuple[EncodedVariant, Variant, dict[str, float]]
"""An encoded variant, which variant it is, and the seconds by stage."""

Accept = Callable[[Variant], Awaitable[bool]]
"""Called just before a variant is rendered. Returns whether to render it."""


@dataclass(frozen=True, slots=True)
class LocalOriginal:
    """A temporary copy of an original, with the focus that the upload had when it was copied.

    `memory`: bytes to reserve for rendering the variants that it was opened for.
    """

    upload_id: UploadId
    path: Path
    focus: Focus | None
    memory: int


class Render(Protocol):
    def __call__(self, variants: Sequence[Variant], accept: Accept | None = None) -> AsyncIterator[Rendered]:
        """Renders those of `variants` for which `accept` returns True (None: all), in an order that shares work."""


class Deriver:
    """Renders variants, counts the outcomes, and fills the memory cache and the negative cache."""

    def __init__(
        self,
        store: ObjectStore,
        pool: RenderPool,
        recipes: Recipes,
        metrics: Metrics,
        *,
        memory_cache: MemoryCache,
        negative_cache: NegativeCache,
        pauses: DerivationPauses,
        temporary: Path,
        timeout: float,
    ) -> None:
        self._store = store
        self._pool = pool
        self._recipes = recipes
        self._metrics = metrics
        self._memory_cache = memory_cache
        self._negative_cache = negative_cache
        self._pauses = pauses
        self._temporary = temporary
        self._timeout = timeout

    async def derive_one(
        self, upload_id: UploadId, variant: Variant, priority: Priority
    ) -> tuple[EncodedVariant, dict[str, float]]:
        """Derives one variant; returns it with the seconds by stage.

        Raises as `open_original` and `open_renderer` do, DerivationTimeout, RenderFailed, and refusals of the original.
        """
        async with (
            self.open_original(upload_id, [variant], priority) as original,
            self.open_renderer(original, priority) as render,
        ):
            [(encoded, _, timings)] = [rendered async for rendered in render([variant])]
        return encoded, timings

    async def raise_if_unknown(self, upload_id: UploadId, variant: Variant) -> None:
        """Raises UnknownUpload, OriginalDamaged or StoreUnavailable if there is no original for `variant`.

        A request calls it before it takes a lease or a place in the queue, because anybody can invent ids.
        """
        async with self._recording_failures(upload_id, [variant]):
            await check_original(self._store, upload_id, variant.visibility)

    @asynccontextmanager
    async def open_original(
        self, upload_id: UploadId, variants: Sequence[Variant], priority: Priority
    ) -> AsyncIterator[LocalOriginal]:
        """Downloads the original, to render `variants` of it. Raises UnknownUpload, TooHeavy, Overloaded, Unavailable.

        All `variants` have one visibility; an upload with another visibility counts as unknown.
        """
        visibility = variants[0].visibility
        async with AsyncExitStack() as held:
            async with self._recording_failures(upload_id, variants):
                await self._pauses.raise_if_paused(upload_id, variants)
            with self._pool.reserve_place(priority):
                async with self._recording_failures(upload_id, variants):
                    path, focus = await held.enter_async_context(self._original(upload_id, visibility))
                    targets = [self._recipes.target(variant) for variant in variants]
                    memory = await self._pool.estimate_memory(path, targets)
            yield LocalOriginal(upload_id, path, focus, memory)

    @asynccontextmanager
    async def open_renderer(self, original: LocalOriginal, priority: Priority) -> AsyncIterator[Render]:
        """Reserves a render worker with the memory for all the variants that `original` was opened for.

        Yields a function that renders any of them, decoding once for each tier. Raises Overloaded, RenderFailed,
        DerivationTimeout.
        """
        async with self._pool.acquire(priority, original.memory) as worker:
            yield partial(self._render, worker, original)

    def count_outcome(self, variant: Variant, outcome: str) -> None:
        """Counts a derivation. `outcome`: `ok` or the code of an error."""
        self._metrics.derivations.labels(variant.size_name, variant.format, outcome).inc()

    @asynccontextmanager
    async def _original(self, upload_id: UploadId, visibility: Visibility) -> AsyncIterator[tuple[Path, Focus | None]]:
        start = monotonic()
        async with AsyncExitStack() as file:
            with step("fetch original"):
                path, info = await file.enter_async_context(original_file(self._store, upload_id, self._temporary))
            self._metrics.observe_stages({"fetch": monotonic() - start})
            require_visibility(info, visibility)  # it may have changed since the look-up
            yield path, focus_of(info)

    async def _render(
        self, worker: RenderWorker, original: LocalOriginal, variants: Sequence[Variant], accept: Accept | None = None
    ) -> AsyncIterator[Rendered]:
        pending = list(variants)
        current: Variant | None = None if accept else variants[0]
        started = monotonic()

        async def accept_index(index: int) -> bool:
            nonlocal current, started
            assert accept
            accepted = await accept(variants[index])
            if accepted:
                current, started = variants[index], monotonic()
            else:
                pending.remove(variants[index])
            return accepted

        targets = [self._recipes.target(variant, original.focus) for variant in variants]
        async with self._recording_failures(original.upload_id, pending):
            try:
                async for file in worker.render(original.path, targets, accept_index if accept else None):
                    variant, focus = variants[file.index], targets[file.index].focus
                    pending.remove(variant)
                    current = None
                    await self._pauses.record_success(original.upload_id, variant)
                    yield await self._on_rendered(original.upload_id, variant, file, focus), variant, file.timings
            except (DerivationTimeout, RenderFailed, asyncio.CancelledError) as error:
                # Cancelled by the deadline of the request: the variant is to blame if most of the time was spent here.
                was_short = isinstance(error, asyncio.CancelledError) and monotonic() - started < self._timeout / 2
                if current and not was_short:
                    await self._pauses.record_failure(original.upload_id, current)
                raise

    async def _on_rendered(
        self, upload_id: UploadId, variant: Variant, file: RenderedFile, focus: Focus | None
    ) -> EncodedVariant:
        recipe = self._recipes.fingerprint(variant)
        make = partial(EncodedVariant.from_rendering, upload_id, variant, file.body, recipe, file.measured, focus=focus)
        encoded = await without_blocking(make, len(file.body))
        # After a deletion or change, no later request may get it. `VariantService.fetch` handles callers that already
        # wait.
        if self._negative_cache.may_be_kept(upload_id):
            self._memory_cache.put(upload_id, variant, encoded)
        self.count_outcome(variant, "ok")
        self._metrics.observe_stages(file.timings)
        record_stages(file.timings, variant.name)
        return encoded

    @asynccontextmanager
    async def _recording_failures(self, upload_id: UploadId, pending: Sequence[Variant]) -> AsyncIterator[None]:
        """Counts a failure for each variant still in `pending`; caches a permanent one for all that were in it."""
        requested = list(pending)
        try:
            yield
        except ServiceError as error:
            for variant in pending:
                self.count_outcome(variant, error.code)
            if is_permanent(error):
                about_upload = not isinstance(error, TooHeavy)  # another variant may need less memory
                # Most unknown ids are requested only once, and a listing of S3 costs as much as twelve look-ups.
                is_first_miss = isinstance(error, UnknownUpload) and not self._negative_cache.is_missing(upload_id)
                whole_upload = (
                    about_upload
                    and not is_first_miss
                    and not await self._may_have_stored_variants(upload_id, requested[0].visibility)
                )
                self._negative_cache.remember(upload_id, requested, error, whole_upload=whole_upload)
            raise

    async def _may_have_stored_variants(self, upload_id: UploadId, visibility: Visibility) -> bool:
        """Whether variants may be stored, which are served even without a sound original. True if the store fails."""
        with suppress(StoreUnavailable):
            async for _ in self._store.list(variants_prefix(upload_id, visibility)):
                return True
            return False
        return True
