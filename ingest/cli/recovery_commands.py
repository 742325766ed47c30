"""Commands that repair what an older backup, a wrong database or a crash has left."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.cli.console import (
    AsJson,
    format_size,
    load,
    out,
    parse_id,
    print_error,
    print_failures,
    print_json,
    print_table,
    run,
    stop,
)
from ingest.cli.help import examples, help_text
from ingest.cli.progress_bar import progress

if TYPE_CHECKING:
    from ingest.maintenance.recovery import RecoveryReport

TRASH_HELP = help_text(
    """List what darkroom gc has moved to the trash.

    Originals without rows stay there for TRASH_DAYS. Days left: until darkroom gc removes them permanently.
    """,
    ["darkroom trash", "darkroom trash --json"],
)


def trash(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is not None:
        return
    settings = load()
    from ingest.maintenance.recovery import list_trash

    found = run(list_trash(settings))
    if as_json:
        print_json(found)
        return
    rows = ((one["uploadId"], format_size(one["size"]), one["since"], f"{one['daysLeft']:g}") for one in found)
    print_table(("Id", "Size", "Since", "Days left"), rows, numbers=("Size", "Days left"))


@examples("darkroom trash restore --all", "darkroom trash restore 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
def restore(
    ids: Annotated[list[str] | None, typer.Argument(help="Upload ids.", metavar="ID")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything in the trash.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put originals back from the trash, and rebuild their rows."""
    if bool(ids) == all_:
        stop("Give upload ids, or --all.", code=2)
    upload_ids = [parse_id(text) for text in ids or ()]
    settings = load()
    from ingest.maintenance import recovery

    with progress(quiet=as_json) as reporter:
        report = run(recovery.restore(settings, upload_ids, progress=reporter))
    _finish(report, "restored", as_json=as_json)


@examples("darkroom readopt --dry-run", "darkroom readopt", "darkroom readopt 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
def readopt(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Upload ids; by default all whose rows are lost.", metavar="ID")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list originals without rows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild lost rows of the database from the stored originals.

    Run it after an older backup of the database was restored. It reads the metadata of the originals; those of earlier
    versions are inspected again. It changes no object and no existing row.
    """
    upload_ids = [parse_id(text) for text in ids or ()]
    settings = load()
    from ingest.maintenance import recovery

    with progress(quiet=as_json) as reporter:
        report = run(recovery.readopt(settings, upload_ids, dry_run=dry_run, progress=reporter))
    _finish(report, "found" if dry_run else "readopted", as_json=as_json)


@examples("darkroom rebind", "darkroom rebind --yes")
def rebind(
    yes: Annotated[bool, typer.Option("--yes", help="Bind them; without it, only show both sides.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bind the database to the object store's installation.

    Database and object store share an installation id. Commands and servers refuse a pair with different ids, which
    usually means a wrong DATABASE_URL or S3_BUCKET. Bind them only if you are sure that they belong together.
    """
    settings = load()
    from ingest.maintenance import recovery

    with progress(quiet=as_json) as reporter:
        report = run(recovery.rebind(settings, confirmed=yes, progress=reporter))
    if as_json:
        print_json(report)
    else:
        _print_sides(report)
    raise typer.Exit(0 if report["matches"] or report["boundTo"] else 1)


def _print_sides(report: dict[str, Any]) -> None:
    database, store = report["database"], report["store"]
    rows = (
        ("database", database["installation"] or "none", f"{database['uploads']} uploads"),
        ("object store", store["installation"] or "none", f"{store['originals']} originals"),
    )
    print_table(("Side", "Installation id", "Has"), rows)
    if report["matches"]:
        out().print("They belong together. Nothing was changed.")
    elif report["boundTo"]:
        out().print(f"Both belong to installation {report['boundTo']} now.")
    else:
        print_error("Nothing was changed. If they belong together, run darkroom rebind --yes.")


def _finish(report: "RecoveryReport", verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json(report.to_json(verb))
    else:
        for upload_id in report.done:
            out().print(upload_id)
        print_failures(report.to_json(verb))
        known = f", {report.known} had their rows" if report.known else ""
        out().print(f"{len(report.done)} {verb}{known}, {report.failures.count} failed")
    raise typer.Exit(1 if report.failures.count else 0)
