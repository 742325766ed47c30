"""Builds the proxy's ASGI application: routes, middleware, and a problem document for every error."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, ExceptionHandler, Lifespan, Message, Receive, Scope, Send

from proxy.errors import ServiceError
from proxy.services import ProxyServices, build_services
from proxy.settings import Settings, SettingsError, load_settings
from proxy.telemetry import configure_logging
from proxy.web import problems
from proxy.web.edge_routes import EDGE_PATHS, edge_routes
from proxy.web.health import health_routes
from proxy.web.middleware.authentication import RequireApiKey, problem_for_all
from proxy.web.middleware.local_host import RequireLocalHost
from proxy.web.private_access import PrivateAccess
from proxy.web.variant_routes import VariantMiddleware

OPEN_PATHS = ("/healthz", "/readyz", *EDGE_PATHS)
EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = {
    ServiceError: problems.on_service_error,
    HTTPException: problems.on_http_error,
}
_EXPECTED = (ServiceError, SettingsError)


class _App(Starlette):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_reason(message: Message) -> None:
            """Replaces Starlette's traceback, which the server would log, by the message of an expected failure."""
            if message["type"] == "lifespan.startup.failed" and isinstance(error := sys.exception(), _EXPECTED):
                message = {**message, "message": str(error)}
            await send(message)

        await super().__call__(scope, receive, send_reason if scope["type"] == "lifespan" else send)


def starlette_app(routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette]) -> Starlette:
    """Returns a Starlette app that answers every error with a problem document.

    A start that fails with a ServiceError or SettingsError is logged as its message, without a traceback.
    """
    app = _App(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(problems.AnswerUnexpectedErrors)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.router.redirect_slashes = False  # such a redirect would echo the client's Host header
    return app


def serve_variants(origin: ProxyServices, app: ASGIApp) -> ASGIApp:
    """Wraps `app`: serves variants first, without a key, and adds logging and security headers to everything."""
    return VariantMiddleware(
        app,
        origin.variant_service,
        origin.settings.sizes,
        private_access=PrivateAccess(origin.settings),
        metrics=origin.metrics,
        tracing=origin.tracing,
    )


def restrict_access(
    app: ASGIApp,
    settings: Settings,
    pages: Sequence[str] = (),
    refuse: Callable[[Scope, ServiceError], Response] = problem_for_all,
) -> ASGIApp:
    """Requires an API key, except for OPEN_PATHS and `pages`: paths that show nothing without a key.

    Without keys in the settings, requires a `Host` of this machine instead, except for OPEN_PATHS.
    """
    if settings.api_keys:
        return RequireApiKey(app, settings.api_keys, (*OPEN_PATHS, *pages), refuse)
    return RequireLocalHost(app, settings.public_url, OPEN_PATHS, refuse)


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Creates the app of `darkroom serve --role proxy`: variants, health checks and metrics, without a database."""
    settings = settings or load_settings()
    settings.check_extras()
    configure_logging(settings.log_format, settings.log_level)
    origin = build_services(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with origin.running():
            yield

    routes: list[BaseRoute] = [
        *health_routes({"store": origin.check_store}, origin.metrics),
        *edge_routes(settings),
    ]
    app = starlette_app(routes, lifespan)
    return serve_variants(origin, restrict_access(app, settings))
