"""The cost and gain of mozjpeg's lossless optimiser after our JPEG encoder."""

import tempfile
from pathlib import Path
from statistics import median

from benchmarks import corpus, tools
from benchmarks.peers import install
from benchmarks.peers.worker import Worker
from benchmarks.report import say, table
from benchmarks.tools import SIDES
from proxy.model import Format


def main(*, rounds: int, quick: bool) -> None:
    python, ours = install.python("tools"), tools.ours()
    if python is None:
        say("lossless: skipped")
        return
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Worker(ours.command) as derive,
        Worker([str(python), str(install.HERE / "mozjpeg.py")]) as optimize,
    ):
        file = Path(folder, "variant.jpg")
        for side in SIDES:
            before = after = 0
            took, added = [], []
            for picture in corpus.pictures(quick=quick):
                request = ours.request(picture, (side, Format.JPG))
                took.append(median(derive.ask(**request, save=str(file))["ms"] for _ in range(rounds)))
                answers = [optimize.ask(path=str(file)) for _ in range(rounds)]
                added.append(median(answer["ms"] for answer in answers))
                before += file.stat().st_size
                after += answers[0]["size"]
            rows.append((side, before / 1024, f"{1 - after / before:.1%}", median(took), median(added)))
    table(
        "mozjpeg's lossless optimiser after our JPEG encoder",
        ("side", "KiB in all", "bytes saved", "derivation, ms", "added, ms"),
        rows,
    )
