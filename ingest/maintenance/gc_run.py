"""Runs a garbage collection: counts first, then removes. A failure with one object does not stop the rest."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ingest.catalog.webhook_outbox import remove_old
from ingest.failures import Failures
from ingest.ingest_services import Access, IngestServices, open_services
from ingest.maintenance.garbage_collector import MIN_AGE, Collector, Garbage, GarbageKind
from ingest.maintenance.garbage_survey import Survey
from ingest.progress import Progress
from proxy.settings import Settings
from proxy.storage.disk import INCOMING


@dataclass(slots=True)
class GcReport:
    """Result of a run. `refused`: why nothing was done. `failures`: what could not be removed.

    `old_webhooks`: how many webhooks were given up so long ago that they were removed.
    """

    survey: Survey
    found: list[Garbage] = field(default_factory=list)
    failures: Failures[Garbage] = field(default_factory=Failures)
    refused: str | None = None
    old_webhooks: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "uploads": self.survey.accepted,
            "originals": self.survey.originals,
            "refused": self.refused,
            "found": [_to_json(garbage) for garbage in self.found],
            "failed": [_to_json(garbage) | {"reason": reason} for garbage, reason in self.failures.listed],
            "failedCount": self.failures.count,
            "oldWebhooks": self.old_webhooks,
        }


async def collect_garbage(
    settings: Settings, *, dry_run: bool, max_share: float | None = None, progress: Progress
) -> GcReport:
    """Finds what crashes left behind, and removes it unless `dry_run`. `max_share` replaces GC_MAX_SHARE.

    Memory grows with what is found, not with the number of uploads.
    """
    examined = 0

    def count() -> None:
        nonlocal examined
        examined += 1
        progress.update(examined)

    async with open_services(settings, access=Access.READ if dry_run else Access.WRITE) as services:
        progress.begin("Counting uploads")
        collector = _build_collector(services, count)
        report = GcReport(await collector.survey())
        share = settings.gc_max_share if max_share is None else max_share
        report.refused = report.survey.refusal(share)
        if report.refused:
            return report
        examined = 0
        progress.begin("Looking for leftovers", report.survey.rows)
        await _collect(collector, report, share, dry_run=dry_run)
        report.old_webhooks = await remove_old(services.database, dry_run=dry_run)
    return report


async def _collect(collector: Collector, report: GcReport, share: float, *, dry_run: bool) -> None:
    for folder in collector.folders:
        with report.failures.isolate(Garbage(GarbageKind.TEMPORARY, str(folder))):
            async for garbage in collector.find_files(folder):
                await _handle(collector, report, garbage, dry_run=dry_run)
    if report.survey.is_clean:
        return
    left = {
        GarbageKind.ORPHAN: report.survey.most_orphans(share),
        GarbageKind.MISSING_ORIGINAL: report.survey.most_missing(share),
    }
    async for garbage in collector.find_uploads():
        if garbage.kind in left:
            left[garbage.kind] -= 1
            if left[garbage.kind] < 0:
                report.refused = (
                    "Stopped: since the count, more uploads lack their rows or originals than GC_MAX_SHARE allows. "
                    "Check whether the database or the object store was replaced meanwhile."
                )
                return
        await _handle(collector, report, garbage, dry_run=dry_run)


async def _handle(collector: Collector, report: GcReport, garbage: Garbage, *, dry_run: bool) -> None:
    with report.failures.isolate(garbage):
        if await (collector.is_garbage(garbage) if dry_run else collector.remove(garbage)):
            report.found.append(garbage)


def _build_collector(services: IngestServices, count: Any) -> Collector:
    proxy, settings = services.proxy, services.proxy.settings
    return Collector(
        proxy.store,
        services.repository,
        proxy.variant_service,
        services.cdn,
        folders=(settings.temporary, settings.objects / INCOMING, settings.invalidation_files, settings.failure_files),
        age=MIN_AGE,
        trash_age=timedelta(days=settings.trash_days),
        on_upload=count,
    )


def _to_json(garbage: Garbage) -> dict[str, str]:
    return {"kind": garbage.kind.value, "name": garbage.name}
