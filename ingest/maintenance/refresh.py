"""Finds stale variants, estimates what deriving them again costs, and derives them again.

A variant is stale if its recipe or its focus is not the current one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import fmean

from ingest.catalog.repository import JobRepository
from ingest.catalog.upload_rows import UploadRow
from ingest.failures import Failures
from ingest.jobs.for_each import for_each
from ingest.maintenance.pending_invalidation import PendingInvalidation
from ingest.stored_variants import Stored, stored_variants
from proxy.errors import ServiceError
from proxy.keys import original_key
from proxy.model import Position, Sizes, UploadId, Variant
from proxy.recipe import Recipes
from proxy.storage.object_store import ObjectInfo, ObjectStore, look_up
from proxy.variants.encoded_variant import is_current
from proxy.variants.originals import focus_of
from proxy.variants.variant_service import VariantService

_SAMPLE = 200  # uploads whose measured derivation times predict the others
_UPLOADS = 24  # at a time, each with one call; an S3 store has slots for as many, so that none waits for one

UploadVariants = tuple[UploadRow, Stored]


@dataclass(frozen=True, slots=True)
class _Stale:
    """The stale variants of one upload. `error`: why a variant could not be looked up."""

    variants: list[Variant]
    size: int
    recipes: set[str]
    error: ServiceError | None


@dataclass(slots=True)
class Findings:
    """Result of a run: the stale variants, or those that were derived again.

    `examined`: all uploads that were looked at. `uploads`: those with stale variants. `variants`, `size`: the number of
    stale variants, and their bytes. `seconds`: expected processor time to derive them; None without measurements.
    `failures`: by upload, whose stale variants are still served.
    """

    examined: int = 0
    uploads: int = 0
    variants: int = 0
    size: int = 0
    seconds: float | None = None
    failures: Failures[UploadId] = field(default_factory=Failures)


class Refresher:
    """Examines and refreshes the stored variants, in bounded memory."""

    def __init__(
        self,
        store: ObjectStore,
        recipes: Recipes,
        sizes: Sizes,
        repository: JobRepository,
        variant_service: VariantService,
        *,
        start: UploadId | None = None,
        pending: PendingInvalidation | None = None,
    ) -> None:
        """`start`: the first upload to look at, in the order of ids. `pending`: if a CDN has to be invalidated."""
        self._store = store
        self._recipes = recipes
        self._sizes = sizes
        self._repository = repository
        self._variant_service = variant_service
        self._start = start
        self._pending = pending

    async def examine(
        self,
        progress: Callable[[Findings], None] = lambda _: None,
        on_stop: Callable[[UploadId], None] = lambda _: None,
    ) -> Findings:
        """Counts stale variants. Calls `progress` after each upload, and `on_stop` as `for_each` does.

        Raises an outage of store or database, alone or in an exception group.
        """

        async def keep(_upload_id: UploadId, _stale: _Stale) -> None:
            pass

        return await self._run(keep, progress, on_stop)

    async def refresh(
        self,
        *,
        concurrency: int,
        progress: Callable[[Findings], None] = lambda _: None,
        on_stop: Callable[[UploadId], None] = lambda _: None,
    ) -> Findings:
        """Derives all stale variants again, `concurrency` uploads at a time. Returns and raises as `examine` does."""
        places = asyncio.Semaphore(concurrency)

        async def derive(upload_id: UploadId, stale: _Stale) -> None:
            if self._pending:
                await self._pending.add(stale.recipes)
            async with places, aclosing(self._variant_service.ensure(upload_id, stale.variants)) as ensured:
                async for _ in ensured:
                    pass

        return await self._run(derive, progress, on_stop)

    async def _run(
        self,
        handle: Callable[[UploadId, _Stale], Awaitable[None]],
        progress: Callable[[Findings], None],
        on_stop: Callable[[UploadId], None],
    ) -> Findings:
        findings = Findings()
        costs = await self._mean_seconds()
        seconds = 0.0

        async def work(upload: UploadVariants) -> None:
            nonlocal seconds
            row, stored = upload
            with findings.failures.isolate(row.upload_id):
                stale = await self._find_stale(row.upload_id, stored)
                if stale.variants:
                    await handle(row.upload_id, stale)
                    findings.uploads += 1
                    findings.variants += len(stale.variants)
                    findings.size += stale.size
                    seconds += sum(costs[variant.name] for variant in stale.variants) if costs else 0.0
                if stale.error:
                    raise stale.error
            findings.examined += 1
            progress(findings)

        uploads = stored_variants(self._store, self._repository, self._sizes, self._start)
        await for_each(uploads, work, _UPLOADS, on_stop=lambda upload: on_stop(upload[0].upload_id))
        findings.seconds = round(seconds, 3) if costs or not findings.variants else None
        return findings

    async def _find_stale(self, upload_id: UploadId, stored: Stored) -> _Stale:
        """Returns the stale variants of an upload. Raises an outage; `error` has the failure of a single variant."""
        found = await self._with_metadata([*stored.values()])
        focus = None
        if any(variant.size.position is Position.FOCUS for variant in stored):
            original = await self._look_up(original_key(upload_id))
            focus = focus_of(original) if isinstance(original, ObjectInfo) else None
        stale = {
            variant: info
            for variant, info in zip(stored, found, strict=True)
            if isinstance(info, ObjectInfo) and not is_current(info, variant, self._recipes, focus)
        }
        return _Stale(
            [*stale],
            sum(info.size for info in stale.values()),
            {info.metadata.get("recipe", "") for info in stale.values()},
            next((error for error in found if isinstance(error, ServiceError)), None),
        )

    async def _with_metadata(self, listed: Sequence[ObjectInfo]) -> Sequence[ObjectInfo | ServiceError | None]:
        """Looks up what the listing left out: a listing of S3 has no metadata, one of files has it."""
        if all(info.content_type for info in listed):
            return listed
        return [await self._look_up(info.key) for info in listed]

    async def _look_up(self, key: str) -> ObjectInfo | ServiceError | None:
        try:
            return await look_up(self._store, key)
        except ServiceError as error:
            if error.is_outage:
                raise
            return error

    async def _mean_seconds(self) -> defaultdict[str, float] | None:
        """Returns mean seconds by variant name, from recent warm-ups; the overall mean for other names."""
        measured: defaultdict[str, list[float]] = defaultdict(list)
        for upload, _ in (await self._repository.newest(_SAMPLE)).uploads:
            for name, known in upload.variants.items():
                if known.milliseconds is not None:
                    measured[name].append(known.milliseconds / 1000)
        if not measured:
            return None
        means = {name: fmean(seconds) for name, seconds in measured.items()}
        overall = fmean(means.values())
        return defaultdict(lambda: overall, means)
