"""Builds ingest's services from the settings and the proxy's services. No HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from ingest.catalog.database import Database
from ingest.catalog.installation_table import InstallationTable
from ingest.catalog.repository import JobRepository
from ingest.catalog.webhook_outbox import WebhookOutbox
from ingest.edge.cdn import Cdn, Cdns
from ingest.edge.nginx_cache import NginxCaches
from ingest.ingest_errors import InstallationMismatch, QueueUnavailable
from ingest.installation import Installation
from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import WarmUpQueue
from ingest.jobs.reconciler import Reconciler
from ingest.jobs.warm_up import WarmUp
from ingest.jobs.worker import Worker
from ingest.serialization.serializers import Serializer
from ingest.uploads.fields_service import FieldsService
from ingest.uploads.presentation_service import PresentationService
from ingest.uploads.upload_service import UploadService
from proxy.errors import Unavailable
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.services import ProxyServices, build_services, open_aws_session, open_store
from proxy.settings import Settings, SettingsError

log = structlog.get_logger()

_RESTART_SECONDS = 5
_VERIFY_SECONDS = 5.0  # that a start waits for an unavailable database or store


class Access(Enum):
    """The use that a command makes of database and object store."""

    WRITE = auto()
    READ = auto()
    """The command changes nothing, so it gives no installation id to a new database and store."""
    UNVERIFIED = auto()
    """The command does not need both, or verifies them itself."""


@dataclass(frozen=True, slots=True)
class IngestServices:
    """Ingest's services, used by the app, the worker and the command line."""

    proxy: ProxyServices
    database: Database
    repository: JobRepository
    installation: Installation
    queue: WarmUpQueue
    warmup: WarmUp
    worker: Worker
    cdn: Cdn
    outbox: WebhookOutbox | None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["IngestServices"]:
        """Opens connections and starts the render workers, for the block."""
        async with self._closing(), self.proxy.running():
            yield self

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["IngestServices"]:
        """Opens connections without starting render workers."""
        async with self._closing(), self.proxy.connected():
            yield self

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as at_end:  # closes the database even if closing the queue fails
            at_end.push_async_callback(self.database.close)
            at_end.push_async_callback(self.queue.close)
            yield

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Runs a worker in this process. At the end, its jobs are finished or returned to the queue."""
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    @asynccontextmanager
    async def sending_webhooks(self) -> AsyncIterator[None]:
        """Sends webhooks in this process, if WEBHOOK_URL is set. At the end, what is not sent stays in the outbox."""
        if self.outbox is None:
            yield
            return
        sending = asyncio.create_task(self._send_webhooks(self.outbox))
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send_webhooks(self, outbox: WebhookOutbox) -> None:
        from ingest.webhooks.webhook_worker import open_webhook_worker

        while True:
            try:
                await self.worker.verify_installation()  # another installation's webhooks are not for this receiver
                await open_webhook_worker(self.proxy.settings, outbox, self.proxy.metrics).run()
            except InstallationMismatch as error:
                log.error("webhooks not sent, retry scheduled", error=str(error), retry_in=_RESTART_SECONDS)
            except Exception:  # without this task, webhooks would wait until the next start
                log.exception("webhooks not sent, retry scheduled", retry_in=_RESTART_SECONDS)
            await asyncio.sleep(_RESTART_SECONDS)

    async def _work(self) -> None:
        concurrency = max(1, self.proxy.settings.render_processes - 1)  # leave one process to waiting requests
        while True:
            try:
                await self.worker.run(concurrency)
            except InstallationMismatch as error:
                log.error("warm-up worker not started, retry scheduled", error=str(error), retry_in=_RESTART_SECONDS)
            except Exception:  # a server that accepts uploads must keep warming them up
                log.exception("warm-up worker crashed, restarting", retry_in=_RESTART_SECONDS)
            await asyncio.sleep(_RESTART_SECONDS)

    async def collect_jobs(self) -> None:
        """Updates the metrics of jobs and webhooks from the database. Raises CatalogUnavailable."""
        for status, count in (await self.repository.count()).items():
            self.proxy.metrics.jobs.labels(status).set(count)
        self.proxy.metrics.oldest_job_seconds.set((await self.repository.longest_wait()).total_seconds())
        if self.outbox:
            for webhook_status, number in (await self.outbox.count()).items():
                self.proxy.metrics.webhooks.labels(webhook_status).set(number)

    async def collect_queue(self) -> None:
        """Updates the metrics of the queue. Raises QueueUnavailable."""
        for state, count in (await self.queue.lengths()).items():
            self.proxy.metrics.queue_jobs.labels(state).set(count)


def build_ingest_services(settings: Settings, *, retrying: bool = False) -> IngestServices:
    """Builds the services, without opening connections.

    Raises CatalogUnavailable. `retrying`: as in `open_services`.
    """
    proxy = build_services(settings, retrying=retrying)
    database = Database.from_settings(settings)
    outbox = open_outbox(settings, database)
    repository = JobRepository(database, outbox)
    warmup = WarmUp(repository, proxy.variant_service, settings.sizes, proxy.tracing)
    installation = Installation(proxy.store, InstallationTable(database))
    queue = open_queue(settings, repository, installation)
    worker = Worker(queue, warmup, Reconciler(repository, queue), installation)
    return IngestServices(proxy, database, repository, installation, queue, warmup, worker, open_cdn(settings), outbox)


@asynccontextmanager
async def open_services(
    settings: Settings, *, rendering: bool = False, access: Access = Access.WRITE, retrying: bool = True
) -> AsyncIterator[IngestServices]:
    """Opens ingest's services for one command; `rendering` also starts render workers.

    `retrying`: calls to the object store wait for the end of an outage, up to 5 minutes.

    Migrates the embedded database first, because a command may be the first process to use it. Then verifies that
    database and object store belong together. Raises InstallationMismatch, CatalogUnavailable or StoreUnavailable.
    """
    services = build_ingest_services(settings, retrying=retrying)
    async with services.connected():
        if settings.database_url is None:
            await services.database.migrate()
        match access:
            case Access.WRITE:
                await services.installation.verify()
            case Access.READ:
                await services.installation.check()
            case Access.UNVERIFIED:
                pass
        async with services.proxy.rendering() if rendering else nullcontext():
            yield services


async def check_redis(settings: Settings) -> None:
    """Raises SettingsError for a queue in Redis Cluster.

    Warns if Redis is unavailable, because BullMQ retries for minutes before it reports that.
    """
    if settings.redis_url is None:
        return
    from ingest.jobs.queue.redis_info import redis_facts

    try:
        facts = await redis_facts(settings.redis_url.get_secret_value())
    except QueueUnavailable as error:
        log.warning("Redis unavailable, jobs delayed", error=str(error))
        return
    if facts.is_cluster:
        raise SettingsError("REDIS_URL: Redis Cluster cannot hold the queue: name one server; it may have replicas.")


async def prepare_start(settings: Settings) -> None:
    """Prepares the start of a server: verifies that database and object store belong together.

    Raises InstallationMismatch, and SettingsError for Redis Cluster.

    If database or store is unavailable, only warns: the server verifies them before its first write. In the embedded
    database, also migrates the tables, and makes jobs pending again that a stopped server was processing.
    """
    await check_redis(settings)
    async with AsyncExitStack() as at_end:
        database, store = Database.from_settings(settings), open_store(settings)
        at_end.push_async_callback(database.close)
        at_end.push_async_callback(store.close)
        if settings.database_url is None:
            await database.migrate()
        try:
            async with asyncio.timeout(_VERIFY_SECONDS):
                await Installation(store, InstallationTable(database)).verify()
        except InstallationMismatch:
            raise
        except (Unavailable, TimeoutError) as error:
            log.warning(
                "database and object store not compared, retry before the first write",
                error=str(error) or "no answer in time",
            )
        if settings.database_url is None:
            await JobRepository(database).recover()


def open_outbox(settings: Settings, database: Database) -> WebhookOutbox | None:
    """Returns the outbox of webhooks; None without WEBHOOK_URL."""
    if settings.webhook_url is None:
        return None
    return WebhookOutbox(database, Serializer.from_settings(settings).upload)


def open_queue(settings: Settings, repository: JobRepository, installation: Installation) -> WarmUpQueue:
    """Returns the queue of jobs: BullMQ's with REDIS_URL, otherwise the one that reads the database."""
    if settings.redis_url:
        from ingest.jobs.queue.bullmq_queue import BullmqQueue

        return BullmqQueue(
            settings.redis_url.get_secret_value(), prefix=settings.queue_prefix, installation_id=installation.verify
        )
    return LocalQueue(repository)


