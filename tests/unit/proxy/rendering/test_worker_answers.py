"""The strict parser of what a render worker says."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from proxy import errors
from proxy.errors import RenderFailed
from proxy.imaging.animation.animation_limits import MAX_ENCODED
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured
from proxy.model import Fit, Format
from proxy.rendering import worker_answers as answers
from proxy.rendering.memory_limits import IDLE_ALLOWANCE
from proxy.rendering.protocol import encode_message, refusal_message
from tests.unit.proxy.imaging.reference import LIMITS, target
from tests.unit.proxy.rendering.worker_messages import (
    BODIES,
    FILE,
    INSPECTION,
    JPEG,
    MB,
    MEASURED,
    OPEN,
    REFUSED,
    SQUARE,
    parse,
    without,
)


def test_inspection_survives_the_round_trip() -> None:
    said = parse(asdict(INSPECTION), answers.TO_INSPECTION)

    assert answers.to_inspection(said, LIMITS, JPEG) == INSPECTION


def test_messages_of_a_rendering_are_distinguished() -> None:
    file = parse(MEASURED)

    assert (file.index, file.length, file.timings) == (3, 1000, {"decode": 0.25, "encode": 0})
    assert file.measurement() == Measured(80, 79.5)
    assert parse(FILE).measurement() is None
    assert parse({"next": 0}) == answers.Next(next=0)
    assert parse({"done": True}) == answers.Done(done=True)
    assert parse({"ready": True, "locks": ["seccomp"]}, answers.READY).locks == ["seccomp"]


def test_ready_worker_names_a_damaged_watermark_by_its_digest_alone() -> None:
    ready = {"ready": True, "locks": []}

    assert parse(ready, answers.READY).damaged is None
    assert parse(ready | {"damaged": "a" * 64}, answers.READY).damaged == "a" * 64
    for text in ("", "a" * 63, "A" * 64, "a" * 64 + "\n", "logo.png", 5, ["a" * 64]):
        with pytest.raises(RenderFailed):
            parse(ready | {"damaged": text}, answers.READY)


REFUSALS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.Refused)
    and kind not in (errors.Refused, errors.OriginalDamaged)
]


@pytest.mark.parametrize("kind", REFUSALS)
def test_refusal_keeps_its_type_and_text(kind: type[errors.ServiceError]) -> None:
    message = encode_message(refusal_message(kind("Send another. Größe: 99x99")))

    error = answers.to_error(answers.parse(message, answers.TO_INSPECTION))

    assert type(error) is kind
    assert str(error) == "Send another. Größe: 99x99"


def test_refusal_with_control_characters_raises() -> None:
    with pytest.raises(RenderFailed):
        answers.to_error(parse({**REFUSED, "detail": "a\r\nSet-Cookie: b"}))


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"\n", b"[]", b"null", b"1", b'"done"', b"{", b"{}", b"\xff\xfe", b'{"done": true} {"done": true}'),
        b"[" * 60_000,
        b'{"done":' * 1000 + b"1" + b"}" * 1000,
        b'{"index": 0, "length": 1, "timings": {"decode": NaN}}',
        b'{"index": 0, "length": 1, "timings": {"decode": Infinity}}',
        b'{"index": 0, "length": 1, "timings": {"decode": 1e999}}',
        b'{"index": 0, "length": 1e3, "timings": {}}',
        b'{"index": 1' + b"0" * 5000 + b', "length": 1, "timings": {}}',
        b'{"next": "\xff"}',
    ],
)
def test_line_that_is_no_message_raises(line: bytes) -> None:
    with pytest.raises(RenderFailed):
        answers.parse(line, answers.TO_RENDERING)


@pytest.mark.parametrize(
    "message",
    [
        *(without(FILE, key) for key in FILE),
        {**FILE, "more": 1},
        {**FILE, "index": -1},
        {**FILE, "index": "3"},
        {**FILE, "index": True},
        {**FILE, "index": None},
        {**FILE, "length": -5},
        {**FILE, "length": 0},
        {**FILE, "length": 10.5},
        {**FILE, "timings": "long"},
        {**FILE, "timings": {"decode": "long"}},
        {**FILE, "timings": {"decode": -0.1}},
        {**FILE, "timings": {"decode": True}},
        {**FILE, "timings": {"decode": 1e308}},
        {**FILE, "timings": {"upload": 0.1}},
        {**FILE, "timings": {"decode\r\nSet-Cookie: a": 0.1}},
        {**FILE, "timings": {"decode\n": 0.1}},
        {**FILE, "measured": {"quality": 0, "score": 1.0}},
        {**FILE, "measured": {"quality": 101, "score": 1.0}},
        {**FILE, "measured": {"quality": "x", "score": 1.0}},
        {**FILE, "measured": {"quality": 80}},
        {"done": False},
        {"done": True, "next": 1},
        {"next": -1},
        {"next": 1.5},
        {"ready": True},
        {**REFUSED, "refused": "unauthorized"},
        {**REFUSED, "refused": "__class__"},
        {**REFUSED, "detail": ""},
        {**REFUSED, "detail": "x" * 301},
        {**REFUSED, "detail": 5},
        without(REFUSED, "detail"),
        asdict(INSPECTION),
    ],
)
def test_message_with_an_impossible_field_raises(message: object) -> None:
    with pytest.raises(RenderFailed):
        parse(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"color": "red"},
        {"color": "#a0b0c0\n"},
        {"color": "#A0B0C0"},
        {"width": 0},
        {"width": 99},
        {"height": 10_001},
        {"width": "1'"},
        {"width": 640.0},
        {"format": "svg+xml"},
        {"format": "jpg"},
        {"thumbhash": '"><script>'},
        {"thumbhash": "A" * 60},
        {"thumbhash": ""},
        {"thumbhash": "AAAA"},
        {"thumbhash": "AAAAA"},
        {"thumbhash": "AAAAAA=="},
        {"alpha": 1},
        {"animated": "no"},
        {"private": ["secret"]},
        {"private": ["location", "location"]},
        {"private": "location"},
        {"private_exif": ["time"] * 8},
        {"private_exif": None},
        {"more": 1},
    ],
)
def test_inspection_with_an_impossible_field_raises(changes: dict[str, Any]) -> None:
    with pytest.raises(RenderFailed):
        answers.to_inspection(parse(asdict(INSPECTION) | changes, answers.TO_INSPECTION), LIMITS, JPEG)


@pytest.mark.parametrize("head", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"RIFF\0\0\0\0WEBP"])
def test_inspection_with_another_format_than_the_files_raises(head: bytes) -> None:
    with pytest.raises(RenderFailed, match="another format"):
        answers.to_inspection(parse(asdict(INSPECTION), answers.TO_INSPECTION), LIMITS, head)


@pytest.mark.parametrize("key", asdict(INSPECTION))
def test_inspection_without_a_field_raises(key: str) -> None:
    with pytest.raises(RenderFailed):
        parse(without(asdict(INSPECTION), key), answers.TO_INSPECTION)


def test_errors_quote_nothing_from_the_worker() -> None:
    with pytest.raises(RenderFailed) as caught:
        parse({**FILE, "<script>": 1})

    assert "script" not in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "memory", "most"),
    [
        (SQUARE, 100 * MB, 8 * 100 * 100 + 65536),
        (replace(SQUARE, keep_exif=True), 100 * MB, 8 * 100 * 100 + 65536 + 5000),
        (OPEN, 100 * MB, 8 * 200 * 1000 + 65536),
        (replace(SQUARE, fit=Fit.PAD, enlarge=False, sharpen=5.0), 100 * MB, 8 * 100 * 100 + 65536),
        (target(10_000, 10_000), 100 * MB, 100 * MB + IDLE_ALLOWANCE),
        (replace(SQUARE, animated=True), 100 * MB, 8 * MAX_ENCODED + 65536),
        (replace(target(4000, 4000), animated=True), 1000 * MB, 8 * 4000 * 4000 + 65536),
        (replace(SQUARE, animated=True), 10 * MB, 10 * MB + IDLE_ALLOWANCE),
    ],
)
def test_length_is_bounded_by_the_pixels_and_the_memory(wanted: Any, memory: int, most: int) -> None:
    limits = Limits(1, 1000)

    def check(length: int) -> None:
        answers.check_head(parse({**FILE, "length": length}), wanted, limits, original=5000, memory=memory)

    check(most)
    for length in (most + 1, 10**12):
        with pytest.raises(RenderFailed):
            check(length)


def test_measurement_of_a_fixed_quality_raises() -> None:
    searched = replace(SQUARE, score=80)
    answers.check_head(parse(MEASURED), searched, LIMITS, original=1, memory=MB)
    with pytest.raises(RenderFailed):
        answers.check_head(parse(MEASURED), SQUARE, LIMITS, original=1, memory=MB)


@pytest.mark.parametrize("format", Format)
def test_body_must_begin_as_its_format(format: Format) -> None:
    answers.check_body(BODIES[format], format)
    for other in (
        *(body for each, body in BODIES.items() if each is not format),
        b"<!doctype html><script>",
        b"",
        b"RIFF",
    ):
        with pytest.raises(RenderFailed):
            answers.check_body(other, format)
