"""Interleaved timing, and tables."""

import time
from collections.abc import Callable, Iterable
from statistics import median


def interleaved(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Median milliseconds of each, run in turn so that a drifting machine slows all alike; one round is not counted."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, seen in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            if number:
                seen.append((time.perf_counter() - start) * 1000)
    return [median(seen) for seen in times]


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    columns = list(header)
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        cells = (
            f"{cell:.2f}"
            if isinstance(cell, float) and cell < 10
            else f"{cell:.0f}"
            if isinstance(cell, float)
            else str(cell)
            for cell in row
        )
        print(f"| {' | '.join(cells)} |", flush=True)
