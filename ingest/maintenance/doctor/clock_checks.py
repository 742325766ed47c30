"""Compares this machine's clock with others: S3 rejects requests that are minutes off, and leases count seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from proxy.errors import ServiceError

Clock = Callable[[], Awaitable[datetime]]

_NOTABLE, _WRONG = 5.0, 60.0  # seconds
_TIMEOUT = 10.0  # seconds for each clock


async def clocks(others: Mapping[str, Clock]) -> CheckResult:
    """Compares with `others`, by name. Ignores clocks that do not answer: the checks of their services say why."""
    if not others:
        return skipped("nothing to compare with: every service is on this machine")
    differences = await asyncio.gather(*(_ahead(clock) for clock in others.values()))
    ahead = {name: seconds for name, seconds in zip(others, differences, strict=True) if seconds is not None}
    if not ahead:
        return warning("No other clock could be read: fix the failed checks above first.")
    worst = max(map(abs, ahead.values()))
    compared = ", ".join(f"{name} {seconds:+.1f} s" for name, seconds in ahead.items())
    if worst > _WRONG:
        return failed(f"The clocks differ ({compared}): synchronise all machines by NTP.")
    if worst > _NOTABLE:
        return warning(f"The clocks differ ({compared}): synchronise all machines by NTP.")
    return ok(compared)


async def _ahead(clock: Clock) -> float | None:
    """Returns the seconds that the other clock is ahead, beyond what the round trip explains; None if it is unknown."""
    before = datetime.now(UTC)
    with suppress(ServiceError, TimeoutError):
        async with asyncio.timeout(_TIMEOUT):
            there = await clock()
        after = datetime.now(UTC)
        return min((there - before).total_seconds(), 0) + max((there - after).total_seconds(), 0)
    return None
