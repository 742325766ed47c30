"""Redis as managed servers offer it: with TLS and a password, for every adapter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.ingest_errors import QueueUnavailable
from ingest.jobs.queue import bullmq_queue
from ingest.jobs.queue.bullmq_queue import BullmqQueue
from ingest.jobs.queue.redis_info import redis_facts
from proxy.model import new_upload_id
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.variants import redis_derivation_failures
from proxy.variants.derivation_pauses import DerivationFailures
from proxy.variants.invalidation.invalidation_bus import Invalidation
from proxy.variants.invalidation.redis_bus import RedisInvalidationBus
from proxy.variants.leases.redis_leases import RedisLeaseStore
from proxy.variants.redis_derivation_failures import RedisFailures
from tests.certificates import make_certificate
from tests.conftest import need
from tests.contracts.queue_harness import QueueHarness, installation_id
from tests.contracts.test_invalidation_bus import subscribed
from tests.programs import find
from tests.redis_server import RedisServer
from tests.waiting import GUARD


class RedisWithTls(RedisServer):
    def __init__(self, certificate: Path) -> None:
        super().__init__(
            requirepass="secret", tls_cert_file=str(certificate), tls_key_file=str(certificate), tls_auth_clients="no"
        )
        self._options |= {"port": "0", "tls-port": str(self._port)}
        self.url = f"rediss://:secret@localhost:{self._port}/0?ssl_ca_certs={certificate}"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisWithTls]:
    need(find("redis-server"), "redis-server")
    with RedisWithTls(make_certificate(tmp_path / "localhost.pem", "localhost")) as server:
        yield server


async def test_every_adapter_works_with_tls_and_a_password(
    redis: RedisWithTls, sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_derivation_failures, "_ANSWER_SECONDS", GUARD)
    monkeypatch.setattr(bullmq_queue, "_PUBLISH_TIMEOUT", GUARD)
    assert Settings(redis_url=redis.url).redis_url
    assert (await redis_facts(redis.url)).policy == "noeviction"

    repository = JobRepository(sqlite)
    queue = BullmqQueue(redis.url, installation_id=installation_id)
    harness = QueueHarness(queue, repository)
    async with harness.open():
        await harness.do_one()
    await queue.close()

    leases = RedisLeaseStore(redis.url, Metrics(), answer_seconds=GUARD)
    async with leases.hold("key") as first, leases.hold("key", wait=False) as second:
        assert (first, second) == (True, False)
    await leases.close()

    failures = RedisFailures(redis.url)
    await failures.put("a", DerivationFailures(3, 1_900_000_000))
    assert await failures.get(["a"]) == [DerivationFailures(3, 1_900_000_000)]
    await failures.close()

    bus = RedisInvalidationBus(redis.url)
    async with subscribed(bus) as subscriber:
        await bus.publish(invalidation := Invalidation(new_upload_id()))
        assert await subscriber.next() == invalidation


async def test_certificate_is_verified(redis: RedisWithTls) -> None:
    with pytest.raises(QueueUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await redis_facts(redis.url.partition("?")[0])
