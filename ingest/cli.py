"""The `darkroom` command.

Exit codes: 0 all is well; 1 something failed, and the output says what; 2 the command or the settings are wrong.
"""

import asyncio
import json
import shlex
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvicorn
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from ingest import edge
from proxy.errors import ServiceError
from proxy.model import UploadId, parse_upload_id
from proxy.settings import Settings, SettingsError, load_settings, share_memory
from proxy.telemetry import configure_logging

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Darkroom, an on-demand image origin.")
edge_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Print the edge's path rules for exactly the sizes in force."
)
app.add_typer(edge_app, name="edge")
out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


class Role(StrEnum):
    ALL = "all"
    PROXY = "proxy"
    INGEST = "ingest"


_FACTORIES = {
    Role.ALL: "ingest.web.app:create_app",
    Role.PROXY: "proxy.web.app:create_app",
    Role.INGEST: "ingest.web.app:create_ingest_app",
}


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to bind; other than loopback needs API_KEYS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 1,
    role: Annotated[Role, typer.Option(help="Variants, uploads and jobs, or both.")] = Role.ALL,
) -> None:
    """Start the service.

    Example: darkroom serve --port 8080 --workers 2
    """
    settings = _settings()
    try:
        settings.check_bind(host)
        if workers > 1:
            share_memory(settings, workers)
    except SettingsError as error:
        _stop(str(error), code=2)
    if role is not Role.PROXY and settings.database_url is None:
        _run(_commands().prepare_embedded(settings))
    _announce(settings, host, port, role)
    try:
        _serve(host, port, workers, role)
    except SystemExit as error:  # uvicorn has said why; its own codes are not ours
        raise typer.Exit(1 if error.code else 0) from None


def _serve(host: str, port: int, workers: int, role: Role) -> None:
    uvicorn.run(
        _FACTORIES[role],
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http="httptools",  # of two contradicting lengths it answers 400, where h11 answers two requests
        loop="uvloop",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than nginx and CloudFront keep theirs, so that we never hang up on them
        timeout_graceful_shutdown=30,
    )


@app.command()
def worker(
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs at a time; each keeps one render process busy.")] = 1,
) -> None:
    """Warm up uploads as they come, until SIGTERM; the jobs in hand are finished or handed back.

    Example: darkroom worker --concurrency 2
    """
    _run(_commands().work(_settings(), concurrency))


