"""What a derivation takes of memory against what it is charged: `python -m benchmarks.memory [SIDE...]`, Linux only.

Run it after a change of decoders or encoders, and mend the tables in `proxy/imaging/cost.py`: nothing may take more
than it is charged, and large pictures should not be charged above 1.3 times what they take. Takes minutes, and 2 GB.
"""

import asyncio
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from PIL import Image

from benchmarks.report import table
from proxy.imaging.cost import estimate
from proxy.imaging.header import read_header
from proxy.imaging.pool import RenderProcess
from proxy.imaging.probe import Limits
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from proxy.settings import RENDER_IDLE_MB, Quality
from tests.pictures import DISPLAY_P3, chunk, disc, flat_webp, photograph, png_header, save

LIMITS = Limits(1, 16_383)
SIDES = (1000, 5000, 10_000)
ADDRESS_SPACE_MB = 16_384
PATIENCE = 120  # seconds
MB = 1 << 20

Maker = Callable[[int], bytes]


def main() -> None:
    sides = [int(argument) for argument in sys.argv[1:]] or SIDES
    with TemporaryDirectory() as folder:
        path = Path(folder) / "original"
        table(
            "One 800 pixel JPEG of each kind of original, by a fresh process",
            ("original", "side", "charged, MB", "taken, MB", "charged / taken"),
            (row for name, make in ORIGINALS.items() for side in sides for row in one(name, side, make, path)),
        )
        table(
            "Each format of variant, by a fresh process, of an original of 1000 pixels",
            ("variant", "side", "charged, MB", "taken, MB", "charged / taken"),
            variants(path),
        )
        table(
            "One process, all kinds of original one after the other, all standard variants",
            ("side", "at rest before, MB", "at rest at most, MB", "held / budgeted, at most"),
            (in_one_process(side, path) for side in sides if side <= 5000),
        )


# Measuring


def one(name: str, side: int, make: Maker, path: Path) -> Iterator[tuple[object, ...]]:
    path.write_bytes(make(side))
    charged, taken = asyncio.run(compare(path, [target(800, Format.JPG)]))
    yield name, side, charged / MB, taken / MB, charged / taken


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
            for side in (800, 2400, 4000):
                charged, taken = asyncio.run(compare(path, [target(side, format)]))
                yield f"{format}{name}", side, charged / MB, taken / MB, charged / taken


async def compare(path: Path, targets: Sequence[Target]) -> tuple[int, int]:
    """Bytes that a fresh process is charged, and those that it took at most, above what it held at rest."""
    async with fresh() as process:
        return await _compare(process, path, targets, held=resident(process.pid))


def in_one_process(side: int, path: Path) -> tuple[object, ...]:
    return (side, *asyncio.run(_in_one_process(side, path)))


async def _in_one_process(side: int, path: Path) -> tuple[float, float, float]:
    targets = [target(side, format) for side in (150, 400, 800) for format in Format]
    async with fresh() as process:
        before = resident(process.pid)
        most_held, highest = before, 0.0
        for make in ORIGINALS.values():
            await anyio.Path(path).write_bytes(make(side))
            charged, peak = await _compare(process, path, targets, held=0)
            highest = max(highest, peak / (charged + RENDER_IDLE_MB * MB))
            most_held = max(most_held, resident(process.pid))
        return before / MB, most_held / MB, highest


@asynccontextmanager
async def fresh() -> AsyncIterator[RenderProcess]:
    process = await RenderProcess.start(LIMITS, ADDRESS_SPACE_MB, PATIENCE)
    try:
        yield process
    finally:
        await process.stop()


async def _compare(process: RenderProcess, path: Path, targets: Sequence[Target], *, held: int) -> tuple[int, int]:
    process.memory = charge(path, targets)
    begin_peak(process.pid)
    async for _ in process.render(path, targets):
        pass
    return process.memory, _status(process.pid, "VmHWM") - held


def charge(path: Path, targets: Sequence[Target]) -> int:
    header = read_header(path)
    assert header is not None
    return estimate(header, path.stat().st_size, targets)


