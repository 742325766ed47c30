"""The memory of derivations, measured and estimated: `python -m benchmarks.memory [SIDE...]`, Linux only.

Run it after a change of decoders or encoders, and correct the tables in `proxy/rendering/memory_estimate.py`: nothing
may take more than its estimate, and the estimates of large images should be at most 1.3 times the measured memory. It
takes minutes and 2 GB.
"""

import asyncio
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
import numpy as np
from PIL import Image

from benchmarks.report import table
from proxy.imaging import heic
from proxy.imaging.header import read_header
from proxy.imaging.limits import Limits
from proxy.imaging.target import Target
from proxy.model import Fit, Format, Position
from proxy.rendering.memory_estimate import estimate
from proxy.rendering.render_worker import RenderWorker
from proxy.settings import RENDER_IDLE_MB, Quality
from tests.icc_profiles import DISPLAY_P3
from tests.photographs import photograph
from tests.pictures import animated, chunk, disc, flat_webp, png_header, raw_tiff, save

LIMITS = Limits(1, 16_383)
SIDES = (1000, 5000, 10_000)
ADDRESS_SPACE_MB = 16_384
PATIENCE = 120  # seconds
MB = 1 << 20

LIBVIPS, PILLOW = "libvips", "Pillow"
DECODERS = {name: (str(Path(__file__).with_name("visible_child.py")), name) for name in (LIBVIPS, PILLOW)}
"""The programs of a render process, by the library that decodes PNG and WebP."""
FIGURES = ("charged, MB", "taken, MB", "charged / taken")

Maker = Callable[[int], bytes]


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


async def compare(path: Path, targets: Sequence[Target], decoder: str) -> tuple[int, int]:
    """Returns the estimate for a fresh process, and its measured peak above the idle process, in bytes."""
    async with fresh(decoder) as process:
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
    return replace(wanted, score=chance.choice((None, 80.0)) if wanted.quality else None)


@asynccontextmanager
async def fresh(decoder: str) -> AsyncIterator[RenderWorker]:
    process = await RenderWorker.start(LIMITS, ADDRESS_SPACE_MB, PATIENCE, searches=True, program=DECODERS[decoder])
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
    return estimate(header, path.stat().st_size, targets, by_vips=decoder == LIBVIPS)


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


# Originals


@cache
def texture() -> Image.Image:
    """Returns a photograph of 1000 pixels a side that fades to transparent."""
    picture = photograph("astronaut.png").convert("RGB").resize((1000, 1000))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def encoded(mode: str, format: str, **options: object) -> Maker:
    def make(side: int) -> bytes:
        if format == "HEIF":
            heic.load()
        return save(mosaic(mode, side), format, **options)

    return make


def mosaic(mode: str, side: int) -> Image.Image:
    tile = texture().convert(mode)
    picture = Image.new(mode, (side, side))
    for left in range(0, side, tile.width):
        for top in range(0, side, tile.height):
            picture.paste(tile, (left, top))
    return picture


def png(depth: int, color: int, *chunks: bytes, interlaced: bool = False) -> Maker:
    """Returns a maker of PNG files with identical rows of noise, which take as much memory to decode as any image."""
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
    """Returns the columns and rows of each pass of Adam7."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    return [(-(-(side - left) // across), -(-(side - top) // down)) for left, top, across, down in steps]


@cache
def _noise(length: int) -> bytes:
    return bytes(number * number * 40_503 >> 8 & 255 for number in range(length))


def tiff(depth: int, channels: int) -> Maker:
    """Returns a maker of TIFF files in one strip of noise, the worst case for the decoder."""

    def make(side: int) -> bytes:
        row = np.frombuffer(_noise(side * channels * depth // 8), f"u{depth // 8}")
        return raw_tiff(np.broadcast_to(row, (side, row.size)).reshape(side, side, channels))

    return make


def partial_gif(side: int) -> bytes:
    """Returns a GIF whose image lies in the middle of a larger screen."""
    file = bytearray(save(mosaic("P", side // 2), "GIF", transparency=3))
    file[6:10] = struct.pack("<HH", side, side)
    at = file.index(b",", 13 + (3 << (file[10] & 7) + 1))
    file[at + 1 : at + 5] = struct.pack("<HH", side // 4, side // 4)
    return bytes(file)


PALETTE = chunk(b"PLTE", bytes(range(256)) * 3)
LOSSY = {"quality": 60, "method": 0}
FAST = {"quality": 40, "speed": 10, "max_threads": 2}
LOSSLESS = {"lossless": True, "quality": 0, "method": 0}

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
    "PNG grey, interlaced": png(8, 0, interlaced=True),
    "PNG grey, 16 bits": png(16, 0),
    "PNG grey, 16 bits, a colour transparent": png(16, 0, chunk(b"tRNS", b"\0\1")),
    "PNG palette": png(8, 3, PALETTE),
    "PNG palette, transparent": png(8, 3, PALETTE, chunk(b"tRNS", bytes(range(256)))),
    "PNG RGB": png(8, 2),
    "PNG RGB, interlaced": png(8, 2, interlaced=True),
    "PNG RGB, 16 bits, a colour transparent": png(16, 2, chunk(b"tRNS", b"\0\1\0\1\0\1")),
    "PNG RGB, 16 bits": png(16, 2),
    "PNG RGB, a colour transparent": png(8, 2, chunk(b"tRNS", b"\0\1\0\1\0\1")),
    "PNG grey and alpha": png(8, 4),
    "PNG RGBA": png(8, 6),
    "PNG RGBA, interlaced": png(8, 6, interlaced=True),
    "PNG RGBA, 16 bits": png(16, 6),
    "WebP lossy": encoded("RGB", "WEBP", **LOSSY),
    "WebP lossy, transparent": encoded("RGBA", "WEBP", **LOSSY),
    "WebP lossless": encoded("RGB", "WEBP", **LOSSLESS),
    "WebP lossless, transparent": encoded("RGBA", "WEBP", **LOSSLESS),
    "WebP animated": lambda side: animated(mosaic("RGB", side), "WEBP"),
    "AVIF 4:2:0": encoded("RGB", "AVIF", **FAST),
    "AVIF 4:4:4": encoded("RGB", "AVIF", subsampling="4:4:4", **FAST),
    "AVIF, transparent": encoded("RGBA", "AVIF", **FAST),
    "HEIC 4:2:0": encoded("RGB", "HEIF", quality=40),
    "HEIC, transparent": encoded("RGBA", "HEIF", quality=40),
    "GIF": encoded("P", "GIF"),
    "GIF, transparent, smaller than its screen": partial_gif,
    "TIFF 1 bit, fax": encoded("1", "TIFF", compression="group4"),
    "TIFF grey": tiff(8, 1),
    "TIFF grey, 16 bits": tiff(16, 1),
    "TIFF RGB": tiff(8, 3),
    "TIFF RGB, 16 bits": tiff(16, 3),
    "TIFF RGB, LZW": encoded("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF RGB, JPEG": encoded("RGB", "TIFF", compression="jpeg"),
    "TIFF RGB, uncompressed": encoded("RGB", "TIFF"),
    "TIFF RGBA": tiff(8, 4),
    "TIFF RGBA, 16 bits": tiff(16, 4),
    "TIFF palette": encoded("P", "TIFF", compression="tiff_lzw"),
    "TIFF CMYK": encoded("CMYK", "TIFF", compression="tiff_lzw"),
    "WebP lossless, one colour": lambda side: flat_webp(side, side),
}


if __name__ == "__main__":
    main()
