"""Runs the compared works in turn, and formats their figures as Markdown tables."""

import sys
from collections.abc import Callable, Iterable
from statistics import median


def medians(rounds: int, *works: Callable[[], tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Returns the median of each figure of each work. Runs them in turn, so that a slower machine affects all."""
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
    """Returns the value with its goal, bold if it exceeds the goal."""
    if goal is None:
        return figure(value)
    return f"**{figure(value)}** of {figure(goal)}" if value > goal else f"{figure(value)} of {figure(goal)}"


def say(text: str) -> None:
    """Prints a message that is not part of the tables."""
    print(text, file=sys.stderr, flush=True)
