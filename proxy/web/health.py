"""`/healthz`: alive. `/readyz`: able to serve, or 503 with the names of the failed checks. `/metrics`: Prometheus."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Literal

import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from proxy.errors import ServiceError
from proxy.telemetry import Metrics
from proxy.web.middleware.authentication import is_trusted

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]
"""Checks a dependency. Raises a ServiceError if it is not usable."""

_CHECK_TIMEOUT = 3  # seconds; load balancers give up at 5
_FRESH_SECONDS = 1.0  # the checks run at most this often, for all callers together


class Health(TypedDict):
    status: Literal["ok"]


class Readiness(TypedDict):
    """`checks`: for each dependency, `ok` or the reason of the failure.

    Callers without an API key get `failed` instead of the reason.
    """

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


def health_routes(checks: Mapping[str, Check], metrics: Metrics, *collect: Check) -> list[Route]:
    """Returns the three routes. `collect`: called before metrics are exposed, to update gauges that need I/O."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse(Health(status="ok"))

    cached = _CachedChecks(checks)

    async def readyz(request: Request) -> Response:
        failures = await cached.failures()
        trusted = is_trusted(request.scope)
        checked = {name: (failures[name] if trusted else "failed") if name in failures else "ok" for name in checks}
        body = Readiness(status="not ready" if failures else "ready", checks=checked)
        return JSONResponse(body, 503 if failures else 200)

    async def exposition(_request: Request) -> Response:
        await asyncio.gather(*map(_run_check, collect))  # a failed update must not hide the other metrics
        return Response(await metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


class _CachedChecks:
    """The results of the checks, at most a second old."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._lock = asyncio.Lock()
        self._fresh_until = -math.inf
        self._failures: dict[str, str] = {}

    async def failures(self) -> dict[str, str]:
        """Returns what is wrong, by the name of the check."""
        async with self._lock:
            if monotonic() >= self._fresh_until:
                results = zip(self._checks, await asyncio.gather(*map(_run_check, self._checks.values())), strict=True)
                failures = {name: result for name, result in results if result}
                if failures != self._failures:
                    if failures:
                        log.warning("readiness check failed", **failures)
                    else:
                        log.info("readiness checks pass again")
                self._failures, self._fresh_until = failures, monotonic() + _FRESH_SECONDS
            return self._failures


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
