"""`pygnc` as an application that Typer's test runner can invoke."""

from typing import Final

import typer

from pygnc_cli.app import main

app: Final = typer.Typer(add_completion=False)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def pygnc(context: typer.Context) -> None:
    raise typer.Exit(main(context.args))
