"""How long work tells how far it is, whoever shows it."""

from typing import Protocol


class Progress(Protocol):
    def begin(self, title: str, total: int | None = None) -> None:
        """A new stretch of work; `total` is None where nobody knows beforehand."""

    def update(self, done: int, note: str = "") -> None:
        """`done` of the total so far; `note` is shown beside it."""

    def say(self, text: str) -> None:
        """What is worth a line of its own."""


class Silent:
    """For those who want the result alone."""

    def begin(self, title: str, total: int | None = None) -> None:
        pass

    def update(self, done: int, note: str = "") -> None:
        pass

    def say(self, text: str) -> None:
        pass
