"""The doctor's check of the job queue: version, eviction and persistence of Redis."""

from typing import TYPE_CHECKING

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning

if TYPE_CHECKING:  # the module imports the Redis client, which many installations do not need
    from ingest.jobs.queue.redis_info import RedisFacts

_MIN_VERSION, _ADVISED = (5, 0), (6, 2)  # from BullMQ's documentation


def judge_redis(facts: "RedisFacts") -> CheckResult:
    """Returns what is wrong with a Redis for BullMQ and leases; warnings are about old versions and lost jobs."""
    version = _version(facts.version)
    if facts.is_cluster:
        return failed("Redis Cluster cannot hold the queue: name one Redis server in REDIS_URL; it may have replicas.")
    if version < _MIN_VERSION:
        return failed(f"Redis {facts.version} is too old: BullMQ needs 5.0 and recommends 6.2 or later. Upgrade it.")
    if facts.policy != "noeviction":
        return failed(
            f"Redis may evict jobs and leases (maxmemory-policy is {facts.policy or 'unknown'}): "
            "set maxmemory-policy noeviction."
        )
    if version < _ADVISED:
        return warning(f"Redis {facts.version} answers; BullMQ recommends 6.2 or later.")
    if facts.persistent is False:
        return warning(
            f"Redis {facts.version} loses its jobs on a restart, until they are republished from the database: set "
            "appendonly yes."
        )
    kept = "persistent" if facts.persistent else "persistence unknown"
    return ok(f"Redis {facts.version}, noeviction, {kept}")


async def local() -> CheckResult:
    """The result without Redis, for which there is nothing to check."""
    return ok("REDIS_URL is unset: jobs and leases are shared on this machine only")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
