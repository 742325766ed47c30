"""What all commands share: settings, output for people and for machines, and failures in words.

Heavy imports stand in functions, here and in every module beside this one: pressing Tab runs this package, too.
"""

import json
import sys
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from proxy.errors import ServiceError
from proxy.model import UploadId, parse_upload_id

if TYPE_CHECKING:
    from rich.console import Console

    from proxy.settings import Settings

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

_PIPED_WIDTH = 10_000  # columns: what reads a pipe wants each row on one line
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "stale": "yellow"}


def load(*, lasting: bool = False) -> "Settings":
    """`lasting`: it runs until it is stopped, and its log is what it says. Others log trouble alone."""
    from proxy.settings import SettingsError, load_settings
    from proxy.telemetry import configure_logging

    try:
        settings = load_settings()
    except SettingsError as error:
        stop(f"The settings are wrong:\n{error}", code=2)
    quiet = settings.log_level == "info" and not lasting
    configure_logging(settings.log_format, "warning" if quiet else settings.log_level)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    try:
        return asyncio.run(work)
    except ServiceError as error:
        failures = [error]
    except BaseExceptionGroup as group:  # of the tasks that warm several at once
        failures = _leaves(group)
    return stop("\n".join(f"{error.title}: {error}" for error in failures))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[ServiceError]:
    """The known failures in it. Anything else goes on as it is: it is a defect, and its traceback is wanted."""
    known, others = group.split(ServiceError)
    if known is None or others is not None:
        raise group
    return [
        leaf
        for error in known.exceptions
        for leaf in (_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    ]


def parse_id(text: str) -> UploadId:
    upload_id = parse_upload_id(text)
    if upload_id is None:
        stop(f"{text!r} is not an upload's id, which is a lower-case UUID.", code=2)
    return upload_id


def out() -> "Console":
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


def err() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: Iterable[str] = ()) -> None:
    """`numbers` names the columns that are flush right. In a terminal long cells are folded, in a pipe none are."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(cell), _STYLES.get(cell, "")) for cell in row))
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(width=width, highlight=False).print(table)


def _printable(cell: str) -> str:
    """Without what moves a terminal's cursor, or worse: a CDN's headers are in it."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in cell)


def size(count: int | None) -> str:
    """Bytes, for people."""
    from rich.filesize import decimal

    return "" if count is None else decimal(count)


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2))


def complain(message: str) -> None:
    err().print(message, style="red")


def stop(message: str, code: int = 1) -> NoReturn:
    complain(message)
    raise typer.Exit(code)
