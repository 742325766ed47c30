"""Makes the text of `--help`: a command's docstring, then its examples."""

import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

Command = TypeVar("Command", bound=Callable[..., None])


def examples(*lines: str) -> Callable[[Command], Command]:
    """Decorates a command: adds `lines` as examples to its help."""

    def with_examples(command: Command) -> Command:
        command.__doc__ = help_text(command.__doc__ or "", lines)
        return command

    return with_examples


def help_text(prose: str, lines: Sequence[str]) -> str:
    """Returns a command's help: `prose` with each paragraph on one line (Typer keeps line breaks), then examples."""
    paragraphs = [" ".join(paragraph.split("\n")) for paragraph in inspect.cleandoc(prose).split("\n\n")]
    return "\n\n".join([*paragraphs, "\n".join(["Examples:", *(f"$ {line}" for line in lines)])])
