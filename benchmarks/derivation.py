"""Each input, size and format against sharp: time, bytes, quality and peak memory.

Both run alternately, in one long-lived process each, with one thread. Peak memory is that of a fresh process.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from statistics import geometric_mean, mean

from benchmarks import corpus, tools
from benchmarks.corpus import Picture
from benchmarks.goals import BYTES, MOST_SECONDS, TIME
from benchmarks.judge import Judge
from benchmarks.peers import install
from benchmarks.peers.worker import Worker
from benchmarks.report import medians, say, table, versus
from benchmarks.tools import SIDES, Tool
from proxy.model import Format


@dataclass(frozen=True, slots=True)
class Measured:
    """One tool's variant. Times are milliseconds, `peak` MiB."""

    ms: float
    cpu: float
    size: int
    peak: float
    score: float


@dataclass(frozen=True, slots=True)
class Cell:
    picture: Picture
    side: int
    format: Format
    ours: Measured
    sharp: Measured


def main(*, rounds: int, quick: bool) -> None:
    ours, sharp, python = tools.ours(), tools.sharp_with_equal_avif(quick=quick), install.python("tools")
    if sharp is None or python is None:
        say("derivation: skipped, it compares with sharp and scores with SSIMULACRA2")
        return
    sides = SIDES[::2] if quick else SIDES
    with tempfile.TemporaryDirectory() as folder, Judge(python) as judge:
        cases = product(corpus.pictures(quick=quick), sides)
        cells = list(measure(ours, sharp, judge, cases, rounds=rounds, folder=Path(folder)))
    print_summary(cells, sides)
    print_cells(cells)


def measure(
    ours: Tool, sharp: Tool, judge: Judge, cases: Iterable[tuple[Picture, int]], *, rounds: int, folder: Path
) -> Iterator[Cell]:
    pair = (ours, sharp)
    with Worker(ours.command) as one, Worker(sharp.command) as other:
        for picture, side in cases:
            say(f"{picture.group} {picture.name}, {side}")
            files = {tool.name: {format: folder / f"{tool.name}.{format}" for format in Format} for tool in pair}
            found = {}
            for format in Format:
                firsts = [tool.first(picture, side, format, files[tool.name][format]) for tool in pair]
                works = [
                    worker.timed(**tool.request(picture, (side, format)))
                    for worker, tool in zip((one, other), pair, strict=True)
                ]
                found[format] = list(zip(medians(rounds, *works), firsts, strict=True))
            scores = [judge.scores(picture.path, tool.geometry, side, files[tool.name]) for tool in pair]
            for format in Format:
                measured = [
                    Measured(*times, *first, score[format])
                    for (times, first), score in zip(found[format], scores, strict=True)
                ]
                yield Cell(picture, side, format, *measured)


def print_summary(cells: Iterable[Cell], sides: Sequence[int]) -> None:
    rows = []
    cells = sorted(cells, key=_kind)
    for (group, format), alike in groupby(cells, _kind):
        ones = list(alike)
        rows.append(
            (
                f"{group} to {format}",
                *(_time_ratio(one for one in ones if one.side == side) for side in sides),
                versus(_time_ratio(ones), TIME.get((group, format))),
                geometric_mean(one.ours.cpu / one.sharp.cpu for one in ones),
                versus(geometric_mean(one.ours.size / one.sharp.size for one in ones), BYTES[format]),
                f"{mean(one.ours.score for one in ones):.1f} / {mean(one.sharp.score for one in ones):.1f}",
                f"{min(one.ours.score for one in ones):.1f} / {min(one.sharp.score for one in ones):.1f}",
                f"{max(one.ours.peak for one in ones):.0f} / {max(one.sharp.peak for one in ones):.0f}",
            )
        )
    table(
        "Against sharp: geometric means of ratios; of scores and peak memory ours / sharp's",
        ("", *(f"time, {side}" for side in sides), "time", "CPU", "bytes", "mean score", "worst score", "most MiB"),
        rows,
    )
    slowest = max(cells, key=lambda one: one.ours.ms)
    print(
        f"\nSlowest with Darkroom: {slowest.ours.ms / 1000:.2f} s ({slowest.picture.group} {slowest.picture.name}, "
        f"{slowest.side} {slowest.format}; goal {MOST_SECONDS:.0f})."
    )


def print_cells(cells: Iterable[Cell]) -> None:
    table(
        "Each variant: ours / sharp's",
        ("source", "variant", "ms", "CPU ms", "KiB", "score", "peak MiB"),
        (
            (
                f"{one.picture.group} {one.picture.name}",
                f"{one.side} {one.format}",
                f"{one.ours.ms:.0f} / {one.sharp.ms:.0f}",
                f"{one.ours.cpu:.0f} / {one.sharp.cpu:.0f}",
                f"{one.ours.size / 1024:.1f} / {one.sharp.size / 1024:.1f}",
                f"{one.ours.score:.1f} / {one.sharp.score:.1f}",
                f"{one.ours.peak:.0f} / {one.sharp.peak:.0f}",
            )
            for one in cells
        ),
    )


def _time_ratio(cells: Iterable[Cell]) -> float:
    return geometric_mean(one.ours.ms / one.sharp.ms for one in cells)


def _kind(cell: Cell) -> tuple[str, Format]:
    return cell.picture.group, cell.format
