"""Check results, and running checks concurrently: each has its own deadline, and none can break another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from proxy.errors import ServiceError

log = structlog.get_logger()

DEADLINE = 30.0  # seconds for one check; a call to S3 takes up to ten, an invalidation in nginx four and more


class Verdict(StrEnum):
    OK = "ok"
    """Nothing to do."""
    WARNING = "warning"
    """It works now but may not under all conditions."""
    FAILED = "failed"
    """Something that Darkroom needs does not work."""
    SKIPPED = "skipped"
    """Not checked: there is nothing to check yet, or with these settings."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`remark` says what was found and, for a warning or a failure, what to do."""

    verdict: Verdict
    remark: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of the check `name`."""

    name: str
    verdict: Verdict
    remark: str


Check = Callable[[], Awaitable[CheckResult]]
"""May raise a ServiceError whose text says what to fix; that is a failed check."""


def ok(remark: str) -> CheckResult:
    return CheckResult(Verdict.OK, remark)


def warning(remark: str) -> CheckResult:
    return CheckResult(Verdict.WARNING, remark)


def failed(remark: str) -> CheckResult:
    return CheckResult(Verdict.FAILED, remark)


def skipped(reason: str) -> CheckResult:
    return CheckResult(Verdict.SKIPPED, reason)


async def run_checks(checks: Mapping[str, Check], deadline: float = DEADLINE) -> list[Finding]:
    """Runs all checks and returns one finding for each, in their order. `deadline`: seconds for each check."""
    results = await asyncio.gather(*(_run_check(check, deadline) for check in checks.values()))
    return [Finding(name, each.verdict, each.remark) for name, each in zip(checks, results, strict=True)]


async def _run_check(check: Check, deadline: float) -> CheckResult:
    try:
        async with asyncio.timeout(deadline):
            return await check()
    except ServiceError as error:
        return failed(str(error))
    except TimeoutError:
        return failed(f"No answer within {deadline:g} seconds: check its load and the network.")
    except Exception as error:  # a bug in one check must not hide the other findings
        log.exception("doctor check crashed")
        return failed(f"The check itself crashed ({type(error).__name__}): report this bug of Darkroom with the log.")
