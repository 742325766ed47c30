"""Redis for jobs and leases: reads its facts, and judges them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ingest.ingest_errors import CatalogUnavailable, QueueUnavailable
from ingest.installation import Installation, InstallationIds
from ingest.jobs.queue.redis_info import RedisFacts, redis_clock, redis_facts
from ingest.maintenance.doctor.findings import Verdict
from ingest.maintenance.doctor.queue_checks import judge_redis, sharing
from tests.redis_server import RedisServer

THEIRS = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
UNREACHABLE = "redis://127.0.0.1:9/0"


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (RedisFacts("7.2.4", "noeviction", True), Verdict.OK, "Redis 7.2.4, noeviction, persistent"),
        (RedisFacts("7.2.4", "noeviction", None), Verdict.OK, "persistence unknown"),
        (RedisFacts("6.2.0", "noeviction", True), Verdict.OK, "6.2.0"),
        (RedisFacts("10.0.1", "noeviction", True), Verdict.OK, "10.0.1"),
        (RedisFacts("7.2.4", "noeviction", False), Verdict.WARNING, "set appendonly yes"),
        (RedisFacts("6.0.16", "noeviction", True), Verdict.WARNING, "6.2 or later"),
        (RedisFacts("7.2.4", "allkeys-lru", True), Verdict.FAILED, "set maxmemory-policy noeviction"),
        (RedisFacts("7.2.4", "volatile-ttl", False), Verdict.FAILED, "volatile-ttl"),
        (RedisFacts("4.0.14", "noeviction", True), Verdict.FAILED, "too old"),
        (RedisFacts("7.2.4", "noeviction", True, is_cluster=True), Verdict.FAILED, "Redis Cluster"),
    ],
)
def test_judge_redis_returns_verdict_and_advice(facts: RedisFacts, verdict: Verdict, words: str) -> None:
    judged = judge_redis(facts)

    assert judged.verdict is verdict
    assert words in judged.remark


@pytest.fixture
def configured(redis: RedisServer) -> Iterator[RedisServer]:
    """A server whose configuration the test may change."""
    yield redis
    with redis.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "no")
        client.config_set("save", "")


async def test_redis_facts_reads_version_policy_and_persistence(configured: RedisServer) -> None:
    with configured.client() as client:
        version = client.info()["redis_version"]

        assert await redis_facts(configured.url) == RedisFacts(version, "noeviction", persistent=False)
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("save", "3600 1")
        assert await redis_facts(configured.url) == RedisFacts(version, "allkeys-lru", persistent=True)
        client.config_set("save", "")
        client.config_set("appendonly", "yes")
        assert (await redis_facts(configured.url)).persistent is True


async def test_redis_facts_without_config_permission_leaves_persistence_unknown(configured: RedisServer) -> None:
    """Managed servers forbid CONFIG."""
    with configured.client() as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "+@all", "-config", "~*")
        try:
            facts = await redis_facts(configured.url.replace("redis://", "redis://guest:secret@"))
        finally:
            client.execute_command("ACL", "DELUSER", "guest")

    assert facts.persistent is None


async def test_redis_clock_returns_current_time(configured: RedisServer) -> None:
    before = datetime.now(UTC)

    there = await redis_clock(configured.url)

    assert before - timedelta(milliseconds=1) <= there <= datetime.now(UTC) + timedelta(milliseconds=1)


@pytest.mark.parametrize("ask", [redis_facts, redis_clock])
async def test_unavailable_redis_error_names_redis_url(ask: object) -> None:
    with pytest.raises(QueueUnavailable, match="REDIS_URL"):
        await ask(UNREACHABLE)


@pytest.mark.parametrize("login", ["", ":wrong@", "guest:wrong@"])
async def test_wrong_password_is_reported_without_the_password(configured: RedisServer, login: str) -> None:
    with configured.client() as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "+@all", "~*")
        client.config_set("requirepass", "secret")
        try:
            with pytest.raises(QueueUnavailable, match=r"^Redis refuses the user or the password\.") as caught:
                await redis_facts(configured.url.replace("redis://", f"redis://{login}"))
        finally:
            client.config_set("requirepass", "")
            client.execute_command("ACL", "DELUSER", "guest")
    assert "wrong" not in str(caught.value)


class Ids(Installation):
    """An installation that was read already."""

    def __init__(self, database: str | None, store: str | None = None) -> None:
        self._ids = InstallationIds(database, store or database)

    async def read(self) -> InstallationIds:
        return self._ids


class Unreadable(Ids):
    async def read(self) -> InstallationIds:
        raise CatalogUnavailable


@pytest.mark.parametrize(
    ("named", "installation", "verdict", "words"),
    [
        (set(), Ids("ours"), Verdict.OK, "all jobs are of this installation"),
        ({"ours"}, Ids("ours"), Verdict.OK, "all jobs are of this installation"),
        ({"ours"}, Ids("restored", "ours"), Verdict.OK, "all jobs are of this installation"),
        ({"ours", "theirs"}, Ids("ours"), Verdict.WARNING, "Installation 'theirs' put jobs into this queue today"),
        ({"b", "a", "c"}, Ids("ours"), Verdict.WARNING, "Installation 'a' and 2 others put"),
        ({"x" * 1000}, Ids("ours"), Verdict.WARNING, f"Installation '{'x' * 36}' put"),
        ({"\x1b[2J\n"}, Ids("ours"), Verdict.WARNING, r"Installation '\x1b[2J\n' put"),
        ({THEIRS}, Ids("ours"), Verdict.WARNING, f"Installation {THEIRS} put"),
        ({"theirs"}, Ids(None), Verdict.WARNING, "Set QUEUE_PREFIX to a different name in each installation"),
        ({"theirs"}, Unreadable(None), Verdict.SKIPPED, "cannot be read yet"),
    ],
)
async def test_jobs_of_other_installations_are_a_warning(
    named: set[str], installation: Installation, verdict: Verdict, words: str
) -> None:
    async def owners() -> frozenset[str]:
        return frozenset(named)

    judged = await sharing(owners, installation)

    assert judged.verdict is verdict
    assert words in judged.remark
