"""Commands that look after an installation."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.cli.console import AsJson, load, out, print_json, print_table, run
from ingest.cli.help import examples
from ingest.cli.progress_bar import progress

if TYPE_CHECKING:
    from proxy.settings import Settings


@examples("darkroom gc --dry-run", "darkroom gc")
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what crashes left behind.

    That is: temporary files, half-made uploads, objects and rows without the other. Whatever is younger than an hour
    is left alone, so it is safe while the service runs.
    """
    settings = load()
    from ingest.maintenance.garbage_collection import collect_garbage

    with progress(quiet=as_json) as shown:
        found = run(collect_garbage(settings, dry_run=dry_run, progress=shown))
    if as_json:
        print_json({"removed": not dry_run, "found": found})
        return
    for one in found:
        out().print(f"{one['kind']}: {one['name']}")
    out().print(f"{len(found)} {'found' if dry_run else 'removed'}")


@examples("darkroom doctor", "darkroom doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Check all that Darkroom depends on, and say what to mend.

    That is: store, database, queue, CDN, clock, memory, disk and codecs, as Darkroom uses them. Exit code 1 if
    something must be mended; a warning is none.
    """
    settings = load()
    from ingest.maintenance.doctor.checks import diagnose

    findings = run(diagnose(settings))
    if as_json:
        print_json(findings)
    else:
        rows = ((finding["verdict"], finding["name"], finding["remark"]) for finding in findings)
        print_table(("Verdict", "Part", "Finding"), rows)
    raise typer.Exit(1 if any(finding["verdict"] == "failed" for finding in findings) else 0)


@examples("darkroom config", "CDN_URL=https://cdn.example darkroom config --json")
def config(as_json: AsJson = False) -> None:
    """Show the settings in force; secrets are hidden."""
    settings = load()
    values = {name.upper(): _shown(value) for name, value in settings.model_dump().items() if name != "size_tables"}
    values["SIZES"] = {name: _shown(size.model_dump()) for name, size in settings.size_tables.items()}
    if as_json:
        print_json(values)
    else:
        print_table(("Setting", "Value"), ((name, json.dumps(value)) for name, value in values.items()))


@examples("darkroom migrate")
def migrate(as_json: AsJson = False) -> None:
    """Bring the tables of DATABASE_URL to this version's.

    Before a new version starts, once, from anywhere. The embedded database does it by itself.
    """
    settings = load()
    report = run(_migrate(settings))
    if as_json:
        print_json(report)
    elif report["before"] == report["after"]:
        out().print(f"The database is up to date, at revision {report['after']}.")
    else:
        out().print(f"The database is up to date: from revision {report['before'] or 'none'} to {report['after']}.")


async def _migrate(settings: "Settings") -> dict[str, str | None]:
    """The revision before, and the one of this version."""
    from ingest.catalog.database import Database

    database = Database.from_settings(settings)
    try:
        before = await database.revision()
        await database.migrate()
        return {"before": before, "after": await database.revision()}
    finally:
        await database.close()


def _shown(value: Any) -> Any:
    from pydantic import SecretStr

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
