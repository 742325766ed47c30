"""Shows progress on standard error: a bar in a terminal, otherwise a line every half minute."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from ingest.cli.console import err

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

    from ingest.progress import Progress

_INTERVAL = 30.0  # seconds between lines


@contextmanager
def progress(*, quiet: bool) -> Iterator["Progress"]:
    """Shows progress during the block. `quiet`: shows nothing."""
    from ingest.progress import Silent

    console = err()
    if quiet:
        yield Silent()
    elif console.is_terminal:
        with bar(console) as shown:
            yield shown
    else:
        yield Lines(console.print)


@contextmanager
def bar(console: "Console") -> Iterator["Bar"]:
    from rich import progress as rich

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[note]}", markup=False),
        rich.TextColumn("{task.fields[rate]}", markup=False),
        rich.TimeRemainingColumn(compact=True),
    )
    with rich.Progress(*columns, console=console, transient=True) as shown:
        yield Bar(shown)


class Bar:
    """Shows one bar at a time, with count, rate and remaining time."""

    def __init__(self, shown: "RichProgress") -> None:
        self._shown = shown
        self._task = shown.add_task("", visible=False, note="", rate="")

    def begin(self, title: str, total: int | None = None) -> None:
        self._shown.remove_task(self._task)
        self._task = self._shown.add_task(title, total=total, note="", rate="")

    def update(self, done: int, note: str = "") -> None:
        task = self._shown.tasks[-1]
        rate = f"{task.speed:.1f}/s" if task.speed else ""
        self._shown.update(self._task, completed=done, note=note, rate=rate)

    def say(self, text: str) -> None:
        self._shown.print(text)


class Lines:
    """Prints count, rate and remaining time as a line, at most every half minute. `clock` returns seconds."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self.say = say
        self._clock = clock
        self.begin("")

    def begin(self, title: str, total: int | None = None) -> None:
        self._title, self._total = title, total
        self._begun = self._last = self._clock()

    def update(self, done: int, note: str = "") -> None:
        now = self._clock()
        if now - self._last < _INTERVAL:
            return
        self._last = now
        rate = done / (now - self._begun)
        facts = [f"{done} of {self._total}" if self._total else f"{done}", note, f"{rate:.1f}/s"]
        if self._total and rate:
            facts.append(f"{(self._total - done) / rate / 60:.0f} min left")
        self.say(f"{self._title}: {', '.join(fact for fact in facts if fact)}")
