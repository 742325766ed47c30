"""`/healthz`: alive. `/readyz`: able to serve, or 503 with the failed checks. `/metrics`: Prometheus."""

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
"""Raises a ServiceError if the dependency is not usable."""

_CHECK_TIMEOUT = 3  # seconds; load balancers give up at 5


class Health(TypedDict):
    status: Literal["ok"]


class Readiness(TypedDict):
    """`checks`: for each dependency `ok`, or what is wrong."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


def health_routes(checks: Mapping[str, Check], metrics: Metrics, *collect: Check) -> list[Route]:
    """The three routes. `collect`: called before metrics are exposed, to update gauges that need I/O."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse(Health(status="ok"))

    async def readyz(_request: Request) -> Response:
        results = dict(zip(checks, await asyncio.gather(*map(_run_check, checks.values())), strict=True))
        ready = not any(results.values())
        checked = {name: result or "ok" for name, result in results.items()}
        body = Readiness(status="ready" if ready else "not ready", checks=checked)
        return JSONResponse(body, 200 if ready else 503)

    async def exposition(_request: Request) -> Response:
        await asyncio.gather(*map(_run_check, collect))  # a failed update must not hide the other metrics
        return Response(await metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


async def _run_check(check: Check) -> str | None:
    """Runs a check; returns what is wrong, or None."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check()
    except ServiceError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT} seconds"
    return None
