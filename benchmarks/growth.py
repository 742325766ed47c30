"""What grows with the number of uploads: the catalogue's queries, and the commands that look at every upload."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import synthetic
from benchmarks.growth_command import COMMANDS
from benchmarks.report import say, table
from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.records import JobStatus
from tests.postgres import PostgresServer

SIZES = (10_000, 100_000)
MILLION = 1_000_000
DEADLINE = 600.0  # seconds of a query: also the ones that a server would give up on are measured


def main(*, rounds: int, quick: bool, million: bool = False) -> None:
    sizes = SIZES[:1] if quick else (*SIZES, MILLION) if million else SIZES
    for name, create in (("SQLite", sqlite), ("Postgres", postgres)):
        queries: dict[str, list[object]] = {}
        commands: dict[str, list[object]] = {}
        for count in sizes:
            with tempfile.TemporaryDirectory() as folder, create(Path(folder)) as url:
                say(f"growth: {count} uploads in {name}")
                asyncio.run(synthetic.fill(url, count))
                for query, milliseconds in asyncio.run(measure(url, count, rounds)).items():
                    queries.setdefault(query, []).append(milliseconds)
                for command in COMMANDS:
                    commands.setdefault(command, []).append(run(command, count, folder, url))
        titles = [f"{count:,}" for count in sizes]
        table(f"{name}, ms by number of uploads", ("", *titles), ([key, *row] for key, row in queries.items()))
        table(
            f"{name}: CPU ms for each upload / MiB above the start / s, by number of uploads",
            ("", *titles),
            ([key, *row] for key, row in commands.items()),
        )


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite+aiosqlite:///{folder}/darkroom.db"


@contextmanager
def postgres(_folder: Path) -> Iterator[str]:
    server = PostgresServer()
    server.start()
    try:
        yield server.create_database()
    finally:
        server.stop()


async def measure(url: str, count: int, rounds: int) -> dict[str, float]:
    """Milliseconds of each query: the median of the rounds after one that fills caches."""
    database = Database(url, deadline=DEADLINE)
    repository = JobRepository(database)
    last = synthetic.cursor_after(count, count * 99 // 100)
    queries: dict[str, Callable[[], Awaitable[object]]] = {
        "list, first page": lambda: repository.newest(20),
        "list, page at 99 %": lambda: repository.newest(20, last),
        "`/metrics`: jobs": lambda: _metrics(repository),
        "reconciler": lambda: _stalled(repository),
        "next job": repository.next_pending,
    }
    try:
        return {name: await _median_ms(work, rounds) for name, work in queries.items()}
    finally:
        await database.close()


async def _metrics(repository: JobRepository) -> None:
    await repository.count()
    await repository.oldest_pending()


async def _stalled(repository: JobRepository) -> None:
    for status in (JobStatus.PROCESSING, JobStatus.PENDING):
        await repository.find_stalled(status)


async def _median_ms(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        await work()
        taken.append(1000 * (time.perf_counter() - start))
    return median(taken[1:])


def run(command: str, count: int, folder: str, url: str) -> str:
    arguments = [sys.executable, "-m", "benchmarks.growth_command", command, str(count), folder, url]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])  # after what was logged
    return f"{1000 * measured['cpu'] / count:.3f} / {measured['mib']:.0f} / {measured['seconds']:.1f}"
