"""Variants of many uploads: warmed, refreshed, purged."""

import asyncio
from typing import Any

from ingest.jobs import warm_many
from ingest.maintenance.refresh import Findings, Refresher
from ingest.progress import Progress
from ingest.services import IngestServices, open_services
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.variants.encoded_variant import recipe_tag, upload_tag
from proxy.variants.memory_cache import MAX_AGE


async def warm(settings: Settings, ids: list[UploadId], *, only_missing: bool, progress: Progress) -> dict[str, Any]:
    """Those named, those that lack a variant, or all."""
    async with open_services(settings, rendering=True) as ingest:
        repository = ingest.repository
        if ids:
            uploads, total = warm_many.find_each(repository, ids), len(ids)
        elif only_missing:
            uploads, total = warm_many.find_unwarmed(repository, settings.sizes), None
        else:
            uploads, total = repository.each(), sum((await repository.count()).values())
        progress.begin("Warming", total)
        report = await warm_many.warm(
            uploads,
            ingest.warmup,
            concurrency=settings.render_processes,
            progress=lambda so_far: progress.update(so_far.done, f"{len(so_far.failed)} failed"),
        )
    return {"complete": report.complete, "failed": report.failed, "skipped": report.skipped}


async def find_stale(settings: Settings, progress: Progress) -> dict[str, Any]:
    async with open_services(settings) as ingest:
        return _shown(await _look(_refresher(ingest), progress))


async def refresh(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Derives stale variants anew, then has every memory and the CDN forget those of old."""
    async with open_services(settings, rendering=True) as ingest:
        refresher = _refresher(ingest)
        findings = await _look(refresher, progress)
        progress.begin("Refreshing", findings.uploads)
        report = await refresher.refresh(
            concurrency=settings.render_processes,
            progress=lambda so_far: progress.update(so_far.uploads, f"{len(so_far.failed)} failed"),
        )
        if findings.recipes and settings.cdn_distribution_id:
            # Or the CDN would fetch a stale one again, from a server that has it in memory, and keep it for a year.
            progress.say(f"Waiting {MAX_AGE:.0f} s, until no server has a stale variant in memory.")
            await asyncio.sleep(MAX_AGE)
            await ingest.cdn.forget([recipe_tag(recipe) for recipe in sorted(findings.recipes)])
    return _shown(findings) | {"failed": report.failed}


async def purge(settings: Settings, ids: list[UploadId]) -> dict[str, int]:
    """Whatever there is of each; how many had rows. Those go last, as in `Uploads.delete`."""
    known = 0
    async with open_services(settings) as ingest:
        for upload_id in ids:
            await ingest.proxy.variant_service.purge(upload_id)
        await ingest.cdn.forget([upload_tag(upload_id) for upload_id in ids])
        for upload_id in ids:
            known += await ingest.repository.delete(upload_id)
    return {"purged": known, "unknown": len(ids) - known}


async def _look(refresher: Refresher, progress: Progress) -> Findings:
    progress.begin("Looking for stale variants")
    return await refresher.examine(lambda so_far: progress.update(so_far.uploads, f"{so_far.variants} variants"))


def _refresher(ingest: IngestServices) -> Refresher:
    proxy = ingest.proxy
    recipes = Recipes(proxy.settings)
    return Refresher(proxy.store, recipes, proxy.settings.sizes, ingest.repository, proxy.variant_service)


def _shown(findings: Findings) -> dict[str, Any]:
    return {
        "uploads": findings.uploads,
        "variants": findings.variants,
        "bytes": findings.size,
        "seconds": findings.seconds,
    }
