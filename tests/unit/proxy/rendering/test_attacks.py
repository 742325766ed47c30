"""A program in the place of a decoder, inside a real render worker: locked, it gets nothing; unlocked, it works.

The second half of each case proves that the attack would be noticed.
"""

import errno
import os
import platform
import signal
import subprocess
import sys
from ast import literal_eval
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import RenderFailed, Undecodable
from proxy.rendering.memory_limits import ENVIRONMENT
from proxy.rendering.render_worker import RenderWorker, Sandbox
from tests.unit.proxy.imaging.reference import LIMITS
from tests.unit.proxy.rendering.pools import PLENTY, ROCKET, ROOM
from tests.waiting import GUARD

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"), reason="no lock on this system"
    ),
]

ATTACKS = Path(__file__).with_name("attacks.py")
# Answers every request with the outcome of the attack, as the text of a refusal. Imports and compiles before the lock.
INSIDE = """
import os
os.setpgrp()
from proxy.errors import Undecodable
from proxy.rendering import worker_main
attacks = dict(FOLDER={folder!r}, __name__="attacks")
exec(compile({source!r}, "attacks", "exec"), attacks)
names = iter({attacks!r})
def answer(*_):
    try:
        outcome = attacks[next(names)]()
    except OSError as error:
        outcome = error
    raise Undecodable(repr(("refused", outcome.errno) if isinstance(outcome, OSError) else ("got", outcome)))
worker_main.answer = answer
worker_main.main()
"""


async def attack(name: str, folder: Path, sandbox: Sandbox) -> tuple[str, Any]:
    [outcome] = await attacks([name], folder, sandbox)
    return outcome


async def attacks(names: Sequence[str], folder: Path, sandbox: Sandbox) -> list[tuple[str, Any]]:
    """The outcome of each, one after another in one worker; the last one may end it."""
    code = INSIDE.format(folder=str(folder), source=ATTACKS.read_text(), attacks=[*names])
    worker = await RenderWorker.start(LIMITS, PLENTY, GUARD, sandbox=sandbox, program=("-c", code))
    worker.memory = ROOM
    outcomes: list[tuple[str, Any]] = []
    try:
        for _ in names:
            with pytest.raises((Undecodable, RenderFailed)) as caught:
                await worker.inspect(ROCKET)
            if caught.type is Undecodable:
                outcomes.append(literal_eval(str(caught.value)))
    finally:
        await worker.stop()
    return outcomes if caught.type is Undecodable else [*outcomes, (worker.end_reason, worker._process.returncode)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("secret", "removable", "renamable"):
        (tmp_path / name).write_text("key")
    return tmp_path


KILLED = ("forbidden", -signal.SIGSYS)
REFUSED: Sequence[tuple[str, Any]] = [("refused", number) for number in (errno.EPERM, errno.EACCES)]
FILES = [
    *("read_file", "list_folder", "write_file", "remove_file", "rename_file", "make_folder", "link_file"),
    *("change_mode", "stat_file", "read_environment_of_server", "open_memory_of_server"),
]
OTHERS = [
    *("map_executable_memory", "make_memory_executable", "signal_server_by_owner_of_descriptor"),
    *("raise_limit_of_server", "control_device"),
]
FATAL = [
    *("connect_tcp", "send_udp", "pair_sockets", "signal_server", "trace", "fork", "execute", "read_memory_of_server"),
    *("io_uring", "unshare", "open_pidfd", "memory_file"),
]


async def test_locked_worker_is_refused(folder: Path) -> None:
    names = [*FILES, *OTHERS]
    outcomes = await attacks(names, folder, "required")

    assert [name for name, outcome in zip(names, outcomes, strict=True) if outcome not in REFUSED] == []
    assert {path.name for path in folder.iterdir()} == {"secret", "removable", "renamable"}
    assert (folder / "secret").stat().st_mode & 0o777 != 0o777


@pytest.mark.parametrize("name", FATAL)
@pytest.mark.slow
async def test_locked_worker_is_killed(name: str, folder: Path) -> None:
    assert await attack(name, folder, "required") == KILLED


@pytest.mark.skipif(os.geteuid() != 0, reason="some need root, or the server to be visible")
@pytest.mark.slow
async def test_unlocked_worker_gets_files_and_more(folder: Path) -> None:
    names = [*FILES, *OTHERS]
    outcomes = await attacks(names, folder, "off")

    assert [name for name, (outcome, _) in zip(names, outcomes, strict=True) if outcome != "got"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="some need root, or the server to be visible")
@pytest.mark.parametrize("name", FATAL)
@pytest.mark.slow
async def test_unlocked_worker_succeeds(name: str, folder: Path) -> None:
    outcome, _ = await attack(name, folder, "off")
    if name in ("io_uring", "unshare"):  # some containers refuse them to every process
        assert outcome in ("got", "refused")
    else:
        assert outcome == ("died" if name == "execute" else "got")


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("thread", "ran"),
        ("environment", " ".join(sorted({*ENVIRONMENT, "LC_CTYPE"}))),
        ("core_limit", "(0, 0)"),
    ],
)
async def test_locked_worker_has_threads_and_nothing_of_the_server(name: str, outcome: object, folder: Path) -> None:
    assert await attack(name, folder, "required") == ("got", outcome)


async def test_worker_is_hidden_from_processes_of_its_account(folder: Path) -> None:
    """Without the lock: a locked worker may not call prctl, which the test uses."""
    assert await attack("dumpable", folder, "off") == ("got", 0)


async def test_locked_worker_inherits_only_its_sockets_and_the_original(folder: Path) -> None:
    secret = os.open(folder / "secret", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        _, kinds = await attack("descriptors", folder, "required")
    finally:
        os.close(secret)

    # Standard streams; the memory report; the connection, twice; the original.
    assert sorted(kinds.split()) == sorted(["14"] * 5 + ["10"] * 2)


SERVER = """
import asyncio, ctypes, resource
from proxy.services import build_services
from proxy.settings import Settings

def state():
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[1]

async def main():
    async with build_services(Settings(data_dir={folder!r}, render_processes=1)).rendering():
        print(state())

print(state()[0])
asyncio.run(main())
"""


@pytest.mark.slow
def test_processes_with_render_workers_hide_their_memory(folder: Path) -> None:
    """Servers and warm-up workers: the keys are in their environment."""
    ran = subprocess.run(
        [sys.executable, "-c", SERVER.format(folder=str(folder))], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines() == ["1", "(0, 0)"]
