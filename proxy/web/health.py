"""`/healthz`: alive. `/readyz`: able to serve, or 503 naming what is missing. `/metrics`: Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from proxy.errors import ServiceError
from proxy.telemetry import Metrics

Check = Callable[[], Awaitable[None]]
"""Raises a ServiceError whose text says what is wrong."""

_CHECK_TIMEOUT = 3  # seconds; load balancers give up at 5


class Health(TypedDict):
    status: Literal["ok"]


class Readiness(TypedDict):
    """`checks`: `ok`, or what is wrong, for each part that is needed."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


def health_routes(checks: Mapping[str, Check], metrics: Metrics, *collect: Check) -> list[Route]:
    """The three routes. `collect` runs before metrics are read, for gauges that must be asked for."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse(Health(status="ok"))

    async def readyz(_request: Request) -> Response:
        results = dict(zip(checks, await asyncio.gather(*map(_result, checks.values())), strict=True))
        ready = not any(results.values())
        checked = {name: result or "ok" for name, result in results.items()}
        body = Readiness(status="ready" if ready else "not ready", checks=checked)
        return JSONResponse(body, 200 if ready else 503)

    async def exposition(_request: Request) -> Response:
        await asyncio.gather(*map(_result, collect))  # a gauge that cannot be read must not hide the others
        return Response(await metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


async def _result(check: Check) -> str | None:
    """None, or what is wrong."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check()
    except ServiceError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT} seconds"
    return None
