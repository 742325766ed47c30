"""Repeated requests for one stored variant of about 30 KB."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx

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
        asyncio.run(get(ours, variant))
        hit = httpx.get(f"http://127.0.0.1:{ours.port}{ours.path(variant)}")
        # uvicorn adds the date itself.
        headers = {name: value for name, value in hit.headers.items() if name != "date"}
        peers = (
            servers.bare_uvicorn(folder, hit.content, headers),
            servers.nginx(folder, hit.content),
            servers.thumbor(folder, originals, Quality().avif, processes=1),
            servers.thumbor(folder, originals, Quality().avif, processes=2),
        )
        running = [ours, *(stack.enter_context(peer) for peer in peers if peer)]
        for server in running:
            asyncio.run(get(server, variant))
        etag = hit.headers["etag"]
        loads = [(ours.name, ours, None), *([(f"{ours.name}, 304", ours, etag)] if shutil.which("wrk") else [])]
        loads += [(server.name, server, None) for server in running[1:]]
        say(f"hits: {rounds} rounds")
        figures = medians(
            rounds,
            *(
                lambda server=server, etag=etag: hammer(
                    server.port, server.path(variant), CONNECTIONS, 2 if quick else 5, etag
                )
                for _, server, etag in loads
            ),
        )
    per_second_of_bare = next(
        figure[0] for (_, server, _), figure in zip(loads, figures, strict=True) if server is running[1]
    )
    table(
        f"Hits: one variant of {len(hit.content) / 1000:.0f} kB, {CONNECTIONS} connections, by {client()}",
        ("server", "requests/s", "of bare uvicorn's", "p50 ms", "p99 ms"),
        (
            (name, per_second, per_second / per_second_of_bare, p50, p99)
            for (name, _, _), (per_second, p50, p99) in zip(loads, figures, strict=True)
        ),
    )


async def get(server: Server, variant: Variant) -> bytes:
    connection = await Connection.to(server.port)
    body = await connection.get(server.path(variant))
    connection.close()
    return body
