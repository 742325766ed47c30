"""Warms up, refreshes and purges many uploads."""

import asyncio
from typing import Any

from ingest.failures import Failures
from ingest.ingest_services import Access, IngestServices, open_services
from ingest.jobs import warm_many
from ingest.maintenance.pending_invalidation import PendingInvalidation
from ingest.maintenance.refresh import Findings, Refresher
from ingest.progress import Progress
from ingest.stored_variants import accepted_ids
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.variants.encoded_variant import upload_tag
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
            uploads, total = accepted_ids(repository, start), await _count(ingest)
        progress.begin("Warming", total)
        await warm_many.warm(
            uploads,
            ingest.warmup,
            report,
            concurrency=settings.render_processes,
            progress=lambda so_far: progress.update(so_far.done, f"{so_far.failures.count} failed"),
            on_stop=lambda place: None if ids else _say_place(progress, place),
        )
    return report.to_json()


async def find_stale(settings: Settings, progress: Progress, start: UploadId | None = None) -> dict[str, Any]:
    """Counts stale variants of uploads from `start` on."""
    async with open_services(settings, access=Access.READ) as ingest:
        progress.begin("Looking for stale variants", await _count(ingest))
        findings = await _build_refresher(ingest, start).examine(
            lambda so_far: progress.update(so_far.examined, f"{so_far.variants} stale"),
            lambda place: _say_place(progress, place),
        )
    return _to_json(findings)


async def refresh(settings: Settings, progress: Progress, start: UploadId | None = None) -> dict[str, Any]:
    """Derives stale variants of uploads from `start` on again, then invalidates the old ones in the CDN.

    It also invalidates after an outage or a cancellation. If a run is killed, the next one invalidates for it.
    """
    async with open_services(settings, rendering=True) as ingest:
        pending = PendingInvalidation(ingest.proxy.store, ingest.cdn) if settings.cdn_distribution_id else None
        if pending:
            await pending.load()
        progress.begin("Refreshing", await _count(ingest))
        try:
            findings = await _build_refresher(ingest, start, pending).refresh(
                concurrency=settings.render_processes,
                progress=lambda so_far: progress.update(
                    so_far.examined, f"{so_far.variants} refreshed, {so_far.failures.count} failed"
                ),
                on_stop=lambda place: _say_place(progress, place),
            )
        finally:
            if pending and pending.recipes:
                await _invalidate(pending, progress)
    return _to_json(findings)


async def _invalidate(pending: PendingInvalidation, progress: Progress) -> None:
    """Invalidates the old recipes in the CDN, after a minute.

    Earlier, the CDN could fetch a stale variant from a server's memory and keep it for a year.
    """
    progress.say(
        f"Waiting {MAX_AGE:.0f} s until no server has a stale variant in memory, then invalidating the CDN. If this is "
        "stopped, the next darkroom refresh does it."
    )
    await asyncio.sleep(MAX_AGE)
    await pending.send()


def _say_place(progress: Progress, place: UploadId) -> None:
    progress.say(f"Stopped. To continue, repeat the command with `--from {place}`.")


async def purge(settings: Settings, ids: list[UploadId]) -> dict[str, Any]:
    """Deletes everything that is stored of each upload, the rows last. `purged` in the result: how many had rows."""
    known, deleted, failures = 0, list[UploadId](), Failures[UploadId]()
    async with open_services(settings) as ingest:
        try:
            for upload_id in ids:
                with failures.isolate(upload_id):
                    await ingest.proxy.variant_service.delete_upload(upload_id)
                    deleted.append(upload_id)
        finally:  # after an outage, too: what is deleted must not stay in the CDN
            await ingest.cdn.invalidate([upload_tag(upload_id) for upload_id in deleted], withdrawn=True)
        for upload_id in deleted:
            known += await ingest.repository.delete(upload_id)
    return {"purged": known, "unknown": len(deleted) - known, **failures.to_json()}


async def _count(ingest: IngestServices) -> int:
    return sum((await ingest.repository.count()).values())


def _build_refresher(
    ingest: IngestServices, start: UploadId | None, pending: PendingInvalidation | None = None
) -> Refresher:
    proxy = ingest.proxy
    recipes, sizes = Recipes(proxy.settings), proxy.settings.sizes
    return Refresher(
        proxy.store, recipes, sizes, ingest.repository, proxy.variant_service, start=start, pending=pending
    )


def _to_json(findings: Findings) -> dict[str, Any]:
    return {
        "uploads": findings.uploads,
        "variants": findings.variants,
        "bytes": findings.size,
        "seconds": findings.seconds,
        **findings.failures.to_json(),
    }
