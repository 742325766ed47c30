"""The ASGI applications: the whole service, and ingest alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from ingest.catalog.owner_deletions import OwnerDeletions
from ingest.ingest_services import (
    IngestServices,
    build_fields_service,
    build_ingest_services,
    build_presentation_service,
    build_upload_service,
)
from ingest.serialization.serializers import Serializer
from ingest.uploads.idempotent_uploads import IdempotentUploads
from ingest.uploads.owner_deletion_worker import OwnerDeletionWorker
from ingest.uploads.upload_tokens import UploadTokens
from ingest.web.cors import AllowOrigins
from ingest.web.cross_site import RefuseCrossSite
from ingest.web.deletion_routes import DeletionRoutes
from ingest.web.docs import DOCS_PATHS, docs_routes
from ingest.web.form_pages import FormPages
from ingest.web.original_downloads import OriginalDownloads
from ingest.web.page import PAGE_PATHS, page_routes
from ingest.web.page_access import ACCESS_PATH, access_routes
from ingest.web.size_routes import SIZES_PATH, size_routes
from ingest.web.ticket_access import AcceptTickets
from ingest.web.ticket_routes import TicketRoutes
from ingest.web.token_routes import TokenRoutes
from ingest.web.upload_responses import UploadResponses
from ingest.web.upload_routes import UploadRoutes
from proxy.settings import Settings, load_settings
from proxy.telemetry import configure_logging
from proxy.web.app import restrict_access, serve_variants, starlette_app
from proxy.web.edge_routes import edge_routes
from proxy.web.health import health_routes
from proxy.web.middleware.observability import Observability
from proxy.web.middleware.security_headers import SecurityHeaders


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Creates the app of `darkroom serve`: everything on one port, with warm-ups in this process."""
    settings = _configured(settings)
    ingest = build_ingest_services(settings)
    return serve_variants(ingest.proxy, ingest_app(ingest, warm_up=settings.warm_up))


def create_ingest_app(settings: Settings | None = None) -> ASGIApp:
    """Creates the app of `darkroom serve --role ingest`: uploads and jobs. Without Redis it also warms up."""
    settings = _configured(settings)
    warm_up = settings.warm_up and settings.redis_url is None
    ingest = build_ingest_services(settings)
    app = ingest_app(ingest, warm_up=warm_up, variants=False)
    return SecurityHeaders(Observability(app, ingest.proxy.metrics, ingest.proxy.tracing))


def ingest_app(ingest: IngestServices, *, warm_up: bool, variants: bool = True) -> ASGIApp:
    """Returns ingest's app. `warm_up`: run a worker in it. `variants`: whether this server also serves variants."""
    proxy, settings = ingest.proxy, ingest.proxy.settings
    uploads = build_upload_service(ingest)
    idempotent_uploads = IdempotentUploads(uploads, ingest.repository, proxy.metrics)
    serializer = Serializer.from_settings(settings)
    keys = [key.get_secret_value() for key in settings.upload_keys]
    tokens = UploadTokens(keys) if keys else None
    responses = UploadResponses(serializer, FormPages(settings.url_base), tokens)
    can_open_private = settings.can_open_private or not variants  # ingest alone does not know the proxies' keys
    deletions = OwnerDeletions(ingest.database)
    deletion_worker = OwnerDeletionWorker(deletions, ingest.repository, uploads)
    upload_routes = UploadRoutes(
        settings,
        uploads=uploads,
        presentations=build_presentation_service(ingest),
        fields=build_fields_service(ingest),
        idempotent_uploads=idempotent_uploads,
        repository=ingest.repository,
        originals=OriginalDownloads(proxy.store, settings.temporary),
        serializer=serializer,
        responses=responses,
        tickets=TicketRoutes(settings, tokens, can_open_private=can_open_private),
        tokens=TokenRoutes(settings),
        deletions=DeletionRoutes(deletions, deletion_worker, serializer),
        can_open_private=can_open_private,
        metrics=proxy.metrics,
    )

    def describe() -> Mapping[str, Any]:
        from ingest.web import openapi

        return openapi.describe(settings, variants=variants)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with ingest.running(), ingest.working() if warm_up else nullcontext(), ingest.sending_webhooks():
            deleting = asyncio.create_task(deletion_worker.run())
            try:
                yield
            finally:
                deleting.cancel()
                await asyncio.gather(deleting, return_exceptions=True)

    routes = [
        *page_routes(settings.url_base, settings.accept),
        *access_routes(settings),
        *docs_routes(describe),
        *size_routes(serializer.configured_sizes()),
        *upload_routes.routes(),
        *ingest_health_routes(ingest),
        *(edge_routes(settings) if variants else ()),
    ]
    calls: ASGIApp = starlette_app(routes, lifespan)
    app = calls
    if not settings.api_keys:
        app = RefuseCrossSite(app, settings.public_url, responses.no_access)
    app = restrict_access(app, settings, (*PAGE_PATHS, ACCESS_PATH, *DOCS_PATHS, SIZES_PATH), responses.no_access)
    if tokens:
        origins, public_url = settings.cors_origins, settings.public_url
        app = AcceptTickets(app, calls, tokens, origins=origins, public_url=public_url, refuse=responses.no_access)
    return AllowOrigins(app, settings.cors_origins) if settings.cors_origins else app


def ingest_health_routes(ingest: IngestServices) -> list[Route]:
    """Returns the routes of health and metrics of a server or a worker."""
    checks = {"store": ingest.proxy.check_store, "database": ingest.database.check}
    return health_routes(checks, ingest.proxy.metrics, ingest.collect_jobs, ingest.collect_queue)


def _configured(settings: Settings | None) -> Settings:
    settings = settings or load_settings()
    settings.check_extras()
    configure_logging(settings.log_format, settings.log_level)
    return settings
