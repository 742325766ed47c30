"""The queue: Redis, as BullMQ and the leases need it."""

from typing import TYPE_CHECKING

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning

if TYPE_CHECKING:  # the module imports Redis's client, and most installations have none
    from ingest.jobs.queue.redis_info import RedisFacts

_LEAST, _ADVISED = (5, 0), (6, 2)  # BullMQ's own words


def judge_redis(facts: "RedisFacts") -> CheckResult:
    version = _version(facts.version)
    if version < _LEAST:
        return failed(f"Redis {facts.version} is too old: BullMQ needs 5.0, better 6.2 or later.")
    if facts.policy != "noeviction":
        return failed(
            f"Redis may throw jobs and leases away (maxmemory-policy is {facts.policy or 'unknown'}): "
            "set maxmemory-policy noeviction."
        )
    if version < _ADVISED:
        return warning(f"Redis {facts.version} answers; BullMQ advises 6.2 or later.")
    if facts.persistent is False:
        return warning(
            f"Redis {facts.version} forgets its jobs when it restarts, until they are published again from the "
            "database: set appendonly yes."
        )
    kept = "persistent" if facts.persistent else "whether it is persistent it does not tell"
    return ok(f"Redis {facts.version}, noeviction, {kept}")


async def local() -> CheckResult:
    return ok("REDIS_URL is unset: jobs and leases of this machine alone")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