@app.command()
def warm(
    ids: Annotated[list[str] | None, typer.Argument(help="Upload ids.", metavar="[ID]...")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every upload.")] = False,
    missing: Annotated[bool, typer.Option("--missing", help="Uploads that lack a standard variant.")] = False,
    as_json: AsJson = False,
) -> None:
    """Derive the standard variants early. What is stored already is left alone.

    Examples: darkroom warm --missing; darkroom warm 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a
    """
    if bool(ids) + all_ + missing != 1:
        _stop("Give upload ids, or --all, or --missing.", code=2)
    upload_ids = [_parse_id(text) for text in ids or ()]
    settings = _settings()
    console = Console(quiet=True) if as_json else err
    report = _run(_commands().warm(settings, upload_ids, only_missing=missing, console=console))
    if as_json:
        _print_json(report)
    else:
        out.print(f"{report['complete']} complete, {len(report['failed'])} failed, {report['skipped']} skipped")
        for upload_id in report["failed"]:
            out.print(f"failed: {upload_id}")
    raise typer.Exit(1 if report["failed"] else 0)


@app.command()
def refresh(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many there are and what they will cost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Derive stale variants anew: those of another size, encoder option or codec than today's. Then tell the CDN.

    Until then they are served as they are, and derived anew when somebody asks for them.
    """
    settings = _settings()
    if dry_run:
        report = _run(_commands().find_stale(settings))
    else:
        report = _run(_commands().refresh(settings, Console(quiet=True) if as_json else err))
    failed = report.get("failed", [])
    if as_json:
        _print_json(report)
    else:
        cost = "an unknown time" if report["seconds"] is None else f"{report['seconds']:.1f} s"
        verb = "stale" if dry_run else "refreshed"
        out.print(
            f"{report['variants']} variants of {report['uploads']} uploads {verb}, "
            f"{report['bytes'] / 1e6:.1f} MB, {cost} of one processor"
        )
        for upload_id in failed:
            out.print(f"failed: {upload_id}")
    raise typer.Exit(1 if failed else 0)


@app.command()
def purge(
    ids: Annotated[list[str], typer.Argument(help="Upload ids.", metavar="ID...")],
    as_json: AsJson = False,
) -> None:
    """Delete uploads: originals, variants and rows, also where one of them is gone already."""
    report = _run(_commands().purge(_settings(), [_parse_id(text) for text in ids]))
    if as_json:
        _print_json(report)
    else:
        out.print(f"{report['purged']} purged, {report['unknown']} that no row knew")


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what crashes left behind: temporary files, half-made uploads, objects and rows without the other.

    Whatever is younger than an hour is left alone, so it is safe while the service runs.
    """
    found = _run(_commands().collect_garbage(_settings(), dry_run=dry_run))
    if as_json:
        _print_json({"removed": not dry_run, "found": found})
        return
    for one in found:
        out.print(f"{one['kind']}: {one['name']}", highlight=False)
    out.print(f"{len(found)} {'found' if dry_run else 'removed'}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check store, database and queue as Darkroom uses them, and say what to mend."""
    findings = _run(_commands().examine(_settings()))
    if as_json:
        _print_json(findings)
    else:
        table = Table("", "Part", "Finding")
        for finding in findings:
            table.add_row("ok" if finding["well"] else "MEND", finding["name"], finding["remark"])
        out.print(table)
    raise typer.Exit(0 if all(finding["well"] for finding in findings) else 1)


@app.command()
def config(as_json: AsJson = False) -> None:
    """Show the settings in force; secrets are hidden."""
    values = {name.upper(): _shown(value) for name, value in _settings().model_dump().items() if name != "size_tables"}
    values["SIZES"] = {name: _shown(size.model_dump()) for name, size in _settings().size_tables.items()}
    if as_json:
        _print_json(values)
        return
    table = Table("Setting", "Value")
    for name, value in values.items():
        table.add_row(name, json.dumps(value))
    out.print(table)


@app.command()
def migrate() -> None:
    """Bring the database's tables to this version's."""
    _run(_commands().migrate(_settings()))
    out.print("The database is up to date.")


@edge_app.command("nginx")
def edge_nginx() -> None:
    """Print what nginx.conf includes.

    Example: darkroom edge nginx > variants.conf
    """
    typer.echo(edge.nginx(_settings().sizes), nl=False)


@edge_app.command("cloudfront")
def edge_cloudfront(
    template: Annotated[
        Path | None,
        typer.Option(help="Print this CloudFormation template with the function in it.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Print the function that CloudFront runs for each request.

    Example: darkroom edge cloudfront --template deploy/cloudfront.yaml > mine.yaml
    """
    function = edge.cloudfront(_settings().sizes)
    if template is None:
        typer.echo(function, nl=False)
        return
    try:
        typer.echo(edge.in_template(template.read_text(), function), nl=False)
    except ValueError as error:
        _stop(f"{template}: {error}", code=2)


def _commands() -> ModuleType:
    """Imported late: `serve --role proxy` must not need a database."""
    from ingest import commands  # noqa: PLC0415 - see above

    return commands


def _announce(settings: Settings, host: str, port: int, role: Role) -> None:
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    out.print(f"Darkroom on {url}", soft_wrap=True, highlight=False)
    if role is not Role.PROXY:
        key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.api_keys else ""
        out.print(
            f"Upload a picture:  curl{key} -F image=@photo.jpg {shlex.quote(url + '/images/upload')}", soft_wrap=True
        )


def _settings() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        _stop(f"The settings are wrong:\n{error}", code=2)
    configure_logging(settings.log_format, settings.log_level)
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except ServiceError as error:
        failures = [error]
    except BaseExceptionGroup as group:  # of the tasks that warm several at once
        failures = _leaves(group)
    return _stop("\n".join(f"{error.title}: {error}" for error in failures))


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


def _parse_id(text: str) -> UploadId:
    upload_id = parse_upload_id(text)
    if upload_id is None:
        _stop(f"{text!r} is not an upload's id, which is a lower-case UUID.", code=2)
    return upload_id


def _shown(value: Any) -> Any:
    match value:
        case SecretStr():
            return "(hidden)"
        case dict():
            return {name: _shown(one) for name, one in value.items()}
        case list() | tuple():
            return [_shown(one) for one in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def _print_json(document: Any) -> None:
    out.print_json(json.dumps(document))


def _stop(message: str, code: int = 1) -> NoReturn:
    err.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)
