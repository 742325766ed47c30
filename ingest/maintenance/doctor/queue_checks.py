"""The doctor's checks of the job queue: version, eviction and persistence of Redis, and other installations in it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

from ingest.installation import Installation
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from proxy.errors import Unavailable

if TYPE_CHECKING:  # the module imports the Redis client, which many installations do not need
    from ingest.jobs.queue.redis_info import RedisFacts

_MIN_VERSION, _ADVISED = (5, 0), (6, 2)  # from BullMQ's documentation
_ID = 36  # characters of an installation id


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


async def sharing(owners: Callable[[], Awaitable[frozenset[str]]], installation: Installation) -> CheckResult:
    """Checks that no other installation uses the queue. `owners`: the ids that its jobs name. Raises QueueUnavailable.

    Skipped if database or object store cannot be read.
    """
    named = await owners()
    try:
        ids = await installation.read()
    except Unavailable:
        return skipped("the database or the object store cannot be read yet")
    others = sorted(named - {ids.database, ids.store})
    if not others:
        return ok("all jobs are of this installation")
    more = f" and {len(others) - 1} others" if len(others) > 1 else ""
    return warning(
        f"Installation {_shown(others[0])}{more} put jobs into this queue today: the jobs of each wait for those of "
        "the others. Set QUEUE_PREFIX to a different name in each installation, and restart its servers and workers. "
        "After `darkroom rebind`, wait a day."
    )


async def local() -> CheckResult:
    """The result without Redis, for which there is nothing to check."""
    return ok("REDIS_URL is unset: jobs and leases are shared on this machine only")


def _shown(owner: str) -> str:
    """Formats an installation id for people. Jobs of other producers may name anything, which is quoted and cut off."""
    try:
        return str(UUID(owner))
    except ValueError:
        return repr(owner[:_ID])


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
