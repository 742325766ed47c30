"""What grows with the number of uploads: the catalogue's queries, and the commands that look at every upload."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import synthetic
from benchmarks.growth_command import COMMANDS
from benchmarks.report import say, table
from ingest.catalog.database import Database
from ingest.catalog.repository import JobRepository
from ingest.ingest_services import IngestServices, build_ingest_services
from ingest.records import JobStatus
from proxy.settings import Settings
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
                for query, cost in asyncio.run(measure(url, count, folder, rounds)).items():
                    queries.setdefault(query, []).append(cost)
                for command in COMMANDS:
                    commands.setdefault(command, []).append(run(command, count, folder, url))
        titles = [f"{count:,}" for count in sizes]
        table(
            f"{name}: ms / processor ms of this process, by number of uploads",
            ("", *titles),
            ([key, *row] for key, row in queries.items()),
        )
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
    with closing(PostgresServer()) as server:  # which removes its files: 3 GB for a million uploads
        server.start()
        yield server.create_database()


async def measure(url: str, count: int, folder: str, rounds: int) -> dict[str, str]:
    """The cost of each query: the medians of the rounds after one that fills caches."""
    ingest = build_ingest_services(Settings(data_dir=folder, database_url=url))
    database = Database(url, deadline=DEADLINE)
    repository = JobRepository(database)
    ingest = replace(ingest, database=database, repository=repository)
    last = synthetic.cursor_after(count, count * 99 // 100)
    queries: dict[str, Callable[[], Awaitable[object]]] = {
        "list, first page": lambda: repository.newest(20),
        "list, page at 99 %": lambda: repository.newest(20, last),
        "`/metrics`": lambda: _scrape(ingest),
        "reconciler": lambda: _stalled(repository),
        "next job": repository.next_pending,
    }
    try:
        return {name: await _median_cost(work, rounds) for name, work in queries.items()}
    finally:
        await database.close()


async def _scrape(ingest: IngestServices) -> None:
    await asyncio.gather(ingest.collect_jobs(), ingest.collect_queue())
    await ingest.proxy.metrics.exposition()


async def _stalled(repository: JobRepository) -> None:
    for status in (JobStatus.PROCESSING, JobStatus.PENDING):
        await repository.find_stalled(status)


async def _median_cost(work: Callable[[], Awaitable[object]], rounds: int) -> str:
    taken, cpu = [], []
    for _ in range(rounds + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        await work()
        taken.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - cpu_start))
    return f"{median(taken[1:]):.1f} / {median(cpu[1:]):.1f}"


def run(command: str, count: int, folder: str, url: str) -> str:
    arguments = [sys.executable, "-m", "benchmarks.growth_command", command, str(count), folder, url]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])  # after what was logged
    return f"{1000 * measured['cpu'] / count:.3f} / {measured['mib']:.0f} / {measured['seconds']:.1f}"
