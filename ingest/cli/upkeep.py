"""Commands that look after an installation."""

import json
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.table import Table

from ingest.cli.console import AsJson, commands, load, out, print_json, run


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what crashes left behind: temporary files, half-made uploads, objects and rows without the other.

    Whatever is younger than an hour is left alone, so it is safe while the service runs.
    """
    found = run(commands().collect_garbage(load(), dry_run=dry_run))
    if as_json:
        print_json({"removed": not dry_run, "found": found})
        return
    for one in found:
        out.print(f"{one['kind']}: {one['name']}", highlight=False)
    out.print(f"{len(found)} {'found' if dry_run else 'removed'}")


def doctor(as_json: AsJson = False) -> None:
    """Check store, database and queue as Darkroom uses them, and say what to mend."""
    findings = run(commands().examine(load()))
    if as_json:
        print_json(findings)
    else:
        table = Table("", "Part", "Finding")
        for finding in findings:
            table.add_row("ok" if finding["well"] else "MEND", finding["name"], finding["remark"])
        out.print(table)
    raise typer.Exit(0 if all(finding["well"] for finding in findings) else 1)


def config(as_json: AsJson = False) -> None:
    """Show the settings in force; secrets are hidden."""
    values = {name.upper(): _shown(value) for name, value in load().model_dump().items() if name != "size_tables"}
    values["SIZES"] = {name: _shown(size.model_dump()) for name, size in load().size_tables.items()}
    if as_json:
        print_json(values)
        return
    table = Table("Setting", "Value")
    for name, value in values.items():
        table.add_row(name, json.dumps(value))
    out.print(table)


def migrate() -> None:
    """Bring the database's tables to this version's."""
    run(commands().migrate(load()))
    out.print("The database is up to date.")


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
