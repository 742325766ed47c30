"""The interface through which long-running work reports its progress."""

from typing import Protocol


class Progress(Protocol):
    """Shows how far a run has come."""

    def begin(self, title: str, total: int | None = None) -> None:
        """Starts a new phase; `total` is None if unknown."""

    def update(self, done: int, note: str = "") -> None:
        """Reports that `done` items of the total are finished; `note` is shown beside the number."""

    def say(self, text: str) -> None:
        """Prints `text` on a line of its own."""


class Silent:
    """Shows nothing."""

    def begin(self, title: str, total: int | None = None) -> None:
        pass

    def update(self, done: int, note: str = "") -> None:
        pass

    def say(self, text: str) -> None:
        pass
