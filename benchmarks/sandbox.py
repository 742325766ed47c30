"""What the lock of render processes costs: CPU for each image, the start of a process, and memory. What it costs to
replace them after fewer originals.

Run `python -m benchmarks.sandbox`. A locked and an unlocked process take turns, so that other load affects both. CPU is
that of the process itself, by the kernel's count.
"""

import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker, Sandbox
from tests.photographs import photograph
from tests.pictures import jpeg, png, webp

LIMITS = Limits(100, 10_000)
MODES: tuple[Sandbox, ...] = ("required", "off")
ROUNDS = 40
ORIGINALS = 100
QUALITY = {Format.JPG: 82, Format.WEBP: 85, Format.AVIF: 67}


def cpu_ms(pid: int) -> float:
    """By the scheduler's nanoseconds, of all threads that still run."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e6


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def started(mode: Sandbox, *, searches: bool = False) -> RenderWorker:
    worker = await RenderWorker.start(LIMITS, 2048, 60, sandbox=mode, searches=searches)
    worker.memory = 500 << 20
    return worker


async def starts(count: int = 15) -> None:
    figures: dict[tuple[Sandbox, bool], list[tuple[float, float]]] = {}
    for _ in range(count):
        for searches in (False, True):
            for mode in MODES:
                worker = await started(mode, searches=searches)
                found = cpu_ms(worker.pid), resident_mb(worker.pid)
                figures.setdefault((mode, searches), []).append(found)
                await worker.stop()
    for (mode, searches), found in figures.items():
        cpu, memory = (median(each) for each in zip(*found, strict=True))
        print(f"start, sandbox {mode}, searches {searches}: {cpu:.0f} ms CPU, {memory:.1f} MB")


async def images(folder: Path) -> None:
    source = photograph("coffee.png").convert("RGB").resize((2400, 1600))
    originals = {"jpeg": jpeg(source), "png": png(source), "webp": webp(source)}
    targets = [
        Target(side, side, Fit.COVER, format, QUALITY.get(format), "#ffffff", keep_exif=False)
        for side in (150, 400)
        for format in Format
    ]
    workers = {mode: await started(mode) for mode in MODES}
    for name, original in originals.items():
        path = folder / name
        path.write_bytes(original)
        for what, wanted in (("inspection", []), ("one variant", targets[:1]), ("eight variants", targets)):
            spent: dict[Sandbox, list[float]] = {mode: [] for mode in MODES}
            for number in range(ROUNDS):
                for mode in MODES[:: 1 if number % 2 else -1]:
                    worker = workers[mode]
                    before = cpu_ms(worker.pid)
                    if wanted:
                        async for _ in worker.render(path, wanted):
                            pass
                    else:
                        await worker.inspect(path)
                    spent[mode].append(cpu_ms(worker.pid) - before)
            locked, unlocked = (median(spent[mode]) for mode in MODES)
            print(f"{name}, {what}: {locked:.1f} ms locked, {unlocked:.1f} ms unlocked ({locked / unlocked - 1:+.1%})")
    for mode, worker in workers.items():
        print(f"after all, sandbox {mode}: {resident_mb(worker.pid):.1f} MB")
        await worker.stop()


def cpu_of_ended() -> float:
    """Seconds of CPU of all render processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def replacements(folder: Path) -> None:
    """One JPEG variant of each of `ORIGINALS` originals, two at a time, with fewer and fewer of them for a process."""
    path = folder / "original"
    path.write_bytes(jpeg(photograph("coffee.png").convert("RGB").resize((2400, 1600))))
    target = Target(400, 400, Fit.COVER, Format.JPG, 82, "#ffffff", keep_exif=False)
    for recycle in (100, 10, 1):
        before, began = cpu_of_ended(), time.monotonic()
        pool = RenderPool(
            LIMITS,
            processes=2,
            memory_mb=2048,
            process_mb=2048,
            timeout=300,
            max_waiting=ORIGINALS,
            recycle=recycle,
        )
        await pool.start()

        async def derive(pool: RenderPool = pool) -> None:
            async with pool.acquire(Priority.LIVE, 100 << 20) as worker:
                async for _ in worker.render(path, [target]):
                    pass

        await asyncio.gather(*(derive() for _ in range(ORIGINALS)))
        took = time.monotonic() - began
        await pool.close()
        cpu = (cpu_of_ended() - before) / ORIGINALS
        print(f"{recycle} originals per process: {1000 * cpu:.0f} ms CPU for each, {ORIGINALS / took:.1f} a second")


async def main() -> None:
    await starts()
    with tempfile.TemporaryDirectory() as folder:
        await images(Path(folder))
        await replacements(Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
