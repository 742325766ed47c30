"""Interleaved runs, and tables."""

import sys
from collections.abc import Callable, Iterable
from statistics import median


def medians(rounds: int, *works: Callable[[], tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The median of each figure of each work, run in turn so that a drifting machine slows all alike."""
    runs = [[work() for work in works] for _ in range(rounds)]
    return [tuple(median(figures) for figures in zip(*seen, strict=True)) for seen in zip(*runs, strict=True)]


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    columns = list(header)
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(figure, row))} |", flush=True)


def figure(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.0f}"


def versus(value: float, goal: float | None) -> str:
    """The value with its goal, which it is not to exceed; bold where it does."""
    if goal is None:
        return figure(value)
    return f"**{figure(value)}** of {figure(goal)}" if value > goal else f"{figure(value)} of {figure(goal)}"


def say(text: str) -> None:
    """What is not part of the tables."""
    print(text, file=sys.stderr, flush=True)
