"""Warms up, refreshes and purges many uploads."""

import asyncio
from dataclasses import asdict
from typing import Any

from ingest.ingest_services import Access, IngestServices, open_services
from ingest.jobs import warm_many
from ingest.maintenance.refresh import Findings, Refresher
from ingest.progress import Progress
from ingest.stored_variants import accepted_ids
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.variants.encoded_variant import recipe_tag, upload_tag
from proxy.variants.memory_cache import MAX_AGE


async def warm(
    settings: Settings,
    ids: list[UploadId],
    *,
    only_missing: bool,
    start: UploadId | None = None,
    progress: Progress,
) -> dict[str, Any]:
    """Warms up the uploads `ids`, or else those that lack a variant (`only_missing`), or else all, from `start` on."""
    async with open_services(settings, rendering=True) as ingest:
        repository, report = ingest.repository, warm_many.WarmReport()
        if ids:
            uploads, total = warm_many.find_each(repository, ids, report), len(ids)
        elif only_missing:
            uploads, total = warm_many.find_unwarmed(ingest.proxy.store, repository, settings.sizes, start), None
        else:
            uploads, total = accepted_ids(repository, start), sum((await repository.count()).values())
        progress.begin("Warming", total)
        await warm_many.warm(
            uploads,
            ingest.warmup,
            report,
            concurrency=settings.render_processes,
            progress=lambda so_far: progress.update(so_far.done, f"{len(so_far.failed)} failed"),
            on_stop=lambda place: None if ids else _say_place(progress, place),
        )
    return asdict(report)


async def find_stale(settings: Settings, progress: Progress, start: UploadId | None = None) -> dict[str, Any]:
    async with open_services(settings, access=Access.READ) as ingest:
        return _to_json(await _find_stale(_build_refresher(ingest, start), progress))


async def refresh(settings: Settings, progress: Progress, start: UploadId | None = None) -> dict[str, Any]:
    """Derives stale variants of uploads from `start` on anew, then invalidates the old ones in the CDN."""
    async with open_services(settings, rendering=True) as ingest:
        refresher = _build_refresher(ingest, start)
        findings = await _find_stale(refresher, progress)
        progress.begin("Refreshing", findings.uploads)
        report = await refresher.refresh(
            concurrency=settings.render_processes,
            progress=lambda so_far: progress.update(so_far.uploads, f"{len(so_far.failed)} failed"),
            on_stop=lambda place: _say_place(progress, place),
        )
        if findings.recipes and settings.cdn_distribution_id:
            # Otherwise the CDN could fetch a stale variant from a server's memory again and keep it for a year.
            progress.say(f"Waiting {MAX_AGE:.0f} s until no server has a stale variant in memory.")
            await asyncio.sleep(MAX_AGE)
            await ingest.cdn.invalidate([recipe_tag(recipe) for recipe in sorted(findings.recipes)])
    return _to_json(findings) | {"failed": report.failed}


def _say_place(progress: Progress, place: UploadId) -> None:
    progress.say(f"Stopped. To continue, repeat the command with `--from {place}`.")


async def purge(settings: Settings, ids: list[UploadId]) -> dict[str, int]:
    """Deletes what is left of each upload. Returns how many had rows. Rows go last, as in `UploadService.delete`."""
    known = 0
    async with open_services(settings) as ingest:
        for upload_id in ids:
            await ingest.proxy.variant_service.delete_upload(upload_id)
        await ingest.cdn.invalidate([upload_tag(upload_id) for upload_id in ids])
        for upload_id in ids:
            known += await ingest.repository.delete(upload_id)
    return {"purged": known, "unknown": len(ids) - known}


async def _find_stale(refresher: Refresher, progress: Progress) -> Findings:
    progress.begin("Looking for stale variants")
    return await refresher.examine(lambda so_far: progress.update(so_far.uploads, f"{so_far.variants} variants"))


def _build_refresher(ingest: IngestServices, start: UploadId | None) -> Refresher:
    proxy = ingest.proxy
    recipes = Recipes(proxy.settings)
    return Refresher(proxy.store, recipes, proxy.settings.sizes, ingest.repository, proxy.variant_service, start=start)


def _to_json(findings: Findings) -> dict[str, Any]:
    return {
        "uploads": findings.uploads,
        "variants": findings.variants,
        "bytes": findings.size,
        "seconds": findings.seconds,
    }
