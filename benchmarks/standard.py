"""What a warm-up of the standard variants saves against one of every size in every format: bytes, processor time."""

from itertools import product

from benchmarks import corpus, tools
from benchmarks.peers.darkroom import LIMITS
from benchmarks.peers.worker import Worker
from benchmarks.report import medians, say, table
from benchmarks.tools import SIDES
from proxy.imaging.inspect import inspect
from proxy.model import Fit, Format, Size, Sizes

EVERY = list(product(SIDES, Format))
SIZES = Sizes(*(Size(f"s{side}", side, side, Fit.COVER) for side in SIDES))


def main(*, rounds: int, quick: bool) -> None:
    ours = tools.ours()
    rows = []
    totals = [0.0] * 5
    with Worker(ours.command) as one, Worker(ours.command) as other:
        for picture in corpus.pictures(quick=quick):
            say(f"standard variants of {picture.group} {picture.name}")
            alpha = inspect(picture.path, LIMITS).alpha
            chosen = [(variant.width or 0, variant.format) for variant in SIZES.standard(alpha)]
            every, standard = ours.request(picture, *EVERY), ours.request(picture, *chosen)
            sizes = dict(zip(EVERY, one.ask(**every)["sizes"], strict=True))
            (_, before), (_, after) = medians(rounds, one.timed(**every), other.timed(**standard))
            unused = Format.JPG if alpha else Format.PNG
            stored = [sum(sizes.values()), sum(sizes[variant] for variant in chosen)]
            left_out = sum(sizes[side, unused] for side in SIDES)
            rows.append((f"{picture.group} {picture.name}", unused, *figures(*stored, left_out, before, after)))
            totals = [sum(pair) for pair in zip(totals, (*stored, left_out, before, after), strict=True)]
    rows.append(("all", "", *figures(*totals)))
    table(
        "Warm-up of the standard variants, against every size in every format",
        ("source", "left out", "KiB, every", "KiB", "share left out", "CPU ms, every", "CPU ms", "CPU time"),
        rows,
    )


def figures(every: float, standard: float, left_out: float, before: float, after: float) -> tuple[object, ...]:
    return every / 1024, standard / 1024, f"{left_out / every:.0%}", before, after, after / before
