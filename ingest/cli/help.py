"""Texts for `--help`."""

import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

Command = TypeVar("Command", bound=Callable[..., None])


def examples(*lines: str) -> Callable[[Command], Command]:
    """Decorates a command: adds `lines` as examples to its help."""

    def with_examples(command: Command) -> Command:
        command.__doc__ = text(command.__doc__ or "", lines)
        return command

    return with_examples


def text(prose: str, lines: Sequence[str]) -> str:
    """Joins the lines of each paragraph, because Typer keeps line breaks, and appends the examples."""
    paragraphs = [" ".join(paragraph.split("\n")) for paragraph in inspect.cleandoc(prose).split("\n\n")]
    return "\n\n".join([*paragraphs, "\n".join(["Examples:", *(f"$ {line}" for line in lines)])])
