"""Progress: a bar in a terminal, occasional lines in a log, nothing with `--json`."""

import io
import re

import pytest
from rich.console import Console

from ingest.cli.progress_bar import Lines, bar, progress


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_bar_shows_count_rate_and_time_left() -> None:
    screen = io.StringIO()
    clock = Clock()
    console = Console(file=screen, force_terminal=True, width=80, no_color=True, get_time=clock)

    with bar(console) as shown:
        shown.begin("Warming", 40)
        for done in range(1, 11):
            clock.seconds += 0.5
            shown.update(done, "1 failed")
        shown._shown.refresh()

    drawn = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = re.split("[\r\n]+", drawn.strip())[-1]
    assert last.startswith("Warming")
    assert re.search(r"10/40 1 failed 2\.0/s 00:15$", last.strip())
    assert len(last) <= 80


def test_bar_of_unknown_length_shows_count_and_notes() -> None:
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=80, no_color=True)) as shown:
        shown.begin("Looking for leftovers")
        shown.update(12, "3 found")
        shown.say("Waiting a minute.")
        shown._shown.refresh()

    drawn = screen.getvalue()
    assert "12/?" in drawn
    assert "3 found" in drawn
    assert "Waiting a minute." in drawn


def test_second_phase_replaces_the_first() -> None:
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=80, no_color=True)) as shown:
        shown.begin("Looking", 4)
        shown.update(4)
        shown.begin("Refreshing", 2)
        shown.update(1)
        assert [(task.description, task.completed, task.total) for task in shown._shown.tasks] == [("Refreshing", 1, 2)]


def test_log_has_a_line_every_half_minute() -> None:
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)

    lines.begin("Warming", 1000)
    for done in range(1, 131):
        clock.seconds += 0.5
        lines.update(done, "2 failed")

    assert said == [
        "Warming: 60 of 1000, 2 failed, 2.0/s, 8 min left",
        "Warming: 120 of 1000, 2 failed, 2.0/s, 7 min left",
    ]


def test_log_omits_unknown_length() -> None:
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)

    lines.begin("Looking")
    clock.seconds += 60
    lines.update(30)

    assert said == ["Looking: 30, 0.5/s"]


def test_short_work_logs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False) as shown:
        shown.begin("Warming", 2)
        shown.update(1)
        shown.update(2)

    assert capsys.readouterr() == ("", "")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as shown:
        shown.begin("Refreshing", 2)
        shown.update(2)
        shown.say("Waiting a minute.")

    assert capsys.readouterr() == ("", "")
