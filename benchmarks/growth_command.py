"""One measurement of `growth`, in a process of its own: prints processor seconds, seconds and memory as JSON."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import proxy.services
from benchmarks.synthetic import SyntheticStore
from ingest.maintenance import bulk_operations
from ingest.maintenance.gc_run import collect_garbage
from ingest.progress import Silent
from proxy.settings import Settings

COMMANDS: dict[str, Callable[[Settings], Awaitable[object]]] = {
    "gc --dry-run": lambda settings: collect_garbage(settings, dry_run=True, progress=Silent()),
    "refresh --dry-run": lambda settings: bulk_operations.find_stale(settings, Silent()),
    "warm --missing": lambda settings: bulk_operations.warm(settings, [], only_missing=True, progress=Silent()),
}


def main(command: str, count: str, folder: str, url: str) -> None:
    settings = Settings(data_dir=folder, database_url=url)
    store = SyntheticStore(int(count), settings)
    proxy.services.open_store = lambda *_: store  # the synthetic store, for any settings
    before = _peak_mib()
    cpu, start = time.process_time(), time.perf_counter()
    found = asyncio.run(COMMANDS[command](settings))
    print(
        json.dumps(
            {
                "cpu": time.process_time() - cpu,
                "seconds": time.perf_counter() - start,
                "mib": _peak_mib() - before,
                "found": repr(found)[:200],
            }
        )
    )


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
