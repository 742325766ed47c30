"""The `darkroom` command.

Exit codes: 0 all is well; 1 something failed, and the output says what; 2 the command or the settings are wrong.
"""

import typer

from ingest.cli import edge, pictures, processes, upkeep

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Darkroom, an on-demand image origin.")
for command in (
    processes.serve,
    processes.worker,
    pictures.warm,
    pictures.refresh,
    pictures.purge,
    upkeep.gc,
    upkeep.doctor,
    upkeep.config,
    upkeep.migrate,
):
    app.command()(command)

edge_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Print the edge's path rules for exactly the sizes in force."
)
edge_app.command()(edge.nginx)
edge_app.command()(edge.cloudfront)
app.add_typer(edge_app, name="edge")
