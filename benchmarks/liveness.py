"""Response times of a health check while every render process is busy."""

import asyncio
import tempfile
import time
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from benchmarks import corpus, servers
from benchmarks.load import Connection, Load, fire
from benchmarks.report import table
from benchmarks.servers import Originals, Server, Variant
from benchmarks.tools import SIDES
from proxy.model import Format

EVERY = 0.005  # seconds
IDLE = 2
PROBES = ("/livez", "/healthz")


def main(*, rounds: int, quick: bool) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=corpus.FOLDER)))
        originals = Originals(folder / "originals")
        ours = stack.enter_context(servers.darkroom(folder, originals))
        bare = stack.enter_context(servers.bare_uvicorn(folder, b"ok", {"content-length": "2"}))
        pictures = corpus.pictures(quick=quick)
        variants = [
            Variant(originals.add(picture), side, format)
            for _, picture, side, format in product(range(rounds), pictures, SIDES, (Format.JPG, Format.WEBP))
        ]
        originals.send(ours, (variant.original for variant in variants))
        rows = asyncio.run(measure(ours, bare, variants))
    table(
        "A health check while variants are derived, 8 at a time",
        ("asked", "times", "p50 ms", "p99 ms", "most ms"),
        rows,
    )


async def measure(ours: Server, bare: Server, variants: list[Variant]) -> list[tuple[object, ...]]:
    path = await answered(ours.port)
    idle = asyncio.create_task(asyncio.sleep(IDLE))
    resting = await probe(ours.port, path, idle)
    busy = asyncio.create_task(fire(ours.port, list(map(ours.path, variants)), 8))
    loads = await asyncio.gather(probe(ours.port, path, busy), probe(bare.port, "/", busy))
    await busy
    return [
        (name, len(load.took), load.p50, load.p99, max(load.took))
        for name, load in (
            (f"Darkroom's {path}, nothing else to do", resting),
            (f"Darkroom's {path}", loads[0]),
            ("bare uvicorn beside it, for what the machine itself adds", loads[1]),
        )
    ]


async def answered(port: int) -> str:
    """Returns the first of `PROBES` that answers."""
    for path in PROBES:
        connection = await Connection.to(port)
        try:
            await connection.get(path)
        except RuntimeError:
            continue
        else:
            return path
        finally:
            connection.close()
    raise RuntimeError(f"none of {', '.join(PROBES)} is answered")


async def probe(port: int, path: str, until: "asyncio.Task[object]") -> Load:
    connection = await Connection.to(port)
    took = []
    begin = time.perf_counter()
    while not until.done():
        start = time.perf_counter()
        await connection.get(path)
        took.append((time.perf_counter() - start) * 1000)
        await asyncio.sleep(EVERY)
    connection.close()
    return Load(len(took) / (time.perf_counter() - begin), took)
