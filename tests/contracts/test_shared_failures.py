"""Failures of derivations, shared over a real Redis that fails."""

import pytest

from proxy.variants import redis_derivation_failures
from proxy.variants.derivation_pauses import DerivationFailures
from proxy.variants.redis_derivation_failures import RedisFailures
from tests.redis_server import RedisServer
from tests.waiting import GUARD

ENTRY = DerivationFailures(3, 1_900_000_000)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry is unknown, as it should be, if Redis misses its deadline. On a busy machine that would fail tests."""
    monkeypatch.setattr(redis_derivation_failures, "_ANSWER_SECONDS", GUARD)


@pytest.mark.usefixtures("unhurried")
async def test_entries_are_shared_and_deleted(redis: RedisServer) -> None:
    one, other = RedisFailures(redis.url), RedisFailures(redis.url)
    await one.put("a", ENTRY)

    assert await other.get(["a", "b"]) == [ENTRY, None]
    await other.delete("a")
    assert await one.get(["a"]) == [None]
    await one.close()
    await other.close()


@pytest.mark.usefixtures("unhurried")
async def test_entries_expire(redis: RedisServer) -> None:
    failures = RedisFailures(redis.url)
    await failures.put("a", ENTRY)

    with redis.client() as client:
        [key] = client.keys("*")
        assert 3500 < client.ttl(key) <= 3600
    await failures.close()


@pytest.mark.usefixtures("unhurried")
async def test_malformed_entries_are_ignored(redis: RedisServer) -> None:
    failures = RedisFailures(redis.url)
    malformed = ["", "1", "x 5", "-1 5", "0 5", "1 2 3"]
    with redis.client() as client:
        for number, value in enumerate(malformed):
            client.set(f"darkroom:failures:{number}", value)

    assert await failures.get([str(number) for number in range(len(malformed))]) == [None] * len(malformed)
    await failures.close()


async def test_without_redis_nothing_is_known_and_nothing_raises(redis: RedisServer) -> None:
    failures = RedisFailures(redis.url)
    await failures.put("a", ENTRY)
    redis.pause()
    try:
        assert await failures.get(["a", "b"]) == [None, None]
        await failures.put("b", ENTRY)
        await failures.delete("a")
    finally:
        redis.resume()
    await failures.close()
