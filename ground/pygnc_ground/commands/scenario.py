"""`pygnc scenario from-ephemeris`: a scenario along a real, precise orbit.

`pygnc scenario`: scenarios from presets and settings files into folders.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_ground.scenario.from_ephemeris import generate_along, settings_along
from pygnc_ground.scenario.generate import generate, generate_all
from pygnc_ground.scenario.presets import preset_summaries, preset_tables
from pygnc_ground.scenario.settings import Settings, checked, overlaid, read_tables
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


app: Final = typer.Typer(help="Make input files with a known truth.", no_args_is_help=True)


@app.command()
def make(
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing, must hold no scenario yet.")],
    config: Annotated[
        Path | None,
        typer.Option(help="Settings (TOML), laid over the preset's; what neither names has its default."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Settings of that name in `pygnc scenario presets`.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="In place of the seed in the settings.")] = None,
) -> None:
    """Make the flight's input files (sense.bin, range/rng00000.bin ...) and the truth behind them."""
    try:
        settings = _settings(config, preset, seed)
        make_all = settings.formation.all_satellites
        scenarios = generate_all(settings) if make_all else [generate(settings)]
        files = write_scenario(settings, scenarios, out)
    except (OSError, ValueError) as error:
        typer.echo(f"pygnc scenario make: {error}", err=True)
        raise typer.Exit(code=2) from error
    for file in files:
        typer.echo(f"{file}  {file.stat().st_size} bytes")


app.command(name="from-ephemeris")(from_ephemeris)


@app.command()
def presets() -> None:
    """List the presets."""
    for name, summary in preset_summaries().items():
        typer.echo(f"{name:14}{summary}")


def _settings(config: Path | None, preset: str | None, seed: int | None) -> Settings:
    if config is None and preset is None:
        raise ValueError("name a file (--config), a preset (--preset) or both; see pygnc scenario presets")
    tables = preset_tables(preset) if preset is not None else {}
    if config is not None:
        tables = overlaid(tables, read_tables(config))
    if seed is not None:
        tables = tables | {"seed": seed}
    return checked(tables, str(config or preset))
