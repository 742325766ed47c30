"""64 concurrent requests for the same cold variant."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks import corpus, servers
from benchmarks.load import fire
from benchmarks.report import say, table
from benchmarks.servers import Originals, Server, Variant
from proxy.model import Format
from proxy.settings import Quality

HERD = 64


def main(**_: object) -> None:
    picture = next((one for one in corpus.pictures(quick=True) if one.group == "JPEG"), None)
    if picture is None:
        say("herd: skipped, its picture is missing")
        return
    rows = []
    with tempfile.TemporaryDirectory(dir=corpus.FOLDER) as temporary:
        folder = Path(temporary)
        originals = Originals(folder / "originals")
        for server in (
            servers.darkroom(folder, originals),
            servers.ipx(folder, originals, Quality().avif),
            servers.thumbor(folder, originals, Quality().avif, processes=2),
        ):
            if server:
                say(f"herd: {server.name}")
                first, *others = (Variant(originals.add(picture), 800, Format.WEBP) for _ in range(9))
                with server:
                    originals.send(server, [first.original, *(one.original for one in others)])
                    rows.append(measure(server, first, others))
    table(
        f"{HERD} at once for one cold variant ({picture.group} {picture.name} to 800 px WebP)",
        ("server", "derivations", "until all are served, ms", "peak MiB, all processes"),
        rows,
    )


def measure(server: Server, crowded: Variant, singles: list[Variant]) -> tuple[object, ...]:
    """Computes the number of derivations: processor time, divided by that of a single derivation."""
    asyncio.run(fire(server.port, [server.path(singles[0])], 1))  # warms the server up
    start = server.cpu()
    asyncio.run(fire(server.port, list(map(server.path, singles[1:])), 1))
    single = (server.cpu() - start) / len(singles[1:])
    start = server.cpu()
    load = asyncio.run(fire(server.port, [server.path(crowded)] * HERD, HERD))
    return server.name, (server.cpu() - start) / single, max(load.took), server.peak()
