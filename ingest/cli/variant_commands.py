"""Commands that derive variants of many uploads: those that are missing, and those that are stale."""

from typing import Annotated

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
    run,
    stop,
)
from ingest.cli.help import examples
from ingest.cli.progress_bar import progress

Start = Annotated[
    str | None,
    typer.Option("--from", metavar="ID", help="Begin at this upload, in the order of ids: where a run was stopped."),
]


@examples("darkroom warm --missing", "darkroom warm 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
def warm(
    ids: Annotated[list[str] | None, typer.Argument(help="Upload ids.", metavar="ID")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every upload.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="Uploads that lack a standard variant, or failed.")
    ] = False,
    start: Start = None,
    as_json: AsJson = False,
) -> None:
    """Derive the standard variants early.

    Skips stored variants, so an interrupted run continues where it stopped.
    """
    if bool(ids) + all_ + missing != 1:
        stop("Give upload ids, or --all, or --missing.", code=2)
    if ids and start:
        stop("--from goes with --all and --missing. Leave out the ids before it.", code=2)
    upload_ids = [parse_id(text) for text in ids or ()]
    first = parse_id(start) if start else None
    settings = load(rendering=True)
    from ingest.maintenance import bulk_operations

    with progress(quiet=as_json) as reporter:
        report = run(bulk_operations.warm(settings, upload_ids, only_missing=missing, start=first, progress=reporter))
    if as_json:
        print_json(report)
    else:
        counts = report | {"unknown": len(report["unknown"])}
        out().print("{complete} complete, {failedCount} failed, {skipped} skipped, {unknown} unknown".format(**counts))
        print_failures(report)
        for upload_id in report["unknown"]:
            print_error(f"unknown: {upload_id}")
    raise typer.Exit(1 if report["failedCount"] or report["unknown"] else 0)


@examples("darkroom refresh --dry-run", "darkroom refresh")
def refresh(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them and estimate the cost.")] = False,
    start: Start = None,
    as_json: AsJson = False,
) -> None:
    """Derive stale variants anew.

    A variant is stale if it was made with another size, encoder option or codec version than the current ones. Stale
    variants are still served; a request for one also derives it anew. With CDN_DISTRIBUTION_ID, this command also
    invalidates them in CloudFront.
    """
    first = parse_id(start) if start else None
    settings = load(rendering=True)
    from ingest.maintenance import bulk_operations

    with progress(quiet=as_json) as reporter:
        work = bulk_operations.find_stale if dry_run else bulk_operations.refresh
        report = run(work(settings, reporter, first))
    if as_json:
        print_json(report)
    else:
        cost = "an unknown time" if report["seconds"] is None else f"{report['seconds']:.1f} s"
        verb = "stale" if dry_run else "refreshed"
        out().print(
            f"{report['variants']} variants of {report['uploads']} uploads {verb}, "
            f"{format_size(report['bytes'])}, {cost} of one processor"
        )
        print_failures(report)
    raise typer.Exit(1 if report["failedCount"] else 0)
