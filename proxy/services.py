"""Builds the proxy's services from settings and chooses their adapters. No HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import SecretStr

from proxy.imaging import encode
from proxy.imaging.limits import Limits
from proxy.keys import original_key
from proxy.model import new_upload_id
from proxy.recipe import Recipes
from proxy.rendering import sandbox
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from proxy.settings import Settings, metrics_folder
from proxy.storage.disk import DiskStore
from proxy.storage.object_store import ObjectNotFound, ObjectStore
from proxy.storage.retrying_store import RetryingStore
from proxy.telemetry import Metrics
from proxy.telemetry.event_loop import sample_periodically
from proxy.telemetry.tracing import Tracing, open_tracing
from proxy.variants.derivation_pauses import DerivationPauses, SharedFailures
from proxy.variants.file_derivation_failures import FileFailures
from proxy.variants.invalidation.file_bus import FileInvalidationBus
from proxy.variants.invalidation.invalidation_bus import InvalidationBus
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.leases.lease_store import LeaseStore
from proxy.variants.variant_service import VariantService

if TYPE_CHECKING:
    from boto3.session import Session


@dataclass(frozen=True, slots=True)
class ProxyServices:
    """The proxy's services, for the app, the worker and the command line."""

    settings: Settings
    store: ObjectStore
    pool: RenderPool
    leases: LeaseStore
    invalidation: InvalidationBus
    pauses: DerivationPauses
    variant_service: VariantService
    metrics: Metrics
    tracing: Tracing
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the waiting of a RetryingStore."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ProxyServices"]:
        """Starts render processes and background tasks. On exit, waits for running work before it stops them."""
        async with self.connected(), self.rendering():
            yield self

    @asynccontextmanager
    async def rendering(self) -> AsyncIterator[None]:
        """Starts render processes and background tasks, within `connected`. `running` does both.

        On exit, waits for running work, but not for the end of an outage of the store.
        """
        async with AsyncExitStack() as at_end:  # runs every step, whatever cancels or breaks the one before
            at_end.push_async_callback(self.pool.close)
            sandbox.hide_memory()
            await self.pool.start()
            at_end.push_async_callback(self.variant_service.drain)
            for work in (self.variant_service.follow_invalidations(), sample_periodically(self.metrics)):
                at_end.push_async_callback(_cancel, asyncio.create_task(work))
            at_end.callback(self.stopping.set)
            yield

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Closes all connections on exit. Commands that render nothing use this instead of `running`."""
        async with AsyncExitStack() as at_end:
            at_end.push_async_callback(anyio.to_thread.run_sync, self.tracing.close)
            for connection in (self.store, self.pauses, self.invalidation, self.leases):
                at_end.push_async_callback(connection.close)
            yield

    async def check_store(self) -> None:
        """Checks that the object store answers, by reading a missing key. Raises StoreUnavailable."""
        try:
            await self.store.get(original_key(new_upload_id()))
        except ObjectNotFound:
            return


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def try_render_process(settings: Settings) -> frozenset[str]:
    """Starts a render process and stops it. Returns the mechanisms that lock it.

    Raises SettingsError for a watermark that cannot be decoded or a lock that the system lacks, RenderFailed and
    DerivationTimeout.
    """
    worker = await RenderWorker.start(
        Limits(settings.min_side, settings.max_side),
        settings.render_process_mb,
        settings.render_timeout,
        sandbox=settings.render_sandbox,
        watermarks=settings.watermarks,
    )
    await worker.stop()
    return worker.locks


def build_services(settings: Settings, *, retrying: bool = False) -> ProxyServices:
    """Builds the services. `retrying`: calls to the store wait for the end of an outage, until the services stop."""
    metrics = Metrics(metrics_folder())
    metrics.describe_build({"version": version("darkroom-origin"), "python": python_version(), **encode.versions()})
    store = open_store(settings, metrics)
    stopping = asyncio.Event()
    if retrying:
        store = RetryingStore(store, stopping=stopping)
    pool = RenderPool(
        Limits(settings.min_side, settings.max_side),
        processes=settings.render_processes,
        memory_mb=settings.render_memory_mb,
        process_mb=settings.render_process_mb,
        timeout=settings.render_timeout,
        max_waiting=settings.max_waiting,
        recycle=settings.render_originals_per_process,
        sandbox=settings.render_sandbox,
        searches=any(size.auto_quality for size in settings.sizes.values()),
        watermarks=settings.watermarks,
        metrics=metrics,
    )
    leases, invalidation = open_leases(settings, metrics), open_invalidation(settings)
    recipes = Recipes(settings)
    pauses = DerivationPauses(recipes, open_shared_failures(settings))
    variant_service = VariantService(
        store,
        pool,
        recipes,
        metrics,
        leases,
        invalidation=invalidation,
        pauses=pauses,
        temporary=settings.temporary,
        timeout=settings.render_timeout,
        memory_cache_bytes=settings.memory_cache_mb << 20,
        missing_ttl=settings.missing_ttl,
        delete_versions=settings.delete_versions,
    )
    tracing = open_tracing(settings.otel_exporter_otlp_endpoint, version("darkroom-origin"))
    return ProxyServices(
        settings, store, pool, leases, invalidation, pauses, variant_service, metrics, tracing, stopping
    )


def open_store(settings: Settings, metrics: Metrics | None = None) -> ObjectStore:
    """Returns the object store: a bucket with S3_BUCKET, otherwise files in DATA_DIR."""
    if settings.s3_bucket is None:
        return DiskStore(settings.objects)
    from proxy.storage.s3 import S3Store

    return S3Store(
        bucket=settings.s3_bucket,
        prefix=settings.s3_prefix,
        session=open_aws_session(settings),
        endpoint_url=settings.s3_endpoint_url,
        addressing=settings.s3_addressing,
        encryption=settings.s3_sse,
        metrics=metrics,
    )


def open_bucket(settings: Settings, bucket: str) -> ObjectStore:
    """Opens another bucket than the installation's, on the same S3 service and with the same credentials.

    Its calls wait for the end of an outage.
    """
    from proxy.storage.s3 import S3Store

    store = S3Store(
        bucket,
        session=open_aws_session(settings),
        endpoint_url=settings.s3_endpoint_url,
        addressing=settings.s3_addressing,
    )
    return RetryingStore(store)


def open_aws_session(settings: Settings, region: str | None = None) -> "Session":
    """Opens a boto3 session. Without keys in the settings, boto3's chain finds them: environment, profile, role."""
    from boto3.session import Session

    def reveal(secret: SecretStr | None) -> str | None:
        return secret.get_secret_value() if secret else None

    return Session(
        reveal(settings.aws_access_key_id),
        reveal(settings.aws_secret_access_key),
        reveal(settings.aws_session_token),
        region or settings.aws_region,
    )


def open_leases(settings: Settings, metrics: Metrics) -> LeaseStore:
    """Returns the lease store: Redis with REDIS_URL, otherwise lock files in DATA_DIR."""
    if settings.redis_url:
        from proxy.variants.leases.redis_leases import RedisLeaseStore

        return RedisLeaseStore(settings.redis_url.get_secret_value(), metrics)
    return FileLeaseStore(settings.locks)


def open_shared_failures(settings: Settings) -> SharedFailures:
    """Returns the failures that processes share: by Redis with REDIS_URL, otherwise by files in DATA_DIR."""
    if settings.redis_url:
        from proxy.variants.redis_derivation_failures import RedisFailures

        return RedisFailures(settings.redis_url.get_secret_value())
    return FileFailures(settings.failure_files)


def open_invalidation(settings: Settings) -> InvalidationBus:
    """Returns the invalidation bus: Redis with REDIS_URL, otherwise files in DATA_DIR."""
    if settings.redis_url:
        from proxy.variants.invalidation.redis_bus import RedisInvalidationBus

        return RedisInvalidationBus(settings.redis_url.get_secret_value())
    return FileInvalidationBus(settings.invalidation_files)
