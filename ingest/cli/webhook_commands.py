"""The command that lists webhooks that were given up, and sends them again."""

from typing import Annotated

import typer

from ingest.cli.console import AsJson, load, out, print_json, print_table, run
from ingest.cli.help import examples


@examples("darkroom webhooks", "darkroom webhooks --retry")
def webhooks(
    retry: Annotated[bool, typer.Option("--retry", help="Send again what was given up.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the webhooks that were given up; with --retry, send them again.

    A webhook is given up after a day of attempts, or if the receiver answers 410. Its row stays for 30 days. A server
    or a worker must run to send it again. The exit code is 1 if there are webhooks that were given up.
    """
    settings = load()
    from ingest.maintenance.webhook_overview import show_webhooks

    report = run(show_webhooks(settings, retry=retry))
    if as_json:
        print_json(report)
    else:
        if report["webhooks"]:
            names = ("webhookId", "type", "uploadId", "createdAt", "error")
            rows = ([str(webhook[name]) for name in names] for webhook in report["webhooks"])
            print_table(("Webhook", "Type", "Upload", "Created", "Error"), rows)
        again = f"{report['retried']} will be sent again. " if retry else ""
        out().print(f"{again}{report['pending']} pending, {report['failed']} given up")
    raise typer.Exit(1 if report["failed"] else 0)
