"""Every size and format of one original: Darkroom's one decode, as in a warm-up, against sharp's."""

from itertools import product

from benchmarks import corpus, tools
from benchmarks.goals import ALL_VARIANTS
from benchmarks.peers.worker import Worker
from benchmarks.report import medians, say, table, versus
from benchmarks.tools import SIDES
from proxy.model import Format

NINE = (Format.JPG, Format.PNG, Format.WEBP)


def main(*, rounds: int, quick: bool) -> None:
    ours, sharp = tools.ours(), tools.sharp_with_equal_avif(quick=quick)
    if sharp is None:
        say("together: skipped, it compares with sharp at equal AVIF scores")
        return
    rows = []
    with Worker(ours.command) as one, Worker(sharp.command) as other:
        for picture in corpus.pictures(quick=quick):
            say(f"all of {picture.group} {picture.name}")
            row: list[object] = [f"{picture.group} {picture.name}"]
            for formats in (NINE, tuple(Format)):
                variants = list(product(SIDES, formats))
                (mine, _), (theirs, _) = medians(
                    rounds,
                    one.timed(**ours.request(picture, *variants)),
                    other.timed(**sharp.request(picture, *variants)),
                )
                row += [mine, theirs, versus(mine / theirs, ALL_VARIANTS)]
            rows.append(row)
    table(
        "Every size and format of one original, decoded once",
        ("source", "nine, ms", "sharp, ms", "time", "with AVIF, ms", "sharp, ms", "time"),
        rows,
    )
