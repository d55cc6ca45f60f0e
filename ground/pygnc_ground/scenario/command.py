"""`pygnc scenario make`: a scenario from a settings file into a folder."""

from pathlib import Path
from typing import Annotated

import typer

from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.settings import load_settings
from pygnc_ground.scenario.writer import write_scenario


def make(
    config: Annotated[Path, typer.Option(help="Settings (TOML); what the file does not name has its default.")],
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing, must hold no scenario yet.")],
) -> None:
    """Make the flight's input files (sense.bin, range/rng00000.bin ...) and the truth behind them."""
    try:
        files = write_scenario(generate(load_settings(config)), out)
    except (OSError, ValueError) as error:
        typer.echo(f"pygnc scenario make: {error}", err=True)
        raise typer.Exit(code=2) from error
    for file in files:
        typer.echo(f"{file}  {file.stat().st_size} bytes")