def begin_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident(pid: int) -> int:
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    """Bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def target(side: int, format: Format) -> Target:
    return Target(side, side, Fit.COVER, format, getattr(Quality(), format, None), "#ffffff", keep_exif=False)


# Originals


@cache
def texture() -> Image.Image:
    """1000 pixels a side of a photograph that fades."""
    picture = photograph("astronaut.png").convert("RGB").resize((1000, 1000))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def mosaic(mode: str, side: int) -> Image.Image:
    tile = texture().convert(mode)
    picture = Image.new(mode, (side, side))
    for left in range(0, side, tile.width):
        for top in range(0, side, tile.height):
            picture.paste(tile, (left, top))
    return picture


def encoded(mode: str, format: str, **options: object) -> Maker:
    return lambda side: save(mosaic(mode, side), format, **options)


def png(depth: int, color: int, *chunks: bytes, interlaced: bool = False) -> Maker:
    """Rows of noise, all alike: decoding takes what any other picture of the kind would."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]

    def make(side: int) -> bytes:
        compressor = zlib.compressobj(1)
        packed = [
            compressor.compress(b"\0" + _noise((width * channels * depth + 7) // 8))
            for width, height in (_passes(side) if interlaced else [(side, side)])
            for _ in range(height)
        ]
        header = bytearray(png_header(side, side, depth, color))
        if interlaced:
            header[28] = 1
            header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
        body = b"".join([*packed, compressor.flush()])
        return b"".join([header, *chunks, chunk(b"IDAT", body), chunk(b"IEND", b"")])

    return make


def _passes(side: int) -> Iterable[tuple[int, int]]:
    """Adam7: columns and rows of each pass."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    return [(-(-(side - left) // across), -(-(side - top) // down)) for left, top, across, down in steps]


@cache
def _noise(length: int) -> bytes:
    return bytes(number * number * 40_503 >> 8 & 255 for number in range(length))


PALETTE = chunk(b"PLTE", bytes(range(256)) * 3)
LOSSY = {"quality": 60, "method": 0}

ORIGINALS: dict[str, Maker] = {
    "JPEG 4:2:0": encoded("RGB", "JPEG", subsampling="4:2:0"),
    "JPEG 4:4:4": encoded("RGB", "JPEG", subsampling="4:4:4"),
    "JPEG grey": encoded("L", "JPEG"),
    "JPEG CMYK": encoded("CMYK", "JPEG"),
    "progressive JPEG 4:2:0": encoded("RGB", "JPEG", subsampling="4:2:0", progressive=True),
    "progressive JPEG 4:4:4": encoded("RGB", "JPEG", subsampling="4:4:4", progressive=True),
    "progressive JPEG grey": encoded("L", "JPEG", progressive=True),
    "progressive JPEG CMYK": encoded("CMYK", "JPEG", progressive=True),
    "PNG 1 bit": png(1, 0),
    "PNG grey": png(8, 0),
    "PNG grey, a colour transparent": png(8, 0, chunk(b"tRNS", b"\0\1")),
    "PNG grey, 16 bits": png(16, 0),
    "PNG grey, 16 bits, a colour transparent": png(16, 0, chunk(b"tRNS", b"\0\1")),
    "PNG palette": png(8, 3, PALETTE),
    "PNG palette, transparent": png(8, 3, PALETTE, chunk(b"tRNS", bytes(range(256)))),
    "PNG RGB": png(8, 2),
    "PNG RGB, interlaced": png(8, 2, interlaced=True),
    "PNG RGB, 16 bits": png(16, 2),
    "PNG RGB, a colour transparent": png(8, 2, chunk(b"tRNS", b"\0\1\0\1\0\1")),
    "PNG grey and alpha": png(8, 4),
    "PNG RGBA": png(8, 6),
    "PNG RGBA, interlaced": png(8, 6, interlaced=True),
    "PNG RGBA, 16 bits": png(16, 6),
    "WebP lossy": encoded("RGB", "WEBP", **LOSSY),
    "WebP lossy, transparent": encoded("RGBA", "WEBP", **LOSSY),
    "WebP lossless, one colour": lambda side: flat_webp(side, side),
}


if __name__ == "__main__":
    main()
