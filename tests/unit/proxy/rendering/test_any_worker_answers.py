"""Whatever a render worker says is parsed or refused."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RenderFailed
from proxy.model import Format
from proxy.rendering import worker_answers as answers
from proxy.rendering.protocol import encode_message
from tests.unit.proxy.imaging.reference import LIMITS
from tests.unit.proxy.rendering.worker_messages import BODIES, FILE, INSPECTION, JPEG, MB, MEASURED, REFUSED, SQUARE

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
                inspection = answers.to_inspection(said, LIMITS, JPEG)
                assert inspection.format == INSPECTION.format
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
@pytest.mark.heavy
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
