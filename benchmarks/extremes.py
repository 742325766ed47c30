"""The largest accepted images: peak memory and time, in a fresh process each, against sharp."""

from benchmarks import corpus, tools
from benchmarks.goals import EXTREME_MIB, MOST_SECONDS
from benchmarks.peers.worker import Worker
from benchmarks.report import say, table, versus
from benchmarks.tools import Tool
from proxy.model import Format

SIDE = 800


def main(**_: object) -> None:
    pair = [tool for tool in (tools.ours(), tools.sharp()) if tool is not None]
    rows: list[list[object]] = [["(nothing derived)"] + [cell for tool in pair for cell in (idle(tool), "")]]
    for picture in corpus.extremes():
        say(f"10000x10000 {picture.name}")
        row: list[object] = [picture.name]
        for tool in pair:
            with Worker(tool.command) as fresh:
                ms = fresh.ask(**tool.request(picture, (SIDE, Format.JPG)))["ms"]
                goal = EXTREME_MIB if tool is pair[0] and picture.path.suffix != ".webp" else None
                row += [versus(fresh.peak(), goal), versus(ms / 1000, MOST_SECONDS if tool is pair[0] else None)]
        rows.append(row)
    table(
        f"10000x10000 to {SIDE} px JPEG, each in a fresh process",
        ("source", *(column for tool in pair for column in (f"{tool.name}, peak MiB", "seconds"))),
        rows,
    )


def idle(tool: Tool) -> float:
    """Returns the peak memory of a process that has only loaded its libraries."""
    with Worker(tool.command) as fresh:
        fresh.ask(path="", variants=[])
        return fresh.peak()
