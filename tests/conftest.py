"""Fixtures that several suites share: servers, started once per session and only if a test needs them; requirements."""

import asyncio
import gc
import itertools
import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from ingest.catalog.database import Database
from tests.postgres import PostgresServer, postgres_program
from tests.programs import missing_packages
from tests.redis_server import RedisServer
from tests.seaweedfs import WEED, SeaweedServer

SERVERS = [Path(__file__).parent / name for name in ("browser", "faults", "hostile", "integration", "load", "soak")]
"""Folders of tests that wait for other processes."""

BROWSER = "tests/browser/"

# Examples of each property; `--hypothesis-profile` selects a profile. Machines are shared, so examples have no
# deadline. Examples of one test share its folder.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.register_profile("quick", _ANY_SPEED, max_examples=20)
settings.register_profile("ci", _ANY_SPEED, max_examples=50)
settings.register_profile("long", _ANY_SPEED, max_examples=5000)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "quick")  # noqa: TID251 - CI's variable, not a setting of Darkroom

# Rich, which structlog takes where it is installed, needs a second for the traceback of one error.
# This is the renderer of structlog's defaults, so it is still plain after `reset_defaults`.
structlog.get_config()["processors"][-1].exception_formatter = structlog.dev.plain_traceback


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Collects tests, a million objects that live to the end, without examining them again and again: this takes a
    third off collection and a seventh off tests in process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Scheduling(LoadFileScheduling):
    """A process that runs tests gets a file at a time, or all files of the browser, which starts once for them."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders files: two that compute after each one of servers, which waits most of its time. So the processes that
    run tests side by side use all processors from the beginning to the end.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting: list[list[pytest.Item]] = []
    computing: list[list[pytest.Item]] = []
    for path, tests in files.items():
        (waiting if any(path.is_relative_to(folder) for folder in SERVERS) else computing).append(tests)
    ordered = [file for pair in zip(waiting, computing[::2], computing[1::2], strict=False) for file in pair]
    taken = len(ordered) // 3
    items[:] = itertools.chain(*ordered, *waiting[taken:], *computing[2 * taken :])


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands that run in the process of a test write their log to a stream that ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedServer]:
    if not WEED.exists():
        missing("needs SeaweedFS, which is in the dependency group ci: make setup-ci")
    with SeaweedServer() as server:
        yield server


def missing(reason: str) -> NoReturn:
    """`.ci/run` installs all programs, so a missing one is an error there. `make test` skips its tests."""
    if os.environ.get("CI") == "true":  # noqa: TID251 - CI's variable, not a setting of Darkroom
        pytest.fail(reason)
    pytest.skip(reason)


def need(program: str | None, package: str) -> None:
    if program is None:
        missing(f"needs a program that is not installed: apt-get install {package}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if packages := missing_packages():
        terminalreporter.write_line(
            f"Skipped tests of programs that are not installed: apt-get install {' '.join(packages)}", yellow=True
        )


def ci_module(name: str) -> Any:
    """Imports a package of the dependency group `ci` when a test needs it; it may be missing elsewhere."""
    try:
        return import_module(name)
    except ImportError:
        missing(f"needs {name}, which is not installed: make setup-ci")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite catalogue. Tests copy it, because migrating takes ten times as long."""
    path = tmp_path_factory.mktemp("migrated") / "catalog.db"

    async def migrate() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await database.migrate()
        await database.close()  # writes everything to the one file

    asyncio.run(migrate())
    return path


def reads(file: str) -> pytest.MarkDecorator:
    """For tests that read memory, limits or environments from /proc, which only Linux has."""
    return pytest.mark.skipif(not Path(file).exists(), reason=f"reads {file}, which is not there")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    need(shutil.which("redis-server"), "redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    """A running and empty server, whatever the previous test did."""
    redis_server.refresh()
    return redis_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    need(postgres_program("initdb"), "postgresql")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    """A running server, whatever the previous test did."""
    postgres_server.resume()
    postgres_server.start()
    return postgres_server


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause before a retry, in order. The pauses take no time and are not randomised."""
    seconds: list[float] = []

    async def sleep(pause: float, _stopping: asyncio.Event) -> None:
        seconds.append(pause)

    monkeypatch.setattr("proxy.retries.sleep", sleep)
    monkeypatch.setattr("proxy.retries.random.uniform", lambda low, high: (low + high) / 2)
    return seconds
