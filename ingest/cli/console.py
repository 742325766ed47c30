"""Shared by all commands: loading settings, printing text, tables and JSON, reporting errors.

Heavy imports are inside functions, in this module and its siblings: shell completion imports this package on every Tab.
"""

import json
import sys
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from proxy.errors import ServiceError
from proxy.model import UploadId, parse_upload_id

if TYPE_CHECKING:
    from rich.console import Console

    from proxy.settings import Settings

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

_PIPED_WIDTH = 10_000  # columns: programs that read a pipe expect each row on one line
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "stale": "yellow", "skipped": "dim"}


def load(
    *,
    long_running: bool = False,
    rendering: bool = False,
    database: bool = True,
    host: str | None = None,
    watermarks: bool = True,
) -> "Settings":
    """Loads the settings and configures logging. Warns about misspelt variables.

    Exits with 2 if the settings are wrong, or if a command that renders and is not `long_running` cannot write its
    temporary files.

    Unless `long_running`, the default level logs warnings only. `rendering`, `database`, `host`, `watermarks`: as in
    `Needs`.
    """
    import structlog

    from proxy.settings import Needs, SettingsError, load_settings, read_settings_sources
    from proxy.telemetry import configure_logging

    sources = read_settings_sources()
    try:
        settings = load_settings(sources, Needs(rendering, database, host, watermarks=watermarks))
    except SettingsError as error:
        hints = [f"{name}: not a setting. Did you mean {near}?" for name, near in sources.misspelt.items()]
        stop("\n".join(["The settings are wrong:", str(error), *hints]), code=2)
    if rendering and not long_running:
        require_folder(settings)
    quiet = settings.log_level == "info" and not long_running
    configure_logging(settings.log_format, "warning" if quiet else settings.log_level)
    for name, near in sources.misspelt.items():
        structlog.get_logger().warning("unknown variable", name=name, did_you_mean=near)
    return settings


def require_folder(settings: "Settings") -> None:
    """Exits with 2 if temporary files cannot be written. Servers call this when they have bound their port."""
    from proxy.storage.files import why_not_writable

    if reason := why_not_writable(settings.temporary):
        stop(reason, code=2)


def run(work: Coroutine[Any, Any, T], *, starts_server: bool = False) -> T:
    """Runs a command's work. Prints a ServiceError and exits with 1.

    Exits with 2 if the settings are wrong, or if database and object store belong to different installations. SIGTERM
    cancels the work, as Ctrl+C does; the work cleans up and says where to continue, and the exit code is 143. While a
    server starts, SIGTERM ends it at once (`ingest/__main__.py`).
    """
    import asyncio
    from signal import SIGTERM

    from ingest.ingest_errors import InstallationMismatch
    from proxy.settings import SettingsError

    async def interruptible() -> T:
        task = asyncio.current_task()
        assert task is not None
        if not starts_server:
            asyncio.get_running_loop().add_signal_handler(SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise typer.Exit(128 + SIGTERM) from None
    except SettingsError as error:
        return stop(str(error), code=2)
    except ServiceError as error:
        failures = [error]
    except BaseExceptionGroup as group:  # from concurrent tasks
        failures = _leaves(group)
    wrong = any(isinstance(error, InstallationMismatch) for error in failures)
    messages = dict.fromkeys(f"{error.title}: {error}" for error in failures)  # an outage may stop several tasks
    return stop("\n".join(messages), code=2 if wrong else 1)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[ServiceError]:
    """Returns the ServiceErrors of a group. Raises the group if it has any other exception: that is a bug."""
    known, others = group.split(ServiceError)
    if known is None or others is not None:
        raise group
    return [
        leaf
        for error in known.exceptions
        for leaf in (_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    ]


def parse_id(text: str) -> UploadId:
    """Returns the upload id in `text`. Exits with 2 if it is none."""
    upload_id = parse_upload_id(text)
    if upload_id is None:
        stop(f"{text!r} is not an upload id. Give a lower-case UUID.", code=2)
    return upload_id


def out() -> "Console":
    """Returns a console on standard output. It prints text as it is, and leaves long lines to the terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


def err() -> "Console":
    """Returns the same as `out`, on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: Iterable[str] = ()) -> None:
    """Prints a table. `numbers`: columns to align right. Folds long cells in a terminal but not in a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        cells = ("\n".join(map(printable, cell.split("\n"))) for cell in row)
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in cells))
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(width=_PIPED_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():  # padded to the longest cell of the table
        typer.echo(line.rstrip())


def printable(text: str) -> str:
    """Replaces control characters, which could manipulate the terminal: text may be a file name or a CDN's header."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def format_size(count: int | None) -> str:
    """Formats a number of bytes."""
    from rich.filesize import decimal

    return "" if count is None else decimal(count)


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Prints a document, with `indent=None` on one line."""
    typer.echo(json.dumps(document, indent=indent))


def print_error(message: str) -> None:
    err().print(message, style="red")


def print_failures(report: Mapping[str, Any]) -> None:
    """Prints the failures that a report lists, and how many others there are."""
    for failure in report["failed"]:
        print_error(f"failed: {': '.join(failure.values())}")
    if others := report["failedCount"] - len(report["failed"]):
        print_error(f"failed: {others} others")


def stop(message: str, code: int = 1) -> NoReturn:
    """Prints `message` to standard error and exits with `code`."""
    print_error(message)
    raise typer.Exit(code)
