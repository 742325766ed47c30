"""What the commands do, once `cli` has read the line: each composes what it needs, and closes it."""

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import asdict
from signal import SIGINT, SIGTERM
from typing import Any

import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ingest import operations
from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.doctor import Doctor
from ingest.garbage import MIN_AGE, Collector
from ingest.refresh import Findings, Refresher
from ingest.web.app import Ingest, compose_ingest
from ingest.web.health import answering
from proxy.derivation.hot import MAX_AGE
from proxy.derivation.picture import recipe_tag, upload_tag
from proxy.model import UploadId
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.storage.disk import INCOMING

log = structlog.get_logger()


async def prepare_embedded(settings: Settings) -> None:
    """Brings the embedded database up to date, and its jobs back that a stopped server had in hand."""
    database = Database.from_settings(settings)
    try:
        await database.migrate()
        await JobRepository(database).recover()
    finally:
        await database.close()


async def migrate(settings: Settings) -> None:
    database = Database.from_settings(settings)
    try:
        await database.migrate()
    finally:
        await database.close()


async def work(settings: Settings, concurrency: int, address: tuple[str, int] | None = None) -> None:
    """A worker, until SIGTERM or SIGINT; jobs in hand are finished or handed back. `address`: for its health."""
    task = asyncio.current_task()
    assert task is not None
    for signal in (SIGTERM, SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal, task.cancel)
    async with (
        compose_ingest(settings).running() as ingest,
        answering(ingest, *address) if address else nullcontext(),
    ):
        log.info("worker started", concurrency=concurrency, queue="BullMQ" if settings.redis_url else "database")
        with suppress(asyncio.CancelledError):
            await ingest.worker.run(concurrency)


async def warm(settings: Settings, ids: list[UploadId], *, only_missing: bool, console: Console) -> dict[str, Any]:
    """Those named, those that lack a variant, or all; progress goes to `console`."""
    async with compose_ingest(settings).running() as ingest:
        repository = ingest.repository
        if ids:
            uploads, total = operations.chosen(repository, ids), len(ids)
        elif only_missing:
            uploads, total = operations.missing(repository, settings.sizes), None
        else:
            uploads, total = repository.each(), sum((await repository.count()).values())
        with Progress(*_columns(), console=console) as bar:
            task = bar.add_task("Warming", total=total, failed=0)
            report = await operations.warm(
                uploads,
                ingest.warmup,
                concurrency=settings.render_processes,
                progress=lambda so_far: bar.update(task, completed=so_far.done, failed=len(so_far.failed)),
            )
    return {"complete": report.complete, "failed": report.failed, "skipped": report.skipped}


async def find_stale(settings: Settings) -> dict[str, Any]:
    async with compose_ingest(settings).connected() as ingest:
        return _shown(await _refresher(ingest).examine())


async def refresh(settings: Settings, console: Console) -> dict[str, Any]:
    """Derives stale variants anew, then has every memory and the CDN forget those of old."""
    async with compose_ingest(settings).running() as ingest:
        refresher = _refresher(ingest)
        findings = await refresher.examine()
        with Progress(*_columns(), console=console) as bar:
            task = bar.add_task("Refreshing", total=findings.uploads, failed=0)
            report = await refresher.refresh(
                concurrency=settings.render_processes,
                progress=lambda so_far: bar.update(task, completed=so_far.uploads, failed=len(so_far.failed)),
            )
        if findings.recipes and settings.cdn_distribution_id:
            # Or the CDN would fetch a stale one again, from a server that has it in memory, and keep it for a year.
            console.print(f"Waiting {MAX_AGE:.0f} s, until no server has a stale variant in memory.")
            await asyncio.sleep(MAX_AGE)
            await ingest.cdn.forget([recipe_tag(recipe) for recipe in sorted(findings.recipes)])
    return _shown(findings) | {"failed": report.failed}


def _refresher(ingest: Ingest) -> Refresher:
    origin = ingest.origin
    recipes = Recipes(origin.settings)
    return Refresher(origin.store, recipes, origin.settings.sizes, ingest.repository, origin.derivations)


def _shown(findings: Findings) -> dict[str, Any]:
    return {
        "uploads": findings.uploads,
        "variants": findings.variants,
        "bytes": findings.size,
        "seconds": findings.seconds,
    }


async def examine(settings: Settings) -> list[dict[str, Any]]:
    async with compose_ingest(settings).connected() as ingest:
        doctor = Doctor(ingest.origin.store, ingest.database, ingest.queue, settings.temporary)
        return [asdict(finding) async for finding in doctor.examine()]


async def purge(settings: Settings, ids: list[UploadId]) -> dict[str, int]:
    """Whatever there is of each; how many had rows. Those go last, as in `Uploads.delete`."""
    known = 0
    async with compose_ingest(settings).connected() as ingest:
        for upload_id in ids:
            await ingest.origin.derivations.purge(upload_id)
        await ingest.cdn.forget([upload_tag(upload_id) for upload_id in ids])
        for upload_id in ids:
            known += await ingest.repository.delete(upload_id)
    return {"purged": known, "unknown": len(ids) - known}


async def collect_garbage(settings: Settings, *, dry_run: bool) -> list[dict[str, str]]:
    """What was found, and removed unless `dry_run`."""
    found = []
    async with compose_ingest(settings).connected() as ingest:
        folders = (settings.temporary, settings.objects / INCOMING, settings.locks)
        collector = Collector(ingest.origin.store, ingest.repository, ingest.origin.derivations, folders, MIN_AGE)
        async for garbage in collector.find():
            if not dry_run:
                await collector.remove(garbage)
            found.append({"kind": garbage.kind.value, "name": garbage.name})
    return found


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        _Rate(),
        TimeRemainingColumn(),
    )


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s")
