"""The `darkroom` command.

Exit codes: 0 success; 1 something failed, and the output says what; 2 the command or the settings are wrong.
"""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from ingest.cli import (
    config_command,
    edge_commands,
    import_command,
    key_commands,
    process_commands,
    recovery_commands,
    upkeep_commands,
    upload_commands,
    variant_commands,
    webhook_commands,
)
from ingest.cli.help import help_text

_HELP = help_text(
    """Darkroom, an on-demand image origin.

    Settings come from environment variables, then .env, then darkroom.toml in this folder; darkroom config shows them.

    Exit codes: 0 success; 1 something failed, and the output says what; 2 the command or the settings are wrong.
    """,
    ["darkroom serve", "darkroom upload --wait photo.jpg", "darkroom doctor"],
)
_EDGE_HELP = help_text(
    "Print the edge's rules for exactly the configured sizes and the largest upload.",
    ["darkroom edge nginx > variants.conf"],
)

GROUPS = {
    "Run": (process_commands.serve, process_commands.worker),
    "Uploads": (
        upload_commands.upload,
        import_command.import_,
        upload_commands.show,
        upload_commands.purge,
        variant_commands.warm,
        variant_commands.refresh,
    ),
    "Upkeep": (
        upkeep_commands.doctor,
        config_command.config,
        upkeep_commands.migrate,
        upkeep_commands.gc,
        recovery_commands.readopt,
        recovery_commands.rebind,
        webhook_commands.webhooks,
    ),
}

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, help=_HELP)
for group, commands in GROUPS.items():
    for command in commands:
        summary = (command.__doc__ or "").partition("\n")[0]  # Typer would truncate its own for shell completion
        name = command.__name__.rstrip("_")  # of a command whose name is a word of Python
        app.command(name, rich_help_panel=group, short_help=summary)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"darkroom {version('darkroom-origin')}")
        raise typer.Exit


@app.callback()
def _before_every_command(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    os.umask(0o077)  # DATA_DIR holds originals


edge_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=_EDGE_HELP)
edge_app.command()(edge_commands.nginx)
edge_app.command()(edge_commands.cloudfront)
app.add_typer(edge_app, name="edge", rich_help_panel="Upkeep")

keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=key_commands.KEYS_HELP)
keys_app.command()(key_commands.new)
keys_app.command()(key_commands.secret)
keys_app.command()(key_commands.webhook)
app.add_typer(keys_app, name="keys", rich_help_panel="Upkeep")

trash_app = typer.Typer(invoke_without_command=True, rich_markup_mode="rich", help=recovery_commands.TRASH_HELP)
trash_app.callback()(recovery_commands.trash)
trash_app.command()(recovery_commands.restore)
app.add_typer(trash_app, name="trash", rich_help_panel="Upkeep")
