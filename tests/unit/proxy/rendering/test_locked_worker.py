"""A locked worker renders what an unlocked one does, byte for byte."""

import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from proxy.errors import RenderFailed, ServiceError
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.model import Format, Watermark
from proxy.rendering import sandbox
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker, Sandbox
from proxy.settings import SettingsError, WatermarkFile
from tests.hostile.corpus import corpus
from tests.pictures import png
from tests.unit.proxy.imaging.reference import LIMITS, decoded, target
from tests.unit.proxy.rendering.pools import PLENTY, ROOM, pool, render
from tests.unit.proxy.rendering.test_attacks import pytestmark
from tests.unit.proxy.test_golden_renderings import GOLDEN, renderings, watermark_file, without_deflate
from tests.waiting import GUARD

__all__ = ["pytestmark"]
TARGETS = [
    *(target(50, 50, format) for format in Format),
    replace(target(50, 50, Format.WEBP), animated=True),
]


@asynccontextmanager
async def worker(limits: Limits, mode: Sandbox, *, searches: bool = True) -> AsyncIterator[RenderWorker]:
    started = await RenderWorker.start(
        limits, PLENTY, GUARD, sandbox=mode, searches=searches, watermarks=[watermark_file()]
    )
    started.memory = ROOM
    try:
        yield started
    finally:
        await started.stop()


@pytest.mark.slow
async def test_locked_worker_renders_the_golden_bytes(tmp_path: Path) -> None:
    """Of all kinds of originals, formats, orientations and profiles, and of quality searches."""
    digests = {}
    async with worker(Limits(1, 10_000), "required") as locked:
        for name, original, wanted in renderings():
            path = tmp_path / "original"
            path.write_bytes(original)
            [file] = [file async for file in locked.render(path, [wanted])]
            digests[name] = hashlib.sha256(without_deflate(file.body)).hexdigest()[:16]

    assert digests == json.loads(GOLDEN.read_text())["digests"]


async def outcome(of: RenderWorker, path: Path, targets: list[Target]) -> list[object]:
    try:
        return [await of.inspect(path), *[(file.index, file.body) async for file in of.render(path, targets)]]
    except ServiceError as error:
        return [type(error), str(error)]


@pytest.mark.slow
async def test_locked_worker_judges_hostile_files_as_an_unlocked_one(tmp_path: Path) -> None:
    path = tmp_path / "original"
    async with worker(LIMITS, "required") as locked, worker(LIMITS, "off") as unlocked:
        for case in islice(corpus(), 0, None, 25):
            path.write_bytes(case.content)
            assert await outcome(locked, path, TARGETS) == await outcome(unlocked, path, TARGETS), case
        assert locked.locks >= {"seccomp"}
        tasks = [*Path(f"/proc/{locked.pid}/task").iterdir()]
        assert len(tasks) > 1  # those of libvips
        assert {line for task in tasks for line in (task / "status").read_text().split("\n") if "CapEff" in line} == {
            f"CapEff:\t{0:016x}"  # also of root, who could raise the limits of its own memory
        }
        assert unlocked.locks == frozenset()


async def test_worker_without_searches_has_no_numpy_but_renders(tmp_path: Path) -> None:
    path = tmp_path / "original"
    _, original, wanted = next(iter(renderings()))
    path.write_bytes(original)
    async with worker(Limits(1, 10_000), "required", searches=False) as locked:
        [file] = [file async for file in locked.render(path, [wanted])]
        assert file.body
        searched = replace(target(100, 100, Format.JPG), score=80.0)
        with pytest.raises(RenderFailed):
            [file async for file in locked.render(path, [searched])]


# Watermarks


async def test_damaged_watermark_stops_the_start_and_is_named() -> None:
    sound = watermark_file()
    damaged = replace(sound, name="cut.png", body=sound.body[:-30], digest=sha256(sound.body[:-30]).hexdigest())

    with pytest.raises(SettingsError, match=r"^The watermark cut\.png cannot be decoded\."):
        await RenderWorker.start(LIMITS, PLENTY, GUARD, watermarks=[sound, damaged])


@pytest.mark.slow
async def test_watermarks_longer_than_a_socket_holds_reach_every_worker_of_a_pool(tmp_path: Path) -> None:
    """Also those that replace others."""
    path, logo = tmp_path / "original", png(Image.new("RGBA", (40, 20), "#ff0000")).ljust(1 << 20)
    files = [watermark_file(), WatermarkFile("logo.png", 800, logo, sha256(logo).hexdigest())]
    path.write_bytes(png(Image.new("RGB", (200, 120), "#ffffff")))
    wanted = replace(target(200, 120), watermark=Watermark(files[1].digest, 800, width=0.2))

    async with pool(recycle=1, watermarks=files) as render_pool:
        bodies = [(await render(render_pool, path, [wanted]))[0] for _ in range(2)]

    assert bodies[0] == bodies[1]
    assert decoded(bodies[0]).convert("RGB").crop((157, 97, 197, 117)).getcolors() == [(800, (255, 0, 0))]


# Systems without a lock

WITHOUT_LOCK = """
from proxy.rendering import sandbox, worker_main
sandbox.lock_system_calls = sandbox.lock_files = lambda: False
worker_main.main()
"""


class WithoutLock(RenderPool):
    """Its workers run where the kernel has no lock."""

    async def _start_worker(self) -> RenderWorker:
        return await RenderWorker.start(LIMITS, PLENTY, GUARD, sandbox=self._sandbox, program=("-c", WITHOUT_LOCK))


def without_lock(mode: Sandbox) -> RenderPool:
    return WithoutLock(
        LIMITS, processes=2, memory_mb=PLENTY, process_mb=PLENTY, timeout=GUARD, max_waiting=0, sandbox=mode
    )


async def test_required_lock_that_the_system_lacks_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="RENDER_SANDBOX=auto"):
        await without_lock("required").start()


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "warnings"), [("auto", 1), ("off", 0)])
async def test_missing_lock_is_reported_unless_switched_off(
    mode: Sandbox, warnings: int, capsys: pytest.CaptureFixture[str]
) -> None:
    render_pool = without_lock(mode)
    await render_pool.start()
    await render_pool.close()

    assert capsys.readouterr().out.count("render processes run without sandbox") == warnings


def test_locks_on_systems_without_locks_report_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.platform, "system", lambda: "Darwin")

    assert sandbox.lock_files() is False
    assert sandbox.lock_system_calls() is False


def test_libraries_that_hostile_files_need_are_loaded_before_the_lock() -> None:
    """After it, an import fails, and a file would be judged otherwise."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from proxy.errors import ServiceError\n"
        "from proxy.rendering import rehearsal, worker_main\n"
        "rehearsal.load_libraries(searches=True)\n"
        "before = set(sys.modules)\n"
        "rehearsal.rehearse(searches=True)\n"
        "print(sorted(set(sys.modules) - before))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
