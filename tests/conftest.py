"""What several suites share: servers, started once for the session and only when a test asks."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.postgres import PostgresServer, postgres_program
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedServer]:
    with SeaweedServer() as server:
        yield server


def need(program: str | None, package: str) -> None:
    """`.ci/run` installs the programs, and there none may be missing; elsewhere `make test` does without them."""
    if program is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip  # noqa: TID251 - not a setting of ours
        give_up(f"needs a program that is not installed: apt-get install {package}")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    need(shutil.which("redis-server"), "redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    """Running and empty, whatever the test before has done to it."""
    redis_server.refresh()
    return redis_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    need(postgres_program("initdb"), "postgresql")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    """Running, whatever the test before has done to it."""
    postgres_server.resume()
    postgres_server.start()
    return postgres_server
