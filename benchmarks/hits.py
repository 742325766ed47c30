"""Repeated requests for one stored variant of about 30 KB."""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import corpus, servers
from benchmarks.load import Connection, client, hammer
from benchmarks.report import medians, say, table
from benchmarks.servers import Originals, Server, Variant
from proxy.model import Format
from proxy.settings import Quality

CONNECTIONS = 32


def main(*, rounds: int, quick: bool) -> None:
    picture = next((one for one in corpus.pictures(quick=True) if one.group == "JPEG"), None)
    if picture is None:
        say("hits: skipped, its picture is missing")
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=corpus.FOLDER)))
        originals = Originals(folder / "originals")
        variant = Variant(originals.add(picture), 400, Format.JPG)
        ours = servers.darkroom(folder, originals)
        stack.enter_context(ours)
        originals.send(ours, [variant.original])
        body = asyncio.run(get(ours, variant))
        peers = (
            servers.bare_uvicorn(folder, body),
            servers.nginx(folder, body),
            servers.thumbor(folder, originals, Quality().avif, processes=1),
            servers.thumbor(folder, originals, Quality().avif, processes=2),
        )
        running = [ours, *(stack.enter_context(peer) for peer in peers if peer)]
        for server in running:
            asyncio.run(get(server, variant))
        say(f"hits: {rounds} rounds")
        figures = medians(
            rounds,
            *(
                lambda server=server: hammer(server.port, server.path(variant), CONNECTIONS, 2 if quick else 5)
                for server in running
            ),
        )
    table(
        f"Hits: one variant of {len(body) / 1000:.0f} kB, {CONNECTIONS} connections, by {client()}",
        ("server", "requests/s", "of bare uvicorn's", "p50 ms", "p99 ms"),
        (
            (server.name, per_second, per_second / figures[1][0], p50, p99)
            for server, (per_second, p50, p99) in zip(running, figures, strict=True)
        ),
    )


async def get(server: Server, variant: Variant) -> bytes:
    connection = await Connection.to(server.port)
    body = await connection.get(server.path(variant))
    connection.close()
    return body
