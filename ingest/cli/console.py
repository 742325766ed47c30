"""What all commands share: settings, output for people and for machines, and failures in words."""

import asyncio
import json
from collections.abc import Coroutine
from types import ModuleType
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from proxy.errors import ServiceError
from proxy.model import UploadId, parse_upload_id
from proxy.settings import Settings, SettingsError, load_settings
from proxy.telemetry import configure_logging

T = TypeVar("T")

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def commands() -> ModuleType:
    """Imported late: `serve --role proxy` must not need a database."""
    from ingest import commands  # noqa: PLC0415 - see above

    return commands


def load() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        stop(f"The settings are wrong:\n{error}", code=2)
    configure_logging(settings.log_format, settings.log_level)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
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


def print_json(document: Any) -> None:
    out.print_json(json.dumps(document))


def stop(message: str, code: int = 1) -> NoReturn:
    err.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)
