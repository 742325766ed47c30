"""What looks after an installation: its leftovers, its health."""

from dataclasses import asdict
from typing import Any

from ingest.commands.installation import opened
from ingest.commands.progress import Progress
from ingest.maintenance.doctor.checks import checks_for
from ingest.maintenance.doctor.findings import examine
from ingest.maintenance.garbage_collection import MIN_AGE, Collector
from ingest.services import build_ingest_services
from proxy.settings import Settings
from proxy.storage.disk import INCOMING


async def diagnose(settings: Settings) -> list[dict[str, Any]]:
    """Finds everything as it is: the embedded database is not brought up to date first."""
    async with build_ingest_services(settings).connected() as ingest:
        checks = checks_for(settings, ingest.origin.store, ingest.database, ingest.cdn)
        return [asdict(finding) for finding in await examine(checks)]


async def collect_garbage(settings: Settings, *, dry_run: bool, progress: Progress) -> list[dict[str, str]]:
    """What was found, and removed unless `dry_run`."""
    found: list[dict[str, str]] = []
    looked_at = 0

    def count() -> None:
        nonlocal looked_at
        looked_at += 1
        progress.update(looked_at, f"{len(found)} found")

    async with opened(settings) as ingest:
        folders = (settings.temporary, settings.objects / INCOMING, settings.purges)
        origin = ingest.origin
        collector = Collector(
            origin.store,
            ingest.repository,
            origin.variant_service,
            ingest.cdn,
            folders=folders,
            age=MIN_AGE,
            looked_at=count,
        )
        progress.begin("Looking for leftovers")
        async for garbage in collector.find():
            if not dry_run:
                await collector.remove(garbage)
            found.append({"kind": garbage.kind.value, "name": garbage.name})
    return found
