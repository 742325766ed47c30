"""A real render process judges any bytes, and stays alive, idle and the same process."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.imaging import heic
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import Limits
from proxy.rendering.admission import Priority
from proxy.rendering.pool import RenderPool
from tests.hostile.containers import PLAIN
from tests.hostile.corpus import wholes
from tests.pictures import save

heic.load()
OTHERS = [
    *(save(PLAIN, "TIFF", compression=each) for each in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
    save(PLAIN.convert("1"), "TIFF", compression="group4"),
    save(PLAIN.quantize(16), "GIF", save_all=True, append_images=[PLAIN.rotate(90).quantize(16)]),
    save(PLAIN, "AVIF", max_threads=1),
    save(PLAIN, "HEIF"),
]
"""Originals of formats that `ACCEPT` may name."""
WHOLES = [*wholes().values(), *OTHERS]
STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x40\0\0\0WEBP",
    b"RIFF\x40\0\0\0WEBPVP8X",
    b"GIF89a\x80\0\x80\0\0\0\0,",
    b"II*\0\x08\0\0\0\x09\0",
    *(file[:200] for file in OTHERS[-2:]),
]


class Judge:
    """One render process, called from synchronous tests."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._pool = RenderPool(
            Limits(100, 10_000), processes=1, memory_mb=1024, process_mb=1024, timeout=20, max_waiting=1, recycle=10_000
        )
        self._runner.run(self._pool.start())

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._pool._idle]

    def judge(self, path: Path) -> Inspection | Refused:
        return self._runner.run(self._judge(path))

    async def _judge(self, path: Path) -> Inspection | Refused:
        try:
            async with self._pool.acquire(Priority.LIVE, await self._pool.estimate_memory(path)) as process:
                return await process.inspect(path)
        except Refused as error:
            return error

    def close(self) -> None:
        self._runner.run(self._pool.close())
        self._runner.close()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = Judge()
    yield judge
    judge.close()


def check(judge: Judge, path: Path, content: bytes) -> None:
    before = judge.pids
    path.write_bytes(content)

    verdict = judge.judge(path)

    assert judge.pids == before
    if isinstance(verdict, Inspection):
        assert 100 <= min(verdict.width, verdict.height) <= max(verdict.width, verdict.height) <= 10_000
    else:
        assert str(verdict) != verdict.title


@pytest.mark.slow
@pytest.mark.promise("A1")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_random_bytes_are_refused_or_inspected(judge: Judge, tmp_path: Path, start: bytes, rest: bytes) -> None:
    check(judge, tmp_path / "file", start + rest)


@pytest.mark.slow
@pytest.mark.promise("A1")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=st.sampled_from(WHOLES), seed=st.integers(0, 2**32), edits=st.integers(1, 6))
def test_mutated_files_are_refused_or_inspected(
    judge: Judge, tmp_path: Path, whole: bytes, seed: int, edits: int
) -> None:
    chance, content = random.Random(seed), bytearray(whole)
    for _ in range(edits):
        at, length = chance.randrange(len(content)), chance.choice([1, 4, 64, 2000])
        piece = content[at : at + length]
        match chance.choice(["change", "remove", "double", "move"]):
            case "change":
                content[at : at + length] = chance.randbytes(len(piece))
            case "remove":
                del content[at : at + length]
            case "double":
                content[at:at] = piece
            case "move":
                del content[at : at + length]
                to = chance.randrange(len(content) + 1)
                content[to:to] = piece

    check(judge, tmp_path / "file", bytes(content) or b"\0")
