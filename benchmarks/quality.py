"""Bytes at equal SSIMULACRA2, and bytes and scores with both tools' settings, against sharp, by kind of image.

Bytes at an equal score: sharp encodes a variant with several qualities, and the bytes that it needs for Darkroom's
score are interpolated between the two nearest, linearly in the score and in the logarithm of the bytes. Where
Darkroom's score is beyond sharp's range, the end of the range counts. PNG has no quality: bytes as they are.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from pathlib import Path
from statistics import geometric_mean, mean

from benchmarks import kinds, tools
from benchmarks.corpus import Picture
from benchmarks.goals import equal_bytes
from benchmarks.judge import Judge
from benchmarks.peers import install
from benchmarks.peers.worker import Worker
from benchmarks.report import say, table, versus
from benchmarks.tools import Tool
from proxy.model import Format

QUALITIES = (40, 60, 75, 92, 98)
"""Of sharp, besides the specification's 85."""


@dataclass(frozen=True, slots=True)
class Encoded:
    size: int
    score: float


@dataclass(frozen=True, slots=True)
class Case:
    """A variant to make; `file` is where it is kept for the judge."""

    judge: Judge
    picture: Picture
    side: int
    format: Format
    file: Path

    def encoded(self, tool: Tool, worker: Worker) -> Encoded:
        answer = worker.ask(**tool.request(self.picture, (self.side, self.format)), save=str(self.file))
        files = {self.format: self.file}
        return Encoded(
            answer["sizes"][0], self.judge.scores(self.picture.path, tool.geometry, self.side, files)[self.format]
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """One variant. `equal`: bytes that sharp needs for Darkroom's score."""

    kind: str
    format: Format
    ours: Encoded
    sharp: Encoded
    equal: float


def main(*, rounds: int, quick: bool) -> None:
    del rounds  # nothing is timed
    sharp, python = tools.sharp_with_equal_avif(quick=quick), install.python("tools")
    if sharp is None or python is None:
        say("quality: skipped, it compares with sharp and scores with SSIMULACRA2")
        return
    with Judge(python) as judge:
        print_summary(compared(tools.ours(), sharp, judge, quick=quick))


def compared(ours: Tool, sharp: Tool, judge: Judge, *, quick: bool) -> Iterator[Compared]:
    cases = product(kinds.pictures(quick=quick), (400,) if quick else (400, 800), Format)
    with Worker(ours.command) as one, Worker(sharp.command) as other, tempfile.TemporaryDirectory() as folder:
        for picture, side, format in cases:
            say(f"{picture.group} {picture.name}, {side} {format}")
            case = Case(judge, picture, side, format, Path(folder, f"variant.{format}"))
            mine, theirs = case.encoded(ours, one), case.encoded(sharp, other)
            qualities = () if format is Format.PNG else QUALITIES
            others = [case.encoded(replace(sharp, quality={format: each}), other) for each in qualities]
            yield Compared(picture.group, format, mine, theirs, bytes_at(mine.score, [theirs, *others]))


def bytes_at(score: float, tried: Sequence[Encoded]) -> float:
    """Returns the bytes that `score` takes, by the two of `tried` around it, or the nearest if all are on one side."""
    below = max((one for one in tried if one.score <= score), key=lambda one: one.score, default=None)
    above = min((one for one in tried if one.score > score), key=lambda one: one.score, default=None)
    if below is None or above is None:
        return float((below or above or tried[0]).size)
    share = (score - below.score) / (above.score - below.score)
    return float(below.size ** (1 - share) * above.size**share)


def print_summary(all_compared: Iterable[Compared]) -> None:
    rows = []
    for (kind, format), alike in groupby(sorted(all_compared, key=_group), _group):
        ones = list(alike)
        at_equal_score = geometric_mean(one.ours.size / one.equal for one in ones)
        rows.append(
            (
                f"{kind} to {format}",
                versus(at_equal_score, equal_bytes(kind, format)),
                geometric_mean(one.ours.size / one.sharp.size for one in ones),
                _scores(mean, ones),
                _scores(min, ones),
            )
        )
    table(
        "Against sharp by kind of image: geometric means of ratios; scores ours / sharp's",
        ("", "bytes at equal score", "bytes", "mean score", "worst score"),
        rows,
    )


def _scores(summary: Callable[[Iterable[float]], float], ones: Sequence[Compared]) -> str:
    """Bold if Darkroom's is lower by more than half a point, which no eye sees."""
    ours, sharp = summary(one.ours.score for one in ones), summary(one.sharp.score for one in ones)
    mine = f"{ours:.1f}"
    return f"**{mine}** / {sharp:.1f}" if ours < sharp - 0.5 else f"{mine} / {sharp:.1f}"


def _group(one: Compared) -> tuple[str, Format]:
    return one.kind, one.format
