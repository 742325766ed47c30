"""The memory of derivations, measured and estimated: `python -m benchmarks.memory [SIDE...]`, Linux only.

Run it after a change of decoders or encoders, and correct the tables in `proxy/rendering/memory_estimate.py`: nothing
may take more than its estimate, and the estimates of large images should be at most 1.3 times the measured memory. It
takes minutes and 2 GB.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
from PIL import Image

from benchmarks.memory_originals import ORIGINALS, Maker, texture
from benchmarks.report import table
from proxy.imaging.animation.animation_limits import count_frames
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.model import Fit, Format, Position
from proxy.rendering.memory_estimate import estimate
from proxy.rendering.render_worker import RenderWorker
from proxy.settings import RENDER_IDLE_MB, Quality, WatermarkFile
from tests.icc_profiles import DISPLAY_P3
from tests.pictures import disc, save

LIMITS = Limits(1, 16_383)
SIDES = (1000, 5000, 10_000)
ADDRESS_SPACE_MB = 16_384
PATIENCE = 120  # seconds
MB = 1 << 20

LIBVIPS, PILLOW = "libvips", "Pillow"
DECODERS = {name: (str(Path(__file__).with_name("visible_child.py")), name) for name in (LIBVIPS, PILLOW)}
"""The programs of a render process, by the library that decodes PNG and WebP."""
FIGURES = ("charged, MB", "taken, MB", "charged / taken")


def main() -> None:
    sides = [int(argument) for argument in sys.argv[1:]] or SIDES
    with TemporaryDirectory() as folder:
        path = Path(folder) / "original"
        table(
            "One 800 pixel JPEG of each kind of original, by a fresh process",
            ("original", "side", *(f"{decoder}: {figure}" for decoder in DECODERS for figure in FIGURES)),
            (one(name, side, make, path) for name, make in ORIGINALS.items() for side in sides),
        )
        table(
            "Each format of variant, by a fresh process, of an original of 1000 pixels",
            ("variant", "side", *FIGURES),
            variants(path),
        )
        table(
            "One process, all kinds of original one after the other, every size and format",
            ("side", "at rest before, MB", "at rest at most, MB", "held / budgeted, at most"),
            (in_one_process(side, path) for side in sides if side <= 5000),
        )
        at_random(path)


# Measuring


def one(name: str, side: int, make: Maker, path: Path) -> tuple[object, ...]:
    path.write_bytes(make(side))
    targets = [target(800, Format.JPG)]
    return name, side, *(cell for decoder in DECODERS for cell in figures(path, targets, decoder))


def figures(path: Path, targets: Sequence[Target], decoder: str) -> tuple[float, ...]:
    charged, taken = asyncio.run(compare(path, targets, decoder))
    return charged / MB, taken / MB, charged / taken


def variants(path: Path) -> Iterator[tuple[object, ...]]:
    opaque, red = texture().convert("RGB"), disc((200, 30, 30), 1000)
    pictures = {
        "": save(opaque, "PNG"),
        ", of a wide gamut": save(opaque, "PNG", icc_profile=DISPLAY_P3),
        ", transparent": save(texture(), "PNG"),
        ", of few colours": save(
            Image.alpha_composite(Image.new("RGBA", red.size, "white"), red).convert("RGB"), "PNG"
        ),
    }
    for name, picture in pictures.items():
        path.write_bytes(picture)
        for format in Format:
            for side in (150, 800, 2400, 4000):
                yield f"{format}{name}", side, *figures(path, [target(side, format)], LIBVIPS)
                if format is not Format.PNG:
                    searched = replace(target(side, format), score=80.0)
                    yield f"{format}{name}, quality auto", side, *figures(path, [searched], LIBVIPS)


async def compare(
    path: Path, targets: Sequence[Target], decoder: str, watermarks: Sequence[WatermarkFile] = ()
) -> tuple[int, int]:
    """Returns the estimate for a fresh process, and its measured peak above the idle process, in bytes."""
    async with fresh(decoder, watermarks) as process:
        return await _compare(process, path, targets, decoder, held=resident(process.pid))


def in_one_process(side: int, path: Path) -> tuple[object, ...]:
    return (side, *asyncio.run(_in_one_process(side, path)))


async def _in_one_process(side: int, path: Path) -> tuple[float, float, float]:
    targets = [
        replace(target(each, format), score=80.0 if format is Format.WEBP else None)
        for each in (150, 400, 800)
        for format in Format
    ]
    async with fresh(LIBVIPS) as process:
        before = resident(process.pid)
        most_held, highest = before, 0.0
        for make in ORIGINALS.values():
            await anyio.Path(path).write_bytes(make(side))
            charged, peak = await _compare(process, path, targets, LIBVIPS, held=0)
            highest = max(highest, peak / (charged + RENDER_IDLE_MB * MB))
            most_held = max(most_held, resident(process.pid))
        return before / MB, most_held / MB, highest


def at_random(path: Path, count: int = 60, side: int = 3000, seed: int = 1) -> None:
    """Renders with the estimate as the limit. Raises if a process refuses an image, because all of them are valid."""
    chance = Random(seed)
    for _ in range(count):
        make = chance.choice(list(ORIGINALS.values()))
        path.write_bytes(make(chance.randint(100, side)))
        decoder = chance.choice(list(DECODERS))
        targets = [any_target(chance, decoder) for _ in range(chance.choice((1, 1, 3)))]
        asyncio.run(compare(path, targets, decoder))


def any_target(chance: Random, decoder: str) -> Target:
    """Returns a target with random sides, fit, format and effects; every second lossy one with a quality search."""
    width, height = chance.randint(20, 2000), chance.choice((None, chance.randint(20, 2000)))
    fit = Fit.INSIDE if height is None else chance.choice(list(Fit))
    effects = chance.choice(({}, {}, {"blur": 9.0}, {"sharpen": 0.5}, {"grayscale": True}, {"enlarge": False}))
    attention = fit is Fit.COVER and decoder == LIBVIPS and chance.random() < 0.5
    position = Position.ATTENTION if attention else Position.CENTER
    wanted = replace(target(width, chance.choice(list(Format))), height=height, fit=fit, position=position, **effects)
    wanted = replace(wanted, animated=wanted.format is Format.WEBP)
    return replace(wanted, score=chance.choice((None, 80.0)) if wanted.quality else None)


@asynccontextmanager
async def fresh(decoder: str, watermarks: Sequence[WatermarkFile] = ()) -> AsyncIterator[RenderWorker]:
    process = await RenderWorker.start(
        LIMITS, ADDRESS_SPACE_MB, PATIENCE, searches=True, watermarks=watermarks, program=DECODERS[decoder]
    )
    try:
        yield process
    finally:
        await process.stop()


async def _compare(
    process: RenderWorker, path: Path, targets: Sequence[Target], decoder: str, *, held: int
) -> tuple[int, int]:
    process.memory = charge(path, targets, decoder)
    begin_peak(process.pid)
    async for _ in process.render(path, targets):
        pass
    return process.memory, _status(process.pid, "VmHWM") - held


def charge(path: Path, targets: Sequence[Target], decoder: str) -> int:
    header = read_header(path)
    assert header is not None
    by_vips, frames = decoder == LIBVIPS, count_frames(path)
    return estimate(header, path.stat().st_size, targets, by_vips=by_vips, frames=frames)


def begin_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident(pid: int) -> int:
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    """Returns bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def target(side: int, format: Format) -> Target:
    return Target(side, side, Fit.COVER, format, getattr(Quality(), format, None), "#ffffff", keep_exif=False)


if __name__ == "__main__":
    main()
