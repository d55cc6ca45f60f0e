"""`pygnc scenario from-ephemeris`: a scenario along a real, precise orbit."""

from pathlib import Path
from typing import Annotated

import typer

from pygnc_ground.scenario.from_ephemeris import generate_along, settings_along
from pygnc_ground.scenario.settings import read_tables
from pygnc_ground.scenario.writer import write_scenario
from pygnc_ground.truth.load import load_truth


def from_ephemeris(
    file: Annotated[Path, typer.Argument(help="SP3-c, SP3-d, CCSDS OEM (KVN, XML) or a scenario's table of truth.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing, must hold no scenario yet.")],
    config: Annotated[
        Path | None, typer.Option(help="Settings (TOML); orbit, spacecraft and forces in it are not used.")
    ] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", help="Identifier of the object, if the file has several.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option(help="UTC like 2025-03-20T00:00:00Z; else that of the settings or the file.")
    ] = None,
    duration: Annotated[int | None, typer.Option(min=1, help="Seconds; else to the end of the file.")] = None,
) -> None:
    """Make the flight's input files with simulated sensors along a precise orbit, and the truth behind them."""
    try:
        ephemeris = load_truth(file, object_id)
        tables = read_tables(config) if config is not None else {}
        asked = {"start_utc": begin, "duration_s": duration}
        tables |= {name: value for name, value in asked.items() if value is not None}
        settings = settings_along(tables, str(config or "the options"), ephemeris)
        origin = _origin(file, ephemeris.description, object_id)
        files = write_scenario(settings, [generate_along(settings, ephemeris)], out, origin)
    except (OSError, ValueError) as error:
        typer.echo(f"pygnc scenario from-ephemeris: {error}", err=True)
        raise typer.Exit(code=2) from error
    typer.echo(f"along {ephemeris.description}")
    for path in files:
        typer.echo(f"{path}  {path.stat().st_size} bytes")


def _origin(file: Path, description: str, object_id: str | None) -> str:
    """Where the orbit is from: `scenario make` would put another one in its place."""
    chosen = f" --object {object_id}" if object_id else ""
    remake = f"pygnc scenario from-ephemeris {file.name}{chosen} --config scenario.toml --out FOLDER"
    return (
        f"Along {file.name}: {description}.\nMade again by: {remake}\n"
        "The orbit, spacecraft and forces below were not used."
    )
