"""From a stored original to its variants: a copy in a file, a process with the memory for it, and what comes of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic

from proxy.errors import ServiceError, StoreUnavailable
from proxy.keys import variants_prefix
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderedFile, RenderWorker
from proxy.storage.object_store import ObjectStore
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import stages, step
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.memory_cache import MemoryCache
from proxy.variants.negative_cache import NegativeCache, lasts
from proxy.variants.originals import original_file

Rendered = tuple[EncodedVariant, Variant, dict[str, float]]
"""With the seconds by stage."""


class Deriver:
    """Counts and remembers what it renders, and what cannot be rendered."""

    def __init__(
        self,
        store: ObjectStore,
        pool: RenderPool,
        recipes: Recipes,
        metrics: Metrics,
        *,
        hot: MemoryCache,
        negative_cache: NegativeCache,
        temporary: Path,
    ) -> None:
        self._store = store
        self._pool = pool
        self._recipes = recipes
        self._metrics = metrics
        self._hot = hot
        self._negative_cache = negative_cache
        self._temporary = temporary

    def check(self, priority: Priority) -> None:
        """Raises Overloaded if there is no place to wait for a process. Costs nothing: ask before what does."""
        self._pool.check(priority)

    async def one(
        self, upload_id: UploadId, variant: Variant, priority: Priority
    ) -> tuple[EncodedVariant, dict[str, float]]:
        async with self.begin(upload_id, [variant], priority) as render:
            [(picture, _, timings)] = [rendered async for rendered in render([variant])]
        return picture, timings

    @asynccontextmanager
    async def begin(
        self, upload_id: UploadId, variants: Sequence[Variant], priority: Priority
    ) -> AsyncIterator[Callable[[Sequence[Variant]], AsyncIterator[Rendered]]]:
        """What renders any of `variants` from one decode: a process, with the memory that all of them may take.

        Raises UnknownUpload, Undecodable (or another refusal of the original), TooHeavy, Overloaded, Unavailable.
        """
        async with AsyncExitStack() as held:
            # The original first: an id that nothing was uploaded under must not take a process from those that wait.
            with self._pool.coming(priority):
                async with self._failing(upload_id, variants):
                    path = await held.enter_async_context(self._original(upload_id))
                    cost = await self.estimate_memory(path, variants)
            process = await held.enter_async_context(self._pool.process(priority, cost))
            yield partial(self._render, process, path, upload_id)

    async def estimate_memory(self, path: Path, variants: Sequence[Variant]) -> int:
        """Bytes of memory that deriving `variants` of the original at `path` takes. Raises TooHeavy."""
        return await self._pool.cost(path, [self._recipes.target(variant) for variant in variants])

    def count(self, variant: Variant, outcome: str) -> None:
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
        waiting = list(variants)
        async with self._failing(upload_id, waiting):
            async for file in process.render(path, [self._recipes.target(variant) for variant in variants]):
                variant = variants[file.index]
                waiting.remove(variant)
                yield self._derived(upload_id, variant, file), variant, file.timings

    def _derived(self, upload_id: UploadId, variant: Variant, file: RenderedFile) -> EncodedVariant:
        recipe = self._recipes.fingerprint(variant)
        picture = EncodedVariant.derived(upload_id, variant, file.body, recipe, file.measured)
        if not self._negative_cache.is_deleted(upload_id):  # deleted meanwhile: who waits gets it, nobody after
            self._hot.put(upload_id, variant, picture)
        self.count(variant, "ok")
        self._metrics.observe_stages(file.timings)
        stages(file.timings, variant.name)
        return picture

    @asynccontextmanager
    async def _failing(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncIterator[None]:
        """Counts the failure of those that `variants` holds by then, and remembers it."""
        together = list(variants)
        try:
            yield
        except ServiceError as error:
            for variant in variants:
                self.count(variant, error.code)
            if lasts(error):
                whole = not await self._any_stored(upload_id)
                self._negative_cache.remember(upload_id, together, error, whole=whole)
            raise

    async def _any_stored(self, upload_id: UploadId) -> bool:
        """Whether there is any variant: those go on being served, whatever has become of their original."""
        with suppress(StoreUnavailable):
            async for _ in self._store.list(variants_prefix(upload_id)):
                return True
            return False
        return True
