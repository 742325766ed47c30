"""Commands that print the edge's configuration."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ingest.cli.console import load, stop
from ingest.cli.help import examples
from ingest.edge import rules


@examples("darkroom edge nginx > variants.conf")
def nginx() -> None:
    """Print the variants.conf that nginx.conf includes."""
    settings = load(database=False, watermarks=False)
    typer.echo(rules.nginx(settings.sizes, settings.max_upload_mb), nl=False)


@examples(
    "darkroom edge cloudfront > rules.js", "darkroom edge cloudfront --template deploy/cloudfront.yaml > mine.yaml"
)
def cloudfront(
    template: Annotated[
        Path | None,
        typer.Option(help="Print this CloudFormation template with both functions in it.", exists=True, dir_okay=False),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Print the function for private variants instead.")
    ] = False,
) -> None:
    """Print the function that CloudFront runs for each request.

    If CDN_URL, or else PUBLIC_URL, has a path, the function removes it from the requests.
    """
    if template and private:
        stop("--template prints both functions: leave out --private.", code=2)
    settings = load(database=False, watermarks=False)
    base_path = urlsplit(settings.url_base).path
    if template is None:
        typer.echo(rules.cloudfront(settings.sizes, base_path, private=private), nl=False)
        return
    try:
        typer.echo(rules.fill_template(template.read_text(), settings.sizes, base_path), nl=False)
    except ValueError as error:
        stop(f"{template}: {error}", code=2)
