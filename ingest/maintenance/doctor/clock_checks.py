"""This machine's clock against the others': S3 refuses requests that are minutes off, and leases count seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning
from proxy.errors import ServiceError

Clock = Callable[[], Awaitable[datetime]]

_NOTABLE, _WRONG = 5.0, 60.0  # seconds
_PATIENCE = 10.0  # seconds for each


async def clocks(others: Mapping[str, Clock]) -> CheckResult:
    """`others` by name. One that does not answer is left out: its own check says why."""
    if not others:
        return ok("nothing to compare it with: all is on this machine")
    asked = await asyncio.gather(*(_ahead(clock) for clock in others.values()))
    ahead = {name: seconds for name, seconds in zip(others, asked, strict=True) if seconds is not None}
    if not ahead:
        return warning("No other clock could be read: mend the checks above first.")
    worst = max(map(abs, ahead.values()))
    compared = ", ".join(f"{name} {seconds:+.1f} s" for name, seconds in ahead.items())
    if worst > _WRONG:
        return failed(f"The clocks differ ({compared}): set this machine's and theirs by NTP.")
    if worst > _NOTABLE:
        return warning(f"The clocks differ ({compared}): set this machine's and theirs by NTP.")
    return ok(compared)


async def _ahead(clock: Clock) -> float | None:
    """Seconds that the other clock is ahead of ours; none for what the time of the asking may explain."""
    before = datetime.now(UTC)
    with suppress(ServiceError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            there = await clock()
        after = datetime.now(UTC)
        return min((there - before).total_seconds(), 0) + max((there - after).total_seconds(), 0)
    return None
