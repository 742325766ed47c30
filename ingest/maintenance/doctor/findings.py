"""A check's answer, and how checks are run: side by side, each to its own deadline, none able to break another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from proxy.errors import ServiceError

log = structlog.get_logger()

DEADLINE = 15.0  # seconds for one check; an S3 that hangs is given up after ten


class Verdict(StrEnum):
    OK = "ok"
    """Nothing to do; the remark may say what is done without."""
    WARNING = "warning"
    """It works, and will not always."""
    FAILED = "failed"
    """Something that Darkroom promises does not work."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`remark` says what was found and, unless all is well, what to do."""

    verdict: Verdict
    remark: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of the check of that name."""

    name: str
    verdict: Verdict
    remark: str


Check = Callable[[], Awaitable[CheckResult]]
"""May raise a ServiceError whose text says what to mend."""


def ok(remark: str) -> CheckResult:
    return CheckResult(Verdict.OK, remark)


def warning(remark: str) -> CheckResult:
    return CheckResult(Verdict.WARNING, remark)


def failed(remark: str) -> CheckResult:
    return CheckResult(Verdict.FAILED, remark)


async def run_checks(checks: Mapping[str, Check], deadline: float = DEADLINE) -> list[Finding]:
    """A finding for each check, in their order. `deadline` is seconds."""
    judgements = await asyncio.gather(*(_judged(check, deadline) for check in checks.values()))
    return [Finding(name, each.verdict, each.remark) for name, each in zip(checks, judgements, strict=True)]


async def _judged(check: Check, deadline: float) -> CheckResult:
    try:
        async with asyncio.timeout(deadline):
            return await check()
    except ServiceError as error:
        return failed(str(error))
    except TimeoutError:
        return failed(f"No answer within {deadline:g} seconds: look at its load and at the network in between.")
    except Exception as error:  # a defect of ours must not hide what the other checks find
        log.exception("a check broke")
        return failed(
            f"The check itself broke ({type(error).__name__}), which is a defect of Darkroom: the log says more."
        )
