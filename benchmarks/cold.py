"""First requests for distinct variants, four at a time: Darkroom against IPX and thumbor, as servers."""

import asyncio
import random
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks import corpus, servers, tools
from benchmarks.corpus import Picture
from benchmarks.load import Load, fire
from benchmarks.report import say, table
from benchmarks.servers import Originals, Server, Variant
from benchmarks.tools import SIDES
from proxy.model import Format
from proxy.settings import Quality

AT_ONCE = 4


def main(*, rounds: int, quick: bool) -> None:
    pictures = corpus.pictures(quick=quick)
    photographs = [picture for picture in pictures if picture.group.startswith("JPEG")]
    mixes = (
        ("JPEG sources to JPEG and WebP", photographs, list(product(SIDES, (Format.JPG, Format.WEBP)))),
        ("all sources to JPEG and WebP", pictures, list(product(SIDES, (Format.JPG, Format.WEBP)))),
        ("all sources to PNG", pictures, list(product(SIDES, (Format.PNG,)))),
        ("all sources to AVIF, 400 px", pictures, [(400, Format.AVIF)]),
    )
    sharp = tools.sharp_with_equal_avif(quick=quick)
    avif = sharp.quality[Format.AVIF] if sharp else Quality().avif
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=corpus.FOLDER)))
        originals = Originals(folder / "originals")
        running = [
            stack.enter_context(server)
            for server in (
                servers.darkroom(folder, originals),
                servers.ipx(folder, originals, avif),
                servers.thumbor(folder, originals, Quality().avif, processes=2),
            )
            if server
        ]
        rows = [row for mix in mixes for row in compare(mix, running, originals, rounds)]
    table(
        f"Cold: distinct variants, {AT_ONCE} at a time",
        ("load", "server", "requests", "requests/s", "of IPX's", "p50 ms", "p99 ms"),
        rows,
    )


def compare(
    mix: tuple[str, Sequence[Picture], Sequence[tuple[int, Format]]],
    running: Iterable[Server],
    originals: Originals,
    rounds: int,
) -> list[tuple[object, ...]]:
    name, pictures, wanted = mix
    loads: dict[str, list[Load]] = {server.name: [] for server in running}
    for number in range(rounds):
        say(f"cold: {name}, round {number + 1}")
        variants = [Variant(originals.add(picture), *one) for picture in pictures for one in wanted]
        random.Random(number).shuffle(variants)
        for server in running:
            originals.send(server, (variant.original for variant in variants))
            loads[server.name].append(asyncio.run(fire(server.port, list(map(server.path, variants)), AT_ONCE)))
    speeds = {server: median(load.per_second for load in seen) for server, seen in loads.items()}
    together = {
        server: Load(speeds[server], [ms for load in seen for ms in load.took]) for server, seen in loads.items()
    }
    return [
        (
            name,
            server,
            len(load.took),
            load.per_second,
            load.per_second / speeds["IPX"] if "IPX" in speeds else "",
            load.p50,
            load.p99,
        )
        for server, load in together.items()
    ]
