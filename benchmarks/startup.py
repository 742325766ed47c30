"""Start-up: processor seconds of whole commands, and of a server until it is ready."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.goals import HELP_SECONDS, READY_SECONDS
from benchmarks.report import medians, table, versus
from benchmarks.servers import Server
from tests.server import free_port

PROGRAM = str(Path(sys.executable).with_name("darkroom"))
COMMANDS: dict[str, float | None] = {"--help": HELP_SECONDS, "config": None, "migrate": None}
DEADLINE = 60


def main(*, rounds: int, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works: dict[str, Callable[[], tuple[float, ...]]] = {
            f"darkroom {command}": partial(run, folder, command) for command in COMMANDS
        }
        works["darkroom serve, until /readyz answers 200"] = partial(serve, folder)
        for work in works.values():  # compiles bytecode and creates the database
            work()
        seconds = [taken for [taken] in medians(rounds if quick else 2 * rounds, *works.values())]
    goals = [*COMMANDS.values(), READY_SECONDS]
    table(
        "Start-up: files and SQLite, the database up to date",
        ("command", "CPU seconds, all processes"),
        ((work, versus(taken, goal)) for work, taken, goal in zip(works, seconds, goals, strict=True)),
    )


def run(folder: Path, command: str) -> tuple[float]:
    child = subprocess.Popen([PROGRAM, command], cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"darkroom {command} ended with {child.returncode}")
    return (usage.ru_utime + usage.ru_stime,)


def serve(folder: Path) -> tuple[float]:
    """Returns the processor seconds of the server and its render processes."""
    port = free_port()
    command = ["env", "-i", *(f"{name}={value}" for name, value in environment().items()), PROGRAM, "serve"]
    with Server("Darkroom", [*command, "--port", str(port)], folder, port, lambda _: "") as server:
        deadline = time.monotonic() + DEADLINE
        while not is_ready(port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Darkroom was not ready after {DEADLINE} s")
            time.sleep(0.02)
        return (server.cpu(),)


def is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except URLError:
        return False


def environment() -> dict[str, str]:
    """Returns an environment without settings, in which bytecode is kept, as by default."""
    return {"PATH": os.defpath}