def open_cdn(settings: Settings) -> Cdn:
    """Returns CloudFront and the nginx edges of the settings as one CDN, which may have no caches."""
    cdns: list[Cdn] = []
    if settings.cdn_distribution_id is not None:
        from ingest.edge.cloudfront import CloudFront

        cdns.append(CloudFront(settings.cdn_distribution_id, session=open_aws_session(settings, "us-east-1")))
    if settings.edge_urls and settings.edge_secret:
        cdns.append(NginxCaches(settings.edge_urls, settings.edge_secret.get_secret_value(), settings.sizes))
    return Cdns(*cdns)


def build_presentation_service(ingest: IngestServices) -> PresentationService:
    return PresentationService(
        store=ingest.proxy.store,
        repository=ingest.repository,
        installation=ingest.installation,
        queue=ingest.queue,
        cdn=ingest.cdn,
        variant_service=ingest.proxy.variant_service,
        sizes=ingest.proxy.settings.sizes,
        leases=ingest.proxy.leases,
    )


def build_fields_service(ingest: IngestServices) -> FieldsService:
    return FieldsService(store=ingest.proxy.store, repository=ingest.repository, installation=ingest.installation)


def build_upload_service(ingest: IngestServices, *, priority: Priority = Priority.LIVE) -> UploadService:
    """Returns an upload service. `priority`: of its render requests, as in `UploadService`."""
    proxy = ingest.proxy
    return UploadService(
        store=proxy.store,
        pool=proxy.pool,
        repository=ingest.repository,
        installation=ingest.installation,
        queue=ingest.queue,
        cdn=ingest.cdn,
        variant_service=proxy.variant_service,
        recipes=Recipes(proxy.settings),
        sizes=proxy.settings.sizes,
        accept=proxy.settings.accept,
        default_visibility=proxy.settings.default_visibility,
        metrics=proxy.metrics,
        temporary=proxy.settings.temporary,
        priority=priority,
    )
