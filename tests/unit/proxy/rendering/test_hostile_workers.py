"""A stand-in for a render worker that a hostile image has taken over: it says what it likes, to a real pool."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import pytest
from starlette.applications import Starlette

from proxy.errors import RenderFailed
from proxy.imaging.inspect import inspect
from proxy.rendering.memory_limits import resident_bytes
from proxy.rendering.pool import RenderPool
from proxy.rendering.render_worker import RenderWorker
from proxy.telemetry import Metrics
from proxy.web.health import health_routes
from tests.asgi import ask
from tests.conftest import reads
from tests.fakes import eventually, sample
from tests.photographs import photograph_bytes
from tests.unit.proxy.imaging.reference import LIMITS, rendered, target
from tests.unit.proxy.rendering.pools import (
    LIVE,
    PLENTY,
    ROCKET,
    ROOM,
    SMALL,
    gone,
    inspect_with,
    render,
    rendered_by,
)
from tests.waiting import GUARD

pytestmark = pytest.mark.heavy

# Waits for a request, sends the answer, then the same bytes again without end if it is told to.
STAND_IN = """
import ast, socket, sys
connection = socket.socket(fileno=0)
connection.sendall(b'{"ready": true, "locks": []}\\n')
connection.recv(65536)
answer, repeated = ast.literal_eval(sys.argv[1])
connection.sendall(answer)
while repeated:
    connection.sendall(repeated)
while connection.recv(65536):
    pass
"""
PRINTING = r"""
import os
os.write(2, b'\x1b[31mhello\r\n' + b'y' * 1000 + b'\n')
os.write(0, b'{"ready": true, "locks": []}\n')
while True:
    os.write(1, b'x\n' * 4000)
