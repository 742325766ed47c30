"""Selects the checks that the settings call for, and runs them."""

import resource
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from ingest.catalog.database import Database
from ingest.edge.cdn import Cdn
from ingest.ingest_services import build_ingest_services
from ingest.installation import Installation
from ingest.maintenance.doctor import (
    cdn_checks,
    clock_checks,
    installation_checks,
    machine_checks,
    queue_checks,
    settings_checks,
    size_checks,
    store_checks,
    upload_checks,
    webhook_checks,
)
from ingest.maintenance.doctor.database_checks import tables
from ingest.maintenance.doctor.findings import Check, CheckResult, run_checks
from ingest.maintenance.doctor.http_client import announce_upload, fetch
from proxy.imaging import encode, vips
from proxy.settings import Settings, read_settings_sources
from proxy.storage.object_store import ObjectStore
from proxy.system import memory


async def diagnose(settings: Settings) -> list[dict[str, Any]]:
    """Runs every check and returns the findings. Does not migrate the embedded database first."""
    async with build_ingest_services(settings).connected() as services:
        checks = checks_for(settings, services.proxy.store, services.database, services.installation, services.cdn)
        return [asdict(finding) for finding in await run_checks(checks)]


def checks_for(
    settings: Settings, objects: ObjectStore, database: Database, installation: Installation, cdn: Cdn
) -> Mapping[str, Check]:
    """Returns the checks by name, in the order in which to fix their findings."""
    return {
        "settings": _as_async(lambda: settings_checks.in_force(settings, read_settings_sources())),
        "object store": partial(store_checks.round_trip, objects),
        "listing": partial(store_checks.listing, objects),
        "conditional writes": partial(store_checks.conditional_writes, objects),
        "versions": partial(installation_checks.versions, objects, delete_versions=settings.delete_versions),
        "database": partial(tables, database, embedded=settings.database_url is None),
        "installation": partial(installation_checks.installation_ids, installation),
        **_queue_checks(settings, installation),
        **_upload_check(settings),
        **_cdn_checks(settings, objects, cdn),
        **_webhook_check(settings),
        "clock": partial(clock_checks.clocks, _clocks(settings, objects, database)),
        "memory": _as_async(lambda: machine_checks.memory(settings, memory(), _limit(resource.RLIMIT_AS))),
        "sizes": _as_async(lambda: size_checks.memory(settings)),
        "temporary files": partial(machine_checks.temporary_files, settings),
        "data folder": _as_async(lambda: machine_checks.privacy(settings.data_dir)),
        "file descriptors": _as_async(lambda: machine_checks.file_descriptors(_limit(resource.RLIMIT_NOFILE))),
        "codecs": _as_async(lambda: machine_checks.codecs(encode.versions())),
        "render processes": partial(machine_checks.render_processes, settings),
        "libvips": _as_async(lambda: machine_checks.libvips(settings, vips.version())),
        "numpy": _as_async(lambda: machine_checks.numpy(settings)),
    }


def _queue_checks(settings: Settings, installation: Installation) -> Mapping[str, Check]:
    if settings.redis_url is None:
        return {"queue": queue_checks.local}
    from ingest.jobs.queue.bullmq_queue import BullmqQueue
    from ingest.jobs.queue.redis_info import redis_facts

    url = settings.redis_url.get_secret_value()

    async def redis() -> CheckResult:
        return queue_checks.judge_redis(await redis_facts(url))

    async def sharing() -> CheckResult:
        queue = BullmqQueue(url, prefix=settings.queue_prefix, installation_id=installation.verify)
        try:
            return await queue_checks.sharing(queue.installations, installation)
        finally:
            await queue.close()

    return {"queue": redis, "queue, sharing": sharing}


def _upload_check(settings: Settings) -> Mapping[str, Check]:
    if settings.public_url is None:
        return {}
    return {"upload limit": partial(upload_checks.limit, settings.public_url, settings.max_upload_mb, announce_upload)}


def _webhook_check(settings: Settings) -> Mapping[str, Check]:
    if settings.webhook_url is None:
        return {}
    return {"webhooks": partial(webhook_checks.receiver, settings.webhook_url, settings.webhook_allow_private)}


def _cdn_checks(settings: Settings, objects: ObjectStore, cdn: Cdn) -> Mapping[str, Check]:
    found: dict[str, Check] = {}
    if settings.cdn_url is not None:
        found["CDN, missing"] = partial(cdn_checks.missing_variant, settings.cdn_url, settings.sizes, fetch)
        found["CDN, stored"] = partial(cdn_checks.stored_variant, settings.cdn_url, settings.sizes, objects, fetch)
    if settings.cdn_distribution_id is not None or settings.edge_urls:
        found["CDN, invalidation"] = partial(cdn_checks.invalidations, cdn)
    return found


def _clocks(settings: Settings, objects: ObjectStore, database: Database) -> Mapping[str, clock_checks.Clock]:
    """Returns the clocks of other machines that can be read."""
    found: dict[str, clock_checks.Clock] = {}
    if settings.s3_bucket is not None:
        found["store"] = partial(store_checks.clock, objects)
    if settings.database_url is not None:
        found["database"] = database.now
    if settings.redis_url is not None:
        from ingest.jobs.queue.redis_info import redis_clock

        found["Redis"] = partial(redis_clock, settings.redis_url.get_secret_value())
    return found


def _as_async(judge: Callable[[], CheckResult]) -> Check:
    async def check() -> CheckResult:
        return judge()

    return check


def _limit(kind: int) -> int | None:
    soft = resource.getrlimit(kind)[0]
    return None if soft == resource.RLIM_INFINITY else soft
