"""The render pool with real workers: same results as in this process, reuse, recycling, and closing."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxy.errors import (
    Refused,
    TooManyPixels,
    TooSmall,
    Undecodable,
    UnsupportedFormat,
)
from proxy.imaging import heic
from proxy.imaging.inspect import inspect
from proxy.model import Format
from proxy.rendering.memory_limits import ENVIRONMENT
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from proxy.services import build_services
from proxy.settings import Settings
from tests.camera import camera_jpeg
from tests.conftest import reads
from tests.photographs import photograph, photograph_bytes
from tests.pictures import chunk, jpeg, jpeg_of_scans, png, png_header, raw_png, save
from tests.unit.proxy.imaging.reference import LIMITS, SNAPSHOT, decoded, rendered, target
from tests.unit.proxy.rendering.pools import (
    LIVE,
    PLENTY,
    ROCKET,
    ROOM,
    SMALL,
    STANDARD,
    gone,
    inspect_with,
    pid,
    pool,
    render,
    rendered_by,
    written,
)
from tests.waiting import GUARD

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Answers


@pytest.mark.heavy
async def test_worker_renders_the_same_bytes_as_the_pipeline(render_pool: RenderPool, tmp_path: Path) -> None:
    original = camera_jpeg(6, SNAPSHOT)

    assert await render(render_pool, written(tmp_path, original), STANDARD) == rendered(original, *STANDARD)


async def test_files_are_yielded_when_ready_with_timings(render_pool: RenderPool) -> None:
    targets = [target(400, 400), target(150, 150), target(150, 150, Format.JPG)]
    async with render_pool.acquire(LIVE, ROOM) as process:
        files = [file async for file in process.render(ROCKET, targets)]

    assert [file.index for file in files] == [1, 2, 0]
    assert [set(file.timings) for file in files] == [
        {"decode", "resize", "encode"},
        {"encode"},
        {"resize", "encode"},
    ]
    assert all(seconds >= 0 for file in files for seconds in file.timings.values())


async def test_declined_targets_are_left_out_and_the_worker_stays(render_pool: RenderPool) -> None:
    targets = [target(400, 400), target(150, 150), target(150, 150, Format.JPG)]
    asked: list[int] = []

    async def accept(index: int) -> bool:
        asked.append(index)
        return index == 2

    async with render_pool.acquire(LIVE, ROOM) as process:
        [file] = [file async for file in process.render(ROCKET, targets, accept)]
        worker = process.pid

    assert asked == [1, 2, 0]
    assert (file.index, file.body) == (2, (await render(render_pool, ROCKET, [targets[2]]))[0])
    assert set(file.timings) == {"decode", "resize", "encode"}
    assert await pid(render_pool) == worker


async def test_worker_inspects_as_the_inspector_does(render_pool: RenderPool) -> None:
    assert await inspect_with(render_pool, ROCKET) == inspect(ROCKET, LIMITS)


@pytest.mark.slow
async def test_two_workers_run_at_the_same_time() -> None:
    async with (
        pool(processes=2) as render_pool,
        render_pool.acquire(LIVE, ROOM) as one,
        render_pool.acquire(LIVE, ROOM) as other,
    ):
        assert one.pid != other.pid
        inspections = await asyncio.gather(one.inspect(ROCKET), other.inspect(ROCKET))

    assert [*inspections] == [inspect(ROCKET, LIMITS)] * 2


@pytest.mark.slow
async def test_many_requests_share_few_workers() -> None:
    targets = [target(side, side) for side in range(100, 120)]
    async with pool(processes=2, max_waiting=100) as render_pool:
        before = {process.pid for process in render_pool._idle}
        files = await asyncio.gather(*(render(render_pool, ROCKET, [one]) for one in targets))
        after = {process.pid for process in render_pool._idle}

    assert [file for (file,) in files] == rendered(photograph_bytes("rocket.jpg"), *targets)
    assert after == before


async def test_worker_is_reused(render_pool: RenderPool) -> None:
    first, before = await pid(render_pool), render_pool._idle[0].requests
    await render(render_pool, ROCKET)
    await render(render_pool, ROCKET)

    assert await pid(render_pool) == first
    assert render_pool._idle[0].requests == before + 2


def environment_of(process_id: int) -> set[bytes]:
    entries = Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0")
    return {entry.split(b"=")[0] for entry in entries if entry}


@reads("/proc/self/environ")
@pytest.mark.skipif(os.geteuid() != 0, reason="workers hide their environment from their own account")
async def test_workers_inherit_no_environment(render_pool: RenderPool) -> None:
    names = environment_of(await pid(render_pool))

    assert names <= {name.encode() for name in ENVIRONMENT} | {b"LC_CTYPE"}  # which Python may set itself


async def test_workers_have_low_priority_and_their_own_process_group(render_pool: RenderPool) -> None:
    worker = await pid(render_pool)

    assert os.getpriority(os.PRIO_PROCESS, worker) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    assert os.getpgid(worker) == worker  # a terminal interrupts the group of its command
    assert os.getsid(worker) == os.getsid(0)  # Linux shares out processors by session first


# Refusals


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("original", "kind", "text"),
    [
        (b"BM" + bytes(100), UnsupportedFormat, "The file is not an image of a format that this server reads."),
        (
            png(Image.new("L", (99, 120))),
            TooSmall,
            "The image is 99x120 pixels. Both sides need at least 100.",
        ),
        (
            png_header(20_000, 20_000) + chunk(b"IDAT", b""),
            TooManyPixels,
            "The image is 20000x20000 pixels. Scale it down to at most 10000 pixels a side.",
        ),
        (
            jpeg(photograph("coffee.png"))[:9000],
            Undecodable,
            "The file is truncated or damaged. Export it again.",
        ),
        (
            jpeg_of_scans(photograph("coffee.png"), 5000),
            Undecodable,
            "The JPEG is split into 5000 scans; 100 is the limit. Export it again.",
        ),
    ],
    ids=["foreign", "small", "large", "cut", "scans"],
)
async def test_refusal_keeps_its_type_and_text_and_its_worker(
    render_pool: RenderPool, tmp_path: Path, original: bytes, kind: type[Refused], text: str
) -> None:
    refused = written(tmp_path, original)
    first = await pid(render_pool)

    with pytest.raises(kind) as of_rendering:
        await render(render_pool, refused)
    with pytest.raises(kind) as of_inspection:
        await inspect_with(render_pool, refused)

    assert await pid(render_pool) == first
    assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)
    assert (str(of_rendering.value), str(of_inspection.value)) == (text, text)


async def test_16_bit_grey_does_not_crash_its_worker(render_pool: RenderPool, tmp_path: Path) -> None:
    grey = written(tmp_path, raw_png(np.full((200, 200), 0x8080), 16))
    first = await pid(render_pool)

    (file,) = await render(render_pool, grey, [target(150, 150, Format.JPG)])

    assert await pid(render_pool) == first
    assert decoded(file).getextrema() == (128, 128)


# Recycling, closing


@pytest.mark.slow
async def test_worker_is_replaced_after_its_number_of_requests() -> None:
    async with pool(recycle=3) as render_pool:
        first = await pid(render_pool)
        for _ in range(2):
            await render(render_pool, ROCKET)
        assert await pid(render_pool) == first

        await render(render_pool, ROCKET)

        assert await gone(first)
        assert await render(render_pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)
        assert await pid(render_pool) != first


@pytest.mark.slow
async def test_limit_of_one_original_per_process_is_kept(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, render_processes=2, render_originals_per_process=1, render_timeout=GUARD)
    render_pool = build_services(settings).pool
    readers: list[int] = []

    async def read(work: Callable[[RenderWorker], Awaitable[object]]) -> None:
        async with render_pool.acquire(LIVE, ROOM) as process:
            readers.append(process.pid)
            await work(process)

    await render_pool.start()
    try:
        kinds = [lambda process: process.inspect(ROCKET), lambda process: rendered_by(process, ROCKET)]
        await asyncio.gather(*(read(work) for work in kinds * 3))
    finally:
        await render_pool.close()

    assert len(readers) == 6
    assert len(set(readers)) == 6


@pytest.mark.slow
async def test_close_leaves_no_process() -> None:
    async with pool(processes=2) as render_pool:
        await render(render_pool, ROCKET)
        ids = [process.pid for process in render_pool._idle]
        assert len(ids) == 2

    for process_id in ids:
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)


@pytest.mark.heavy
async def test_close_leaves_no_replacement_that_was_starting() -> None:
    async with pool(processes=2) as render_pool, render_pool.acquire(LIVE, ROOM) as process:
        process.is_idle = False  # as after an answer that was not read completely

    assert render_pool._background == set()
    assert render_pool._idle == []


@pytest.mark.heavy
async def test_close_ends_a_busy_worker() -> None:
    render_pool = RenderPool(LIMITS, processes=1, memory_mb=PLENTY, process_mb=PLENTY, timeout=GUARD, max_waiting=0)
    await render_pool.start()
    async with render_pool.acquire(LIVE, ROOM) as process:
        at_work = process.pid
        await render_pool.close()

    ended = await gone(at_work)
    await render_pool.close()  # so that this test leaves nothing behind either way
    assert ended


@pytest.mark.heavy
async def test_locked_worker_decodes_every_format(tmp_path: Path) -> None:
    """One worker, which may load nothing more and open no file, also after damaged files of each format."""
    heic.load()
    image = photograph("coffee.png").convert("RGB").resize((160, 120))
    fax = save(image.convert("1"), "TIFF", compression="group4")
    files = [save(image, name) for name in ("AVIF", "HEIF")] + [save(image.quantize(8), "GIF"), fax]
    files += [save(image, "TIFF", compression=each) for each in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg")]
    async with pool(sandbox="auto", process_mb=512) as render_pool:
        worker = await pid(render_pool)
        for file in files:
            path = written(tmp_path, file)
            seen = await inspect_with(render_pool, path)
            assert (seen.width, seen.height) == (160, 120)
            assert len(await render(render_pool, path)) == 1
            with pytest.raises(Refused):
                await inspect_with(render_pool, written(tmp_path, file[: len(file) // 3]))
        assert await pid(render_pool) == worker
