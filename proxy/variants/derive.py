"""Derives variants from a stored original: download, admission, render worker, memory cache."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic

from proxy.errors import ServiceError, StoreUnavailable, TooHeavy
from proxy.keys import variants_prefix
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderedFile, RenderWorker
from proxy.storage.object_store import ObjectStore
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import record_stages, step
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.memory_cache import MemoryCache
from proxy.variants.negative_cache import NegativeCache, is_permanent
from proxy.variants.originals import original_file

Rendered = tuple[EncodedVariant, Variant, dict[str, float]]
"""An encoded variant, which variant it is, and the seconds by stage."""


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
        temporary: Path,
    ) -> None:
        self._store = store
        self._pool = pool
        self._recipes = recipes
        self._metrics = metrics
        self._memory_cache = memory_cache
        self._negative_cache = negative_cache
        self._temporary = temporary

    async def derive_one(
        self, upload_id: UploadId, variant: Variant, priority: Priority
    ) -> tuple[EncodedVariant, dict[str, float]]:
        """Derives one variant; returns it with the seconds by stage. Raises as `open_renderer` does."""
        async with self.open_renderer(upload_id, [variant], priority) as render:
            [(encoded, _, timings)] = [rendered async for rendered in render([variant])]
        return encoded, timings

    @asynccontextmanager
    async def open_renderer(
        self, upload_id: UploadId, variants: Sequence[Variant], priority: Priority
    ) -> AsyncIterator[Callable[[Sequence[Variant]], AsyncIterator[Rendered]]]:
        """Reserves a render process with the memory for all of `variants`; yields a function that renders any of them.

        That function decodes the original once. Raises UnknownUpload, Undecodable (or another refusal of the original),
        TooHeavy, Overloaded, Unavailable.
        """
        async with AsyncExitStack() as held:
            # Download the original first: an unknown id must not take a process from requests that wait for one.
            with self._pool.reserve_place(priority):
                async with self._recording_failures(upload_id, variants):
                    path = await held.enter_async_context(self._original(upload_id))
                    targets = [self._recipes.target(variant) for variant in variants]
                    memory = await self._pool.estimate_memory(path, targets)
            process = await held.enter_async_context(self._pool.acquire(priority, memory))
            yield partial(self._render, process, path, upload_id)

    def count_outcome(self, variant: Variant, outcome: str) -> None:
        self._metrics.derivations.labels(variant.size_name, variant.format, outcome).inc()

    @asynccontextmanager
    async def _original(self, upload_id: UploadId) -> AsyncIterator[Path]:
        start = monotonic()
        async with AsyncExitStack() as file:
            with step("fetch original"):
                path = await file.enter_async_context(original_file(self._store, upload_id, self._temporary))
            self._metrics.observe_stages({"fetch": monotonic() - start})
            yield path

    async def _render(
        self, process: RenderWorker, path: Path, upload_id: UploadId, variants: Sequence[Variant]
    ) -> AsyncIterator[Rendered]:
        pending = list(variants)
        async with self._recording_failures(upload_id, pending):
            async for file in process.render(path, [self._recipes.target(variant) for variant in variants]):
                variant = variants[file.index]
                pending.remove(variant)
                yield self._on_rendered(upload_id, variant, file), variant, file.timings

    def _on_rendered(self, upload_id: UploadId, variant: Variant, file: RenderedFile) -> EncodedVariant:
        recipe = self._recipes.fingerprint(variant)
        encoded = EncodedVariant.from_rendering(upload_id, variant, file.body, recipe, file.measured)
        # After a deletion, callers that already wait still get the variant; later requests must not.
        if not self._negative_cache.is_deleted(upload_id):
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
                whole_upload = about_upload and not await self._may_have_stored_variants(upload_id)
                self._negative_cache.remember(upload_id, requested, error, whole_upload=whole_upload)
            raise

    async def _may_have_stored_variants(self, upload_id: UploadId) -> bool:
        """True if the store cannot tell. Stored variants are served even if their original is missing or damaged."""
        with suppress(StoreUnavailable):
            async for _ in self._store.list(variants_prefix(upload_id)):
                return True
            return False
        return True
