"""The origin over HTTP."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, ExceptionHandler, Lifespan, Scope

from proxy.errors import ServiceError, Unauthorized
from proxy.services import ProxyServices, build_services
from proxy.settings import Settings, load_settings
from proxy.telemetry import configure_logging
from proxy.variants.transparency import Transparency
from proxy.web import problems
from proxy.web.health import health_routes
from proxy.web.middleware.api_keys import RequireApiKey, problem_for_all
from proxy.web.variant_routes import Variants

OPEN_PATHS = ("/healthz", "/readyz")
EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = {
    ServiceError: problems.service_error,
    HTTPException: problems.http_error,
    Exception: problems.unexpected,
}


def starlette_app(routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette]) -> Starlette:
    """Routes that answer every error as a problem document."""
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=EXCEPTION_HANDLERS)
    app.router.redirect_slashes = False  # the redirect would repeat the caller's Host
    return app


def serve_variants(origin: ProxyServices, app: ASGIApp) -> ASGIApp:
    """Variants, which need no key, before everything else; and the headers that every answer carries."""
    transparency = Transparency(origin.store, origin.variant_service)
    return Variants(
        app,
        origin.variant_service,
        transparency,
        origin.settings.sizes,
        metrics=origin.metrics,
        tracing=origin.tracing,
    )


def require_key(
    app: ASGIApp,
    settings: Settings,
    open_paths: Sequence[str] = OPEN_PATHS,
    refuse: Callable[[Scope, Unauthorized], Response] = problem_for_all,
) -> ASGIApp:
    return RequireApiKey(app, [key.get_secret_value() for key in settings.api_keys], open_paths, refuse)


def create_app(settings: Settings | None = None) -> ASGIApp:
    """`darkroom serve --role proxy`: variants, health and metrics. Knows no database."""
    settings = settings or load_settings()
    configure_logging(settings.log_format, settings.log_level)
    origin = build_services(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with origin.running():
            yield

    routes: list[BaseRoute] = [*health_routes({"store": origin.check_store}, origin.metrics)]
    app = starlette_app(routes, lifespan)
    return serve_variants(origin, require_key(app, settings))
