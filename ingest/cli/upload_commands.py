"""Commands that create, show and delete uploads."""

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
    printable,
    run,
)
from ingest.cli.help import examples

if TYPE_CHECKING:
    from ingest.maintenance.upload_files import FileResult


@examples(
    "darkroom upload photo.jpg",
    "darkroom upload --wait --json *.jpg",
    "curl -s https://example.com/photo.jpg | darkroom upload -",
)
def upload(
    files: Annotated[list[str], typer.Argument(help="Images; - reads standard input.", metavar="FILE")],
    wait: Annotated[bool, typer.Option("--wait", help="Return once the standard variants are derived.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload images into this installation, without a server.

    A file that the service would refuse is refused with the same message; the other files are still uploaded. To upload
    to a server elsewhere, use HTTP: curl -F image=@photo.jpg URL/images/upload

    Prints each result at once: --json prints a line for each file, and with --wait another when its warm-up has ended.
    """
    settings = load(rendering=True)
    from ingest.maintenance.upload_files import upload

    failures = 0

    def report(result: "FileResult") -> None:
        nonlocal failures
        failures += result.failure is not None
        if as_json:
            print_json({"file": printable(result.file)} | result.document, indent=None)
        else:
            _print_result(result)

    run(upload(settings, files, report, wait=wait))
    raise typer.Exit(1 if failures else 0)


@examples(
    "darkroom show 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "darkroom show 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a --json"
)
def show(
    id_: Annotated[str, typer.Argument(help="Upload id.", metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Show everything known about an upload and its stored variants.

    Stored variants are served at once, waiting ones are derived on their first request. A stale variant was made with
    another size, quality or codec version than the current ones: darkroom refresh derives it anew.
    """
    upload_id = parse_id(id_)
    settings = load()
    from ingest.maintenance.upload_overview import show

    document = run(show(settings, upload_id))
    if as_json:
        print_json(document)
        return
    for line in _summary(document):
        out().print(line)
    rows = ((name, *_row(known)) for name, known in document["variants"].items())
    numbers = ("Size", "ms", "Quality", "Score")
    print_table(("Variant", "State", "Size", "ms", "Quality", "Score", "Recipe"), rows, numbers=numbers)
    out().print(f"URLs: {settings.url_base}/images/{upload_id}/VARIANT")
    for webhook in document["webhooks"]:
        out().print(f"Not delivered: {webhook['type']}, {webhook['status']}. {webhook['error'] or ''}".rstrip())


@examples("darkroom purge 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
def purge(
    ids: Annotated[list[str], typer.Argument(help="Upload ids.", metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Delete uploads permanently.

    Deletes originals, variants and rows, also if some of them are gone already, and removes them
    from caches: with CDN_DISTRIBUTION_ID or EDGE_URLS, from the edge's too.
    """
    upload_ids = [parse_id(text) for text in ids]
    settings = load()
    from ingest.maintenance import bulk_operations

    report = run(bulk_operations.purge(settings, upload_ids))
    if as_json:
        print_json(report)
    else:
        out().print(f"{report['purged']} purged, {report['unknown']} unknown to the database")
        print_failures(report)
    raise typer.Exit(1 if report["failedCount"] else 0)


def _print_result(result: "FileResult") -> None:
    file, known = printable(result.file), result.document
    if result.url:
        out().print(f"{file}  {format_size(known['originalSize'])}  {known['format']}  {known['uploadId']}")
        out().print(f"    {result.url}")
    if result.failure:
        print_error(f"{file}: {result.failure}")


def _summary(document: dict[str, Any]) -> list[str]:
    sides = "{width}x{height} ".format(**document["dimensions"]) if document["database"] else ""
    lines = [
        f"Upload    {document['uploadId']}",
        f"Original  {sides}{document['format']}, {format_size(document['originalSize'])}, of {document['createdAt']}",
    ]
    if document.get("focus"):
        lines.append(f"Focus     {document['focus']}")
    if not document["original"]:
        lines.append("          Missing in the store, after an interrupted delete. Run darkroom gc.")
    if not document["database"]:
        return [*lines, "Status    unknown to the database, after a crash. Run darkroom gc."]
    lines.append(f"Status    {document['status']}, {document['progress']} %")
    return [*lines, f"Error     {document['error']}"] if document["error"] else lines


def _row(known: dict[str, Any]) -> tuple[str, ...]:
    recipe = {None: "", False: "current", True: "stale"}[known["stale"]]
    if known["url"] is None:
        recipe = "size not configured"
    milliseconds, quality, score = (_number(known[name]) for name in ("milliseconds", "quality", "score"))
    return known["state"], format_size(known["bytes"]), milliseconds, quality, score, recipe


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
