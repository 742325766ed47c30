"""Stale variants, whose recipe is no longer today's: found, weighed, and derived anew."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import fmean

import structlog

from ingest.catalog.repository import JobRepository
from proxy.errors import ServiceError
from proxy.keys import VARIANTS_PREFIX, variant_key
from proxy.model import Sizes, UploadId, Variant, parse_upload_id
from proxy.recipe import Recipes
from proxy.storage.object_store import ObjectStore, look_up
from proxy.variants.variant_service import VariantService

log = structlog.get_logger()

_SAMPLE = 200  # uploads whose measured derivations tell what others will cost


@dataclass(frozen=True, slots=True)
class Stale:
    """What is stale of one upload; `size` in bytes, `recipes` those of old."""

    upload_id: UploadId
    variants: list[Variant]
    size: int
    recipes: set[str]


@dataclass(slots=True)
class Findings:
    """`seconds` of one processor that deriving them anew should take; None if none was ever measured."""

    uploads: int = 0
    variants: int = 0
    size: int = 0
    seconds: float | None = None
    recipes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class RefreshReport:
    """`failed`: ids of uploads of which something is still stale."""

    uploads: int = 0
    failed: list[str] = field(default_factory=list)


class Refresher:
    """Goes through the store's variants, an upload at a time, in bounded memory."""

    def __init__(
        self,
        store: ObjectStore,
        recipes: Recipes,
        sizes: Sizes,
        repository: JobRepository,
        variant_service: VariantService,
    ) -> None:
        self._store = store
        self._recipes = recipes
        self._sizes = sizes
        self._repository = repository
        self._variant_service = variant_service

    async def examine(self, progress: Callable[[Findings], None] = lambda _: None) -> Findings:
        """Calls `progress` after each upload that is stale. Raises StoreUnavailable or CatalogUnavailable."""
        findings = Findings()
        costs = await self._costs()
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

    async def refresh(self, *, concurrency: int, progress: Callable[[RefreshReport], None]) -> RefreshReport:
        """Derives everything stale anew, `concurrency` uploads at a time; calls `progress` after each."""
        report = RefreshReport()
        stale = self.find()
        turn = asyncio.Lock()  # an async generator serves one caller at a time

        async def work() -> None:
            while True:
                async with turn:
                    one = await anext(stale, None)
                if one is None:
                    return
                try:
                    async with aclosing(self._variant_service.ensure(one.upload_id, one.variants)) as ensured:
                        async for _ in ensured:
                            pass
                except ServiceError as error:  # the stale ones go on being served
                    log.warning("not refreshed", upload=one.upload_id, error=str(error))
                    report.failed.append(one.upload_id)
                report.uploads += 1
                progress(report)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        return report

    async def find(self) -> AsyncIterator[Stale]:
        """Raises StoreUnavailable."""
        async for upload_id, variants in self._stored():
            infos = await asyncio.gather(*(look_up(self._store, variant_key(upload_id, one)) for one in variants))
            stale = [
                (variant, info)
                for variant, info in zip(variants, infos, strict=True)
                if info and info.metadata.get("recipe") != self._recipes.fingerprint(variant)
            ]
            if stale:
                yield Stale(
                    upload_id,
                    [variant for variant, _ in stale],
                    sum(info.size for _, info in stale),
                    {info.metadata.get("recipe", "") for _, info in stale},
                )

    async def _stored(self) -> AsyncIterator[tuple[UploadId, list[Variant]]]:
        """Variants of today's sizes, by upload: a listing has them side by side."""
        last: UploadId | None = None
        variants: list[Variant] = []
        async for info in self._store.list(VARIANTS_PREFIX):
            upload_part, _, name = info.key.removeprefix(VARIANTS_PREFIX).partition("/")
            upload_id, variant = parse_upload_id(upload_part), self._sizes.parse(name)
            if upload_id is None or variant is None:
                continue
            if upload_id != last:
                if last and variants:
                    yield last, variants
                last, variants = upload_id, []
            variants.append(variant)
        if last and variants:
            yield last, variants

    async def _costs(self) -> defaultdict[str, float] | None:
        """Mean seconds by variant's name, as warm-ups of late have measured them; their mean for names they lack."""
        measured: defaultdict[str, list[float]] = defaultdict(list)
        seen = 0
        async for upload, _ in self._repository.each():
            for name, known in upload.variants.items():
                if known.milliseconds is not None:
                    measured[name].append(known.milliseconds / 1000)
            seen += 1
            if seen == _SAMPLE:
                break
        if not measured:
            return None
        means = {name: fmean(seconds) for name, seconds in measured.items()}
        overall = fmean(means.values())
        return defaultdict(lambda: overall, means)
