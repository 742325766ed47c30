"""`/healthz`, `/readyz` and `/metrics` of a worker, which answers nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette

from ingest.services import IngestServices
from ingest.web.app import ingest_health_routes
from proxy.web.app import require_key, starlette_app
from proxy.web.middleware.security_headers import SecurityHeaders


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the worker's: this server ends with it."""
        yield


@asynccontextmanager
async def answering(ingest: IngestServices, host: str, port: int) -> AsyncIterator[None]:
    """Under the rules of a server: the same keys, open only with them."""
    health = starlette_app(ingest_health_routes(ingest), _running_already)
    app = SecurityHeaders(require_key(health, ingest.proxy.settings))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="proxy.web.bounded_http:BoundedHttp",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def _running_already(_app: Starlette) -> AsyncIterator[None]:
    yield