"""
HTML = b"<!doctype html><script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
TWO = [target(150, 150), target(160, 160)]
DONE = b'{"done": true}\n'


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def file(body: bytes = PNG, **changes: object) -> bytes:
    return line({"index": 0, "length": len(body), "timings": {"decode": 0.1}, **changes}) + body


def inspection(**changes: object) -> bytes:
    return line({**asdict(inspect(ROCKET, LIMITS)), **changes}) + DONE


class Infiltrated(RenderPool):
    """Its first worker is the stand-in."""

    def __init__(self, answer: bytes, repeated: bytes, metrics: Metrics, timeout: float) -> None:
        super().__init__(
            LIMITS,
            processes=1,
            memory_mb=PLENTY,
            process_mb=PLENTY,
            timeout=timeout,
            max_waiting=10,
            metrics=metrics,
        )
        self._program: tuple[str, ...] | None = ("-c", STAND_IN, repr((answer, repeated)))

    async def _start_worker(self) -> RenderWorker:
        if not (program := self._program):
            return await super()._start_worker()
        self._program = None
        return await RenderWorker.start(LIMITS, PLENTY, self._timeout, program=program)


@asynccontextmanager
async def infiltrated(
    answer: bytes, repeated: bytes = b"", *, timeout: float = GUARD
) -> AsyncIterator[tuple[RenderPool, Metrics]]:
    metrics = Metrics()
    pool = Infiltrated(answer, repeated, metrics, timeout)
    await pool.start()
    try:
        yield pool, metrics
    finally:
        await pool.close()


async def assert_next_request_works(pool: RenderPool, metrics: Metrics, hostile: int) -> None:
    assert await gone(hostile)
    assert await render(pool, ROCKET) == rendered(photograph_bytes("rocket.jpg"), *SMALL)
    await eventually(lambda: sample(metrics, "darkroom_render_ended_total", reason="invalid") == 1)


SAID_TO_RENDERINGS: dict[str, tuple[bytes, bytes]] = {
    "length of a terabyte": (file(length=10**12), b"x" * (1 << 15)),
    "length beyond the pixels": (file(length=500_000), b""),
    "negative length": (file(length=-5), b""),
    "html": (file(HTML), b""),
    "index out of range": (file(index=99), b""),
    "negative index": (file(index=-1), b""),
    "timings of text": (file(timings="long"), b""),
    "timings that are not numbers": (file(timings={"decode": "1"}), b""),
    "timings of nan": (file().replace(b"0.1", b"NaN", 1), b""),
    "CR LF in a name": (file(timings={"decode\r\nx: y": 1}), b""),
    "unknown stage": (file(timings={"sleep": 1}), b""),
    "deeply nested": (b"[" * 60_000 + b"\n", b""),
    "nested below the line limit": (b'{"done":' * 900 + b"\n", b""),
    "key missing": (line({"index": 0, "length": 5}), b""),
    "key too much": (file(more=1), b""),
    "done at once": (DONE, b""),
    "a question that was not allowed": (line({"next": 0}), b""),
    "a measurement that was not asked for": (file(measured={"quality": 80, "score": 80}), b""),
    "an inspection": (inspection(), b""),
    "no JSON": (b"\xff\xfe\n", b""),
    "refusal of an unknown kind": (line({"refused": "internal", "detail": "x"}) + DONE, b""),
    "refusal with a line break": (line({"refused": "too_small", "detail": "a\nb"}) + DONE, b""),
    "refusal without an end": (line({"refused": "too_small", "detail": "a"}) + file(), b""),
    "line without end": (b"", b"x" * (1 << 15)),
}


SAMPLE = {"length of a terabyte", "html", "index out of range", "deeply nested", "refusal without an end"}
"""One for each check of the server. test_worker_answers.py gives it every answer, without processes."""


@pytest.mark.parametrize(
    ("answer", "repeated"),
    [
        pytest.param(*said, id=name, marks=pytest.mark.slow if name in SAMPLE else pytest.mark.long)
        for name, said in SAID_TO_RENDERINGS.items()
    ],
)
async def test_invalid_answer_to_a_rendering_is_render_failed(answer: bytes, repeated: bytes) -> None:
    async with infiltrated(answer, repeated) as (pool, metrics):
        async with pool.acquire(LIVE, ROOM) as hostile:
            with pytest.raises(RenderFailed, match="sent"):
                [file async for file in hostile.render(ROCKET, SMALL)]

        await assert_next_request_works(pool, metrics, hostile.pid)


async def test_repeated_index_is_render_failed_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with infiltrated(file() + file()) as (pool, metrics):
        async with pool.acquire(LIVE, ROOM) as hostile:
            files = hostile.render(ROCKET, TWO)
            assert (await anext(files)).index == 0
            with pytest.raises(RenderFailed, match="a file that was not asked for"):
                await anext(files)

        await assert_next_request_works(pool, metrics, hostile.pid)
        assert "render process may have been taken over" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(line({"next": 0}) + line({"next": 1}), id="two questions", marks=pytest.mark.long),
        pytest.param(line({"next": 2}), id="out of range", marks=pytest.mark.slow),
        pytest.param(line({"next": 0}) + file(index=1), id="another file", marks=pytest.mark.long),
        pytest.param(line({"next": 0}) + file() + line({"next": 0}), id="a question twice", marks=pytest.mark.slow),
        pytest.param(line({"next": 0}) + file() + DONE, id="a question too few", marks=pytest.mark.long),
        pytest.param(file(), id="none", marks=pytest.mark.long),
    ],
)
async def test_invalid_question_is_render_failed(answer: bytes) -> None:
    async def accept(index: int) -> bool:
        return True

    async with infiltrated(answer) as (pool, metrics):
        async with pool.acquire(LIVE, ROOM) as hostile:
            with pytest.raises(RenderFailed, match="sent"):
                [file async for file in hostile.render(ROCKET, TWO, accept)]

        await assert_next_request_works(pool, metrics, hostile.pid)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "png"},
        *(
            pytest.param(changes, marks=pytest.mark.long)
            for changes in (
                {"thumbhash": "'"},
                {"color": "red"},
                {"width": 0},
                {"width": "1'"},
                {"height": 10**9},
                {"format": "svg+xml"},
                {"alpha": "yes"},
                {"private": ["location"] * 2},
                {"more": 1},
            )
        ),
    ],
    ids=str,
)
async def test_invalid_inspection_is_render_failed(changes: dict[str, Any]) -> None:
    async with infiltrated(inspection(**changes)) as (pool, metrics):
        hostile = pool._idle[0].pid
        with pytest.raises(RenderFailed, match="sent"):
            await inspect_with(pool, ROCKET)

        await assert_next_request_works(pool, metrics, hostile)


@reads("/proc/self/statm")
async def test_endless_answer_takes_no_memory_and_leaves_the_server_responsive() -> None:
    """The worker sends an allowed length, then no end of bytes: only the announced ones are read."""
    async with infiltrated(file(length=70_000), b"x" * (1 << 15)) as (pool, metrics):
        app = Starlette(routes=health_routes({}, metrics))
        before = resident_bytes()
        async with pool.acquire(LIVE, ROOM) as hostile:
            files = asyncio.create_task(rendered_by(hostile, ROCKET))
            for _ in range(20):
                assert (await ask(app, "/healthz")).status == 200
            with pytest.raises(RenderFailed, match="sent an endless line"):
                await files

        await assert_next_request_works(pool, metrics, hostile.pid)
        assert resident_bytes() < before + (100 << 20)


async def test_flood_of_printed_text_is_logged_in_part_and_holds_up_the_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = await RenderWorker.start(LIMITS, PLENTY, GUARD, program=("-c", PRINTING))
    output = ""

    def has_logged() -> bool:
        nonlocal output
        output += capsys.readouterr().out
        return "output omitted" in output

    await eventually(has_logged)
    await worker.stop()

    output += capsys.readouterr().out
    assert "hello" in output
    assert "\x1b[31mhello" not in output
    assert "y" * 500 in output
    assert "y" * 501 not in output
    assert output.count("render process output") < 500
