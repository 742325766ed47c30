"""Serves `/healthz`, `/readyz` and `/metrics` of a worker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from socket import socket

import uvicorn
from starlette.applications import Starlette

from ingest.ingest_services import IngestServices
from ingest.web.ingest_app import ingest_health_routes
from proxy.web.app import restrict_access, starlette_app
from proxy.web.bounded_http import bounded_http
from proxy.web.middleware.security_headers import SecurityHeaders


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the worker, which stops this server."""
        yield


@asynccontextmanager
async def serve_health(ingest: IngestServices, listener: socket) -> AsyncIterator[None]:
    """Serves the health routes during the block, with the API keys of the settings. `listener` is bound."""
    health = starlette_app(ingest_health_routes(ingest), _no_lifespan)
    app = SecurityHeaders(restrict_access(health, ingest.proxy.settings))
    config = uvicorn.Config(
        app,
        http=bounded_http(ingest.proxy.settings.download_min_rate),
        ws="none",
        log_config=None,  # `configure_logging` did it
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def _no_lifespan(_app: Starlette) -> AsyncIterator[None]:
    yield
