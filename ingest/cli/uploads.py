"""Commands for uploads: bring them in, look at them, delete them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.cli.console import AsJson, complain, load, out, parse_id, print_json, print_table, run, size
from ingest.cli.help import examples
from ingest.cli.progress_bar import progress

if TYPE_CHECKING:
    from ingest.maintenance.upload_files import Receipt


@examples(
    "darkroom upload photo.jpg",
    "darkroom upload --wait --json *.jpg",
    "curl -s https://example.com/photo.jpg | darkroom upload -",
)
def upload(
    files: Annotated[list[str], typer.Argument(help="Pictures; - is standard input.", metavar="FILE")],
    wait: Annotated[bool, typer.Option("--wait", help="Return once the standard variants are derived.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload pictures into this installation; no server is needed.

    What the service would refuse is refused in the same words, and the other files are taken all the same. A server
    elsewhere takes uploads by HTTP: curl -F image=@photo.jpg URL/images/upload
    """
    settings = load()
    from ingest.maintenance.upload_files import upload

    receipts: list[Receipt] = []
    try:
        with progress(quiet=as_json) as shown:
            run(upload(settings, files, receipts, wait=wait, progress=shown))
    finally:  # interrupted, too: what was taken is taken
        _print_receipts(receipts, as_json=as_json)
    raise typer.Exit(1 if any(receipt.failure for receipt in receipts) else 0)


@examples(
    "darkroom show 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "darkroom show 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a --json"
)
def show(
    id_: Annotated[str, typer.Argument(help="An upload's id.", metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of an upload, and what is stored of it.

    Stored variants are served at once, waiting ones derived on their first request. A stale one is of another size,
    quality or codec than today's: darkroom refresh derives it anew.
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


@examples("darkroom purge 8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
def purge(
    ids: Annotated[list[str], typer.Argument(help="Upload ids.", metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Delete uploads for good.

    Originals, variants and rows, also where one of them is gone already; then every process and the CDN are told.
    """
    upload_ids = [parse_id(text) for text in ids]
    settings = load()
    from ingest.maintenance import bulk_operations

    report = run(bulk_operations.purge(settings, upload_ids))
    if as_json:
        print_json(report)
    else:
        out().print(f"{report['purged']} purged, {report['unknown']} that no row knew")


def _print_receipts(receipts: "list[Receipt]", *, as_json: bool) -> None:
    if as_json:
        print_json([receipt.document for receipt in receipts])
        return
    taken = [(receipt.file, receipt.document, receipt.url) for receipt in receipts if receipt.url]
    if taken:
        rows = ((file, size(it["originalSize"]), it["format"], f"{it['uploadId']}\n{url}") for file, it, url in taken)
        print_table(("File", "Size", "Format", "Id, and URL of the largest size"), rows, numbers={"Size"})
    for receipt in receipts:
        if receipt.failure:
            complain(f"{receipt.file}: {receipt.failure}")


def _summary(document: dict[str, Any]) -> list[str]:
    sides = "{width}x{height} ".format(**document["dimensions"]) if document["database"] else ""
    lines = [
        f"Upload    {document['uploadId']}",
        f"Original  {sides}{document['format']}, {size(document['originalSize'])}, of {document['createdAt']}",
    ]
    if not document["original"]:
        lines.append("          It is gone from the store: what a delete leaves that stopped half-way (darkroom gc)")
    if not document["database"]:
        return [*lines, "Status    unknown to the database: what a crash leaves (darkroom gc)"]
    lines.append(f"Status    {document['status']}, {document['progress']} %")
    return [*lines, f"Error     {document['error']}"] if document["error"] else lines


def _row(known: dict[str, Any]) -> tuple[str, ...]:
    recipe = {None: "", False: "today's", True: "stale"}[known["stale"]]
    if known["url"] is None:
        recipe = "of no size today"
    milliseconds, quality, score = (_number(known[name]) for name in ("milliseconds", "quality", "score"))
    return known["state"], size(known["bytes"]), milliseconds, quality, score, recipe


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
