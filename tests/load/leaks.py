"""The resources of an idle server: descriptors (and so connections), threads, tasks, files, work,
memory. Linux only.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from tests.service import Service
from tests.watch import open_descriptors, resident


@dataclass(frozen=True)
class Holdings:
    """Of the server process itself; `memory` in bytes."""

    descriptors: int
    threads: int
    tasks: float
    files: list[str]
    in_hand: float
    memory: int


def holdings(service: Service) -> Holdings:
    process = Path(f"/proc/{service.pid}")
    temporary = service.folder / "data" / "tmp"
    gauges = ("darkroom_write_back_queue", "darkroom_render_waiting", "darkroom_event_streams")
    busy = service.metric("darkroom_render_processes", state="busy")
    return Holdings(
        open_descriptors(service.pid),
        len(list((process / "task").iterdir())),
        service.metric("darkroom_tasks"),
        sorted(path.name for path in temporary.iterdir()) if temporary.exists() else [],
        busy + sum(service.metric(name) for name in gauges),
        resident(service.pid),
    )


def at_rest(service: Service, patience: float = 30) -> Holdings:
    """Measures when no request is running; idle keep-alive connections may still be open."""
    deadline = time.monotonic() + patience
    while (now := holdings(service)).in_hand or now.files:
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
    return now
