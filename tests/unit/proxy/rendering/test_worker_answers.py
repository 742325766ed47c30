"""The strict parser of what a render worker says."""

import json
from base64 import b64encode
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import errors
from proxy.errors import RenderFailed
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import Limits
from proxy.imaging.target import Measured
from proxy.model import Fit, Format
from proxy.rendering import worker_answers as answers
from proxy.rendering.memory_limits import KEPT
from proxy.rendering.protocol import encode_message, refusal_message
from tests.unit.proxy.imaging.reference import LIMITS, target

INSPECTION = Inspection(
    "jpeg", 640, 427, b64encode(bytes(25)).decode(), "#a0b0c0", False, True, ["location", "serial"], []
)
FILE = {"index": 3, "length": 1000, "timings": {"decode": 0.25, "encode": 0}}
MEASURED = {**FILE, "measured": {"quality": 80, "score": 79.5}}
REFUSED = {"refused": "too_small", "detail": "The image is 99x120 pixels. Größe!"}
MB = 1 << 20


def parse(message: object, expected: Any = answers.TO_RENDERING) -> Any:
    return answers.parse(json.dumps(message).encode() + b"\n", expected)


def without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


def test_inspection_survives_the_round_trip() -> None:
    said = parse(asdict(INSPECTION), answers.TO_INSPECTION)

    assert answers.to_inspection(said, LIMITS) == INSPECTION


def test_messages_of_a_rendering_are_told_apart() -> None:
    file = parse(MEASURED)

    assert (file.index, file.length, file.timings) == (3, 1000, {"decode": 0.25, "encode": 0})
    assert file.measurement() == Measured(80, 79.5)
    assert parse(FILE).measurement() is None
    assert parse({"next": 0}) == answers.Next(next=0)
    assert parse({"done": True}) == answers.Done(done=True)
    assert parse({"ready": True, "locks": ["seccomp"]}, answers.READY).locks == ["seccomp"]


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
        answers.to_inspection(parse(asdict(INSPECTION) | changes, answers.TO_INSPECTION), LIMITS)


@pytest.mark.parametrize("key", asdict(INSPECTION))
def test_inspection_without_a_field_raises(key: str) -> None:
    with pytest.raises(RenderFailed):
        parse(without(asdict(INSPECTION), key), answers.TO_INSPECTION)


def test_errors_quote_nothing_that_was_said() -> None:
    with pytest.raises(RenderFailed) as caught:
        parse({**FILE, "<script>": 1})

    assert "script" not in str(caught.value)


# Lengths and bodies

SQUARE, OPEN = target(100, 100), target(200, None, fit=Fit.INSIDE)


@pytest.mark.parametrize(
    ("wanted", "memory", "most"),
    [
        (SQUARE, 100 * MB, 8 * 100 * 100 + 65536),
        (replace(SQUARE, keep_exif=True), 100 * MB, 8 * 100 * 100 + 65536 + 5000),
        (OPEN, 100 * MB, 8 * 200 * 1000 + 65536),
        (replace(SQUARE, fit=Fit.PAD, enlarge=False, sharpen=5.0), 100 * MB, 8 * 100 * 100 + 65536),
        (target(10_000, 10_000), 100 * MB, 100 * MB + KEPT),
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


BODIES = {
    Format.JPG: b"\xff\xd8\xff\xe0" + bytes(20),
    Format.PNG: b"\x89PNG\r\n\x1a\n" + bytes(20),
    Format.WEBP: b"RIFF\x1a\0\0\0WEBPVP8 " + bytes(20),
    Format.AVIF: b"\0\0\0\x1cftypavif" + bytes(20),
}


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


# Anything

EXPECTED = [answers.READY, answers.DONE, answers.TO_INSPECTION, answers.TO_RENDERING]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
VALID: list[dict[str, Any]] = [
    FILE,
    MEASURED,
    REFUSED,
    asdict(INSPECTION),
    {"next": 1},
    {"done": True},
    {"ready": True},
]


def accept_or_refuse(line: bytes) -> None:
    """Any outcome but a valid message or RenderFailed fails the test."""
    for expected in EXPECTED:
        try:
            said: Any = answers.parse(line, expected)
            if isinstance(said, answers.Inspected):
                inspection = answers.to_inspection(said, LIMITS)
                assert LIMITS.min_side <= min(inspection.width, inspection.height)
                assert max(inspection.width, inspection.height) <= LIMITS.max_side
            elif isinstance(said, answers.Refusal):
                assert str(answers.to_error(said)).isprintable()
            elif isinstance(said, answers.FileHead):
                answers.check_head(said, SQUARE, LIMITS, original=1, memory=MB)
                assert 0 < said.length <= answers.max_length(SQUARE, LIMITS, 1, MB)
                assert all(0 <= seconds < float("inf") for seconds in said.timings.values())
                assert set(said.timings) <= {"decode", "resize", "encode"}
        except RenderFailed:
            pass


@given(st.binary(max_size=500))
def test_any_bytes_are_parsed_or_refused(line: bytes) -> None:
    accept_or_refuse(line)


@given(st.sampled_from(VALID), st.data())
def test_changed_messages_are_parsed_or_refused(message: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([*message, "more"]))
    accept_or_refuse(json.dumps({**message, key: data.draw(JSON)}).encode())


@given(st.sampled_from(VALID), st.integers(0, 400), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_messages_are_parsed_or_refused(
    message: dict[str, Any], at: int, inserted: bytes, removed: int
) -> None:
    line = encode_message(message)
    accept_or_refuse(line[:at] + inserted + line[at + removed :])


@given(st.sampled_from(Format), st.binary(max_size=40))
def test_any_body_is_accepted_or_refused(format: Format, body: bytes) -> None:
    try:
        answers.check_body(body, format)
    except RenderFailed:
        return
    assert body[:3] == BODIES[format][:3] or format is Format.AVIF
