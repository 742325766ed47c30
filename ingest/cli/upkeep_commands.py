"""Commands that clean up, check and migrate an installation."""

from typing import TYPE_CHECKING, Annotated

import typer

from ingest.cli.console import AsJson, load, out, print_error, print_failures, print_json, print_table, run
from ingest.cli.help import examples
from ingest.cli.progress_bar import progress

if TYPE_CHECKING:
    from proxy.settings import Settings


@examples("darkroom gc --dry-run", "darkroom gc")
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    max_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="GC_MAX_SHARE for this run.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove what crashes left behind; originals go to the trash first.

    Moves originals without rows to the trash. Removes temporary files, incomplete uploads, variants without originals,
    rows without originals, and webhooks that were given up 30 days ago. Skips everything else that is younger than an
    hour, so it is safe while the service runs. darkroom trash lists what it moved; after TRASH_DAYS there, it is
    deleted.

    Does nothing and exits with 1 if more than GC_MAX_SHARE of the originals have no row, or more than that share of the
    rows have no original, which usually means that the database or the object store is not the right one.
    """
    settings = load()
    from ingest.maintenance.gc_run import collect_garbage

    with progress(quiet=as_json) as reporter:
        report = run(collect_garbage(settings, dry_run=dry_run, max_share=max_share, progress=reporter))
    if as_json:
        print_json({"removed": not dry_run and not report.refused, **report.to_json()})
    else:
        for garbage in report.found:
            out().print(f"{garbage.kind}: {garbage.name}")
        if report.old_webhooks:
            out().print(f"webhooks that were given up a month ago: {report.old_webhooks}")
        print_failures(report.to_json())
        if report.refused:
            print_error(report.refused)
        else:
            out().print(f"{len(report.found)} {'found' if dry_run else 'removed'}")
    raise typer.Exit(1 if report.refused or report.failures.count else 0)


@examples("darkroom doctor", "darkroom doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check everything Darkroom depends on, and say what to fix.

    Checks store, database, queue, CDN, clock, memory, disk and codecs in the way Darkroom uses them. Exits with 1 if a
    check failed; warnings do not count.
    """
    settings = load(database=False)
    from ingest.maintenance.doctor.checks import diagnose

    findings = run(diagnose(settings))
    if as_json:
        print_json(findings)
    else:
        rows = ((finding["verdict"], finding["name"], finding["remark"]) for finding in findings)
        print_table(("Verdict", "Part", "Finding"), rows)
    raise typer.Exit(1 if any(finding["verdict"] == "failed" for finding in findings) else 0)


@examples("darkroom migrate")
def migrate(as_json: AsJson = False) -> None:
    """Migrate the tables of DATABASE_URL to this version.

    Run it once, on any machine, before a new version starts. The embedded database is migrated automatically.
    """
    settings = load(watermarks=False)
    report = run(_migrate(settings))
    from ingest.catalog.database import is_newer

    if as_json:
        print_json(report)
    elif is_newer(report["after"]):
        out().print(
            f"The database is at revision {report['after']} of a newer Darkroom, with which this version works."
        )
    elif report["before"] == report["after"]:
        out().print(f"The database is up to date, at revision {report['after']}.")
    else:
        out().print(f"The database is up to date: from revision {report['before'] or 'none'} to {report['after']}.")


async def _migrate(settings: "Settings") -> dict[str, str | None]:
    """Migrates the database. Returns the revisions before and after."""
    from ingest.catalog.database import Database

    database = Database.from_settings(settings)
    try:
        before = await database.revision()
        await database.migrate()
        return {"before": before, "after": await database.revision()}
    finally:
        await database.close()
