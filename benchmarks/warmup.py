"""Uploads through the queue: from the first byte sent to the last standard variant stored."""

import tempfile
import time
from pathlib import Path

import httpx

from benchmarks import corpus, servers
from benchmarks.report import say, table
from benchmarks.servers import Originals

PATIENCE = 300  # seconds


def main(*, rounds: int, quick: bool) -> None:
    pictures = corpus.pictures(quick=quick)
    rows = []
    with tempfile.TemporaryDirectory(dir=corpus.FOLDER) as temporary:
        folder = Path(temporary)
        originals = Originals(folder / "originals")
        with servers.darkroom(folder, originals, warm_up=True) as server:
            for name, chosen in (
                ("JPEG", [one for one in pictures if one.group.startswith("JPEG")]),
                ("all", pictures),
            ):
                say(f"warm-up: {name}")
                names = [originals.add(picture) for _ in range(rounds) for picture in chosen]
                start = time.perf_counter()
                originals.send(server, names)
                accepted = time.perf_counter() - start
                done = wait(server.port, [originals.id_of(one) for one in names])
                seconds = time.perf_counter() - start
                rows.append((name, len(names), len(names) / accepted, len(names) / seconds, done / seconds))
    table(
        "Warm-up: uploads one after another, until every standard variant is stored",
        ("sources", "uploads", "accepted/s", "warmed up/s", "variants/s"),
        rows,
    )


def wait(port: int, ids: list[str]) -> int:
    """Waits until all warm-ups are complete. Returns the number of variants."""
    variants, deadline = 0, time.monotonic() + PATIENCE
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for one in ids:
            while (status := client.get(f"/images/{one}/status").json())["status"] != "complete":
                if status["status"] == "failed" or time.monotonic() > deadline:
                    raise RuntimeError(f"not warmed up: {status}")
                time.sleep(0.05)
            variants += len(status["variants"])
    return variants
