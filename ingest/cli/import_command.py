"""The command that imports many existing images."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.cli.console import AsJson, err, load, print_json, run, stop
from ingest.cli.help import examples
from ingest.cli.progress_bar import progress

if TYPE_CHECKING:
    from ingest.importing.import_run import ImportSummary
    from ingest.importing.importer import Result


@examples(
    "darkroom import /mnt/photos --owner shop-7 > imported.jsonl",
    "darkroom import s3://old-bucket/photos/",
    "darkroom import --dry-run products.csv",
)
def import_(
    source: Annotated[str, typer.Argument(help="A folder, s3://BUCKET/PREFIX, or a CSV.", metavar="SOURCE")],
    *,
    owner: Annotated[str | None, typer.Option("--owner", help="The owner of every upload.")] = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="The application's own id of every upload.")
    ] = None,
    visibility: Annotated[str | None, typer.Option("--visibility", help="public or private.")] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Begins the sources' names instead of the path of SOURCE, for a folder that moves."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be imported.")] = False,
    skip_known: Annotated[
        bool, typer.Option("--skip-known", help="Do not read what is imported: quicker, but misses changes.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Import also what was imported and then deleted.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Download also from loopback and private addresses.")
    ] = False,
    ignore_query: Annotated[
        bool, typer.Option("--ignore-query", help="URLs that differ in their query alone are one source.")
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, max=64, help="Files at a time. [default: two more than RENDER_PROCESSES]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import many existing images: each becomes one upload.

    You may interrupt and repeat it at any moment: a source that was imported is found again and keeps its upload.
    Prints a line of JSON for each file at once, with its upload id, or with the code and the reason if it was refused
    or failed. --json adds a line with the totals, and hides the progress.

    A CSV begins with a line that names its columns: source (a path or a URL), and any of externalId, owner, visibility,
    focus, metadata. Needs no server: the uploads are warmed up by a running one, or by darkroom warm.

    Exits with 1 if any file was refused or failed.
    """
    fields = _read_fields({"owner": owner, "externalId": external_id, "visibility": visibility})
    settings = load(rendering=not dry_run)
    from ingest.importing.import_run import ImportOptions, run_import
    from ingest.importing.import_sources import InvalidSource
    from proxy.errors import Unavailable

    options = ImportOptions(
        source,
        fields,
        name,
        dry_run=dry_run,
        skip_known=skip_known,
        again=again,
        allow_private=allow_private,
        ignore_query=ignore_query,
        concurrency=concurrency,
    )

    def report(result: "Result") -> None:
        try:
            print_json(result.to_json(), indent=None)
        except OSError as error:  # the disk is full or the pipe is closed: further results could not be reported
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
            raise Unavailable(f"Standard output cannot be written: {error.strerror}.") from error

    try:
        with progress(quiet=as_json) as reporter:
            summary = run(run_import(settings, options, report, reporter))
    except InvalidSource as error:
        stop(str(error), code=2)
    if as_json:
        print_json(summary.to_json(), indent=None)
    else:
        _print_summary(summary)
    raise typer.Exit(0 if summary.is_complete else 1)


def _read_fields(texts: dict[str, str | None]) -> dict[str, Any]:
    from ingest.ingest_errors import InvalidField
    from ingest.uploads.upload_fields import read_field

    try:
        return {name: read_field(name, text) for name, text in texts.items() if text is not None}
    except InvalidField as error:
        return stop(str(error), code=2)


def _print_summary(summary: "ImportSummary") -> None:
    """Prints the counts to standard error, because standard output has JSON alone."""
    from ingest.importing.import_sources import Outcome

    counts = [f"{count} {outcome}" for outcome in Outcome if (count := summary.outcomes[outcome])]
    ignored = [f"{count} {code.replace('_', ' ')}" for code, count in summary.ignored.items()]
    err().print(", ".join(counts) or "nothing to import", end="")
    err().print(f" ({', '.join(ignored)})" if ignored else "")
