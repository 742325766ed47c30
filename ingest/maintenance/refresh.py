"""Finds stale variants, whose recipe differs from the current one, estimates their cost, and derives them anew."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import fmean

import structlog

from ingest.catalog.repository import JobRepository
from ingest.jobs.for_each import for_each
from ingest.stored_variants import stored_variants
from proxy.errors import ServiceError
from proxy.model import Sizes, UploadId, Variant
from proxy.recipe import Recipes
from proxy.storage.object_store import ObjectInfo, ObjectStore, look_up
from proxy.variants.variant_service import VariantService

log = structlog.get_logger()

_SAMPLE = 200  # uploads whose measured derivation times predict the others


@dataclass(frozen=True, slots=True)
class Stale:
    """The stale variants of one upload. `size`: their bytes. `recipes`: the recipes they were made with."""

    upload_id: UploadId
    variants: list[Variant]
    size: int
    recipes: set[str]


@dataclass(slots=True)
class Findings:
    """Totals of all stale variants. `seconds`: expected processor time to derive them; None without measurements."""

    uploads: int = 0
    variants: int = 0
    size: int = 0
    seconds: float | None = None
    recipes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class RefreshReport:
    """Result of a refresh. `failed`: ids of uploads that still have stale variants."""

    uploads: int = 0
    failed: list[str] = field(default_factory=list)


class Refresher:
    """Examines and refreshes the stored variants, one upload at a time, in bounded memory."""

    def __init__(
        self,
        store: ObjectStore,
        recipes: Recipes,
        sizes: Sizes,
        repository: JobRepository,
        variant_service: VariantService,
        *,
        start: UploadId | None = None,
    ) -> None:
        """`start`: the first upload to look at, in the order of ids."""
        self._store = store
        self._recipes = recipes
        self._sizes = sizes
        self._repository = repository
        self._variant_service = variant_service
        self._start = start

    async def examine(self, progress: Callable[[Findings], None] = lambda _: None) -> Findings:
        """Counts stale variants; calls `progress` after each upload. Raises StoreUnavailable or CatalogUnavailable."""
        findings = Findings()
        costs = await self._mean_seconds()
        seconds = 0.0
        async for stale in self.find():
            findings.uploads += 1
            findings.variants += len(stale.variants)
            findings.size += stale.size
            findings.recipes |= stale.recipes
            seconds += sum(costs[variant.name] for variant in stale.variants) if costs else 0.0
            progress(findings)
        findings.seconds = round(seconds, 3) if costs or not findings.variants else None
        return findings

    async def refresh(
        self,
        *,
        concurrency: int,
        progress: Callable[[RefreshReport], None],
        on_stop: Callable[[UploadId], None] = lambda _: None,
    ) -> RefreshReport:
        """Derives all stale variants anew, `concurrency` uploads at a time.

        Calls `progress` after each, and `on_stop` as `for_each` does.
        """
        report = RefreshReport()

        async def work(stale: Stale) -> None:
            try:
                async with aclosing(self._variant_service.ensure(stale.upload_id, stale.variants)) as ensured:
                    async for _ in ensured:
                        pass
            except ServiceError as error:  # the stale variants are still served
                log.warning("refresh of upload failed, stale variants kept", upload=stale.upload_id, error=str(error))
                report.failed.append(stale.upload_id)
            report.uploads += 1
            progress(report)

        await for_each(self.find(), work, concurrency, on_stop=lambda stale: on_stop(stale.upload_id))
        return report

    async def find(self) -> AsyncIterator[Stale]:
        """Yields uploads with stale variants, in the order of ids. Raises StoreUnavailable or CatalogUnavailable."""
        async for row, stored in stored_variants(self._store, self._repository, self._sizes, self._start):
            infos = await self._with_metadata(list(stored.values()))
            stale = [
                (variant, info)
                for variant, info in zip(stored, infos, strict=True)
                if info and info.metadata.get("recipe") != self._recipes.fingerprint(variant)
            ]
            if stale:
                yield Stale(
                    row.upload_id,
                    [variant for variant, _ in stale],
                    sum(info.size for _, info in stale),
                    {info.metadata.get("recipe", "") for _, info in stale},
                )

    async def _with_metadata(self, listed: list[ObjectInfo]) -> list[ObjectInfo | None]:
        """Looks up what the listing left out: a listing of S3 has no metadata, one of files has it."""
        if all(info.content_type for info in listed):
            return [*listed]
        return await asyncio.gather(*(look_up(self._store, info.key) for info in listed))

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
