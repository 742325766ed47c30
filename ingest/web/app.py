"""The whole service put together: ingest around the proxy's origin."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.cdn import Cdn, NoCdn
from ingest.queue.base import WarmupQueue
from ingest.queue.local import LocalQueue
from ingest.reconciler import Reconciler
from ingest.repeats import Repeats
from ingest.uploads import Uploads
from ingest.warmup import WarmUp
from ingest.web.answers import UploadAnswers
from ingest.web.docs import DOCS_PATHS, docs_routes
from ingest.web.documents import Documents
from ingest.web.endpoints import Endpoints
from ingest.web.form import FormPages
from ingest.web.page import PAGE_PATHS, page_routes
from ingest.worker import Worker
from proxy.settings import Settings, load_settings
from proxy.telemetry import configure_logging
from proxy.web.app import OPEN_PATHS, Origin, compose, require_key, serve_variants, starlette_app
from proxy.web.health import health_routes
from proxy.web.observed import Observed
from proxy.web.security import SecurityHeaders

log = structlog.get_logger()

_RESTART_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Ingest:
    """Ingest's parts, for the app, the worker and the command line alike."""

    origin: Origin
    database: Database
    repository: JobRepository
    queue: WarmupQueue
    warmup: WarmUp
    worker: Worker
    cdn: Cdn

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Ingest"]:
        async with self._closing(), self.origin.running():
            yield self

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Ingest"]:
        """For what renders nothing."""
        async with self._closing(), self.origin.connected():
            yield self

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.queue.close()
            await self.database.close()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker in this process; at the end its job is finished or handed back."""
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    async def _work(self) -> None:
        concurrency = max(1, self.origin.settings.render_processes - 1)  # one process is left to those who wait
        while True:
            try:
                await self.worker.run(concurrency)
            except Exception:  # a server that takes uploads and warms up none must not go unnoticed, nor stay so
                log.exception("the worker ended; it is started again")
            await asyncio.sleep(_RESTART_SECONDS)

    async def collect_jobs(self) -> None:
        for status, count in (await self.repository.count()).items():
            self.origin.metrics.jobs.labels(status).set(count)
        oldest = await self.repository.oldest_pending()
        age = datetime.now(UTC) - oldest if oldest else timedelta(0)
        self.origin.metrics.oldest_job_seconds.set(max(0.0, age.total_seconds()))

    async def collect_queue(self) -> None:
        for state, count in (await self.queue.lengths()).items():
            self.origin.metrics.queue_jobs.labels(state).set(count)

    def health_routes(self) -> list[Route]:
        """Of a server, and of a worker that is asked."""
        checks = {"store": self.origin.check_store, "database": self.database.check}
        return health_routes(checks, self.origin.metrics, self.collect_jobs, self.collect_queue)


def compose_ingest(settings: Settings) -> Ingest:
    origin = compose(settings)
    database = Database.from_settings(settings)
    repository = JobRepository(database)
    warmup = WarmUp(repository, origin.derivations, settings.sizes, origin.tracing)
    queue = open_queue(settings, repository)
    worker = Worker(queue, warmup, Reconciler(repository, queue))
    return Ingest(origin, database, repository, queue, warmup, worker, open_cdn(settings))


def open_queue(settings: Settings, repository: JobRepository) -> WarmupQueue:
    if settings.redis_url:
        from ingest.queue.bullmq import BullmqQueue

        return BullmqQueue(settings.redis_url.get_secret_value())
    return LocalQueue(repository)


def open_cdn(settings: Settings) -> Cdn:
    if settings.cdn_distribution_id is None:
        return NoCdn()
    from ingest.cloudfront import CloudFront

    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    return CloudFront(
        settings.cdn_distribution_id,
        access_key_id=key.get_secret_value() if key else None,
        secret_access_key=secret.get_secret_value() if secret else None,
    )


def create_app(settings: Settings | None = None) -> ASGIApp:
    """`darkroom serve`: everything on one port, warm-up in this process."""
    settings = _configured(settings)
    ingest = compose_ingest(settings)
    return serve_variants(ingest.origin, ingest_app(ingest, warm_up=settings.warm_up))


def create_ingest_app(settings: Settings | None = None) -> ASGIApp:
    """`darkroom serve --role ingest`: uploads and jobs; variants are others', warm-ups too if there is a queue."""
    settings = _configured(settings)
    warm_up = settings.warm_up and settings.redis_url is None
    ingest = compose_ingest(settings)
    app = ingest_app(ingest, warm_up=warm_up, variants=False)
    return SecurityHeaders(Observed(app, ingest.origin.metrics, ingest.origin.tracing))


def open_uploads(ingest: Ingest) -> Uploads:
    origin = ingest.origin
    return Uploads(
        store=origin.store,
        pool=origin.pool,
        repository=ingest.repository,
        queue=ingest.queue,
        cdn=ingest.cdn,
        derivations=origin.derivations,
        sizes=origin.settings.sizes,
        metrics=origin.metrics,
        temporary=origin.settings.temporary,
    )


def ingest_app(ingest: Ingest, *, warm_up: bool, variants: bool = True) -> ASGIApp:
    """`warm_up`: here, in this process. `variants`: they are served beside it, so `/docs` shows them too."""
    origin, settings = ingest.origin, ingest.origin.settings
    uploads = open_uploads(ingest)
    repeats = Repeats(uploads, ingest.repository, origin.metrics)
    documents = Documents.of(settings)
    answers = UploadAnswers(documents, FormPages(settings.url_base))
    endpoints = Endpoints(
        settings,
        uploads=uploads,
        repeats=repeats,
        repository=ingest.repository,
        documents=documents,
        answers=answers,
        metrics=origin.metrics,
    )

    def describe() -> Mapping[str, Any]:
        from ingest.web import openapi

        return openapi.describe(settings, variants=variants)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with ingest.running(), ingest.working() if warm_up else nullcontext():
            yield

    routes = [
        *page_routes(settings.url_base),
        *docs_routes(describe),
        *endpoints.routes(),
        *ingest.health_routes(),
    ]
    app = starlette_app(routes, lifespan)
    return require_key(app, settings, (*OPEN_PATHS, *PAGE_PATHS, *DOCS_PATHS), answers.without_key)


def _configured(settings: Settings | None) -> Settings:
    settings = settings or load_settings()
    configure_logging(settings.log_format, settings.log_level)
    return settings
