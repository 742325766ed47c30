"""Commands about uploads and their variants."""

from typing import Annotated

import typer
from rich.console import Console

from ingest.cli.console import AsJson, commands, err, load, out, parse_id, print_json, run, stop


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
        stop("Give upload ids, or --all, or --missing.", code=2)
    upload_ids = [parse_id(text) for text in ids or ()]
    settings = load()
    console = Console(quiet=True) if as_json else err
    report = run(commands().warm(settings, upload_ids, only_missing=missing, console=console))
    if as_json:
        print_json(report)
    else:
        out.print(f"{report['complete']} complete, {len(report['failed'])} failed, {report['skipped']} skipped")
        for upload_id in report["failed"]:
            out.print(f"failed: {upload_id}")
    raise typer.Exit(1 if report["failed"] else 0)


def refresh(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many there are and what they will cost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Derive stale variants anew: those of another size, encoder option or codec than today's. Then tell the CDN.

    Until then they are served as they are, and derived anew when somebody asks for them.
    """
    settings = load()
    if dry_run:
        report = run(commands().find_stale(settings))
    else:
        report = run(commands().refresh(settings, Console(quiet=True) if as_json else err))
    failed = report.get("failed", [])
    if as_json:
        print_json(report)
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


def purge(
    ids: Annotated[list[str], typer.Argument(help="Upload ids.", metavar="ID...")],
    as_json: AsJson = False,
) -> None:
    """Delete uploads: originals, variants and rows, also where one of them is gone already."""
    report = run(commands().purge(load(), [parse_id(text) for text in ids]))
    if as_json:
        print_json(report)
    else:
        out.print(f"{report['purged']} purged, {report['unknown']} that no row knew")
