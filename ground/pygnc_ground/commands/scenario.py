"""`pygnc scenario`: generate input files with known truth from presets, settings files or ephemerides."""

from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_ground.scenario.from_ephemeris import generate_along, settings_along
from pygnc_ground.scenario.generate import generate, generate_all
from pygnc_ground.scenario.presets import preset_summaries, preset_tables
from pygnc_ground.scenario.settings import Settings, merge_tables, read_tables, settings_from_tables
from pygnc_ground.scenario.writer import write_scenario
from pygnc_ground.truth.load import load_truth


def from_ephemeris(
    file: Annotated[
        Path, typer.Argument(help="SP3-c, SP3-d or CCSDS OEM file (KVN, XML), or truth table of a scenario.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; it is created if missing and must be empty.")],
    config: Annotated[
        Path | None, typer.Option(help="Settings (TOML); orbit, spacecraft and forces have no effect.")
    ] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", help="Identifier of the object if the file has several.")
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option(
            help="Start in UTC, such as 2025-03-20T00:00:00Z. [default: start of the settings or of the file]"
        ),
    ] = None,
    duration: Annotated[
        int | None, typer.Option(min=1, help="Duration in seconds. [default: to the end of the file]")
    ] = None,
) -> None:
    """Generate input files with simulated sensors along a precise orbit, and the truth tables."""
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
    """Return the comment that names the ephemeris: `scenario make` would replace its orbit by a propagated one."""
    chosen = f" --object {object_id}" if object_id else ""
    remake = f"pygnc scenario from-ephemeris {file.name}{chosen} --config scenario.toml --out FOLDER"
    return (
        f"Along {file.name}: {description}.\nMade again by: {remake}\n"
        "The orbit, spacecraft and forces below were not used."
    )


app: Final = typer.Typer(help="Generate input files with known truth.", no_args_is_help=True)


@app.command()
def make(
    out: Annotated[Path, typer.Option(help="Folder for the files; it is created if missing and must be empty.")],
    config: Annotated[
        Path | None,
        typer.Option(help="Settings (TOML); they override the preset's."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Name of a preset; `pygnc scenario presets` lists them.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the noise; overrides the settings.")] = None,
) -> None:
    """Generate the flight's input files (sense.bin, range/rng00000.bin ...) and the truth tables."""
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
        raise ValueError(
            "no settings given; name a file (--config), a preset (--preset) or both; see pygnc scenario presets"
        )
    tables = preset_tables(preset) if preset is not None else {}
    if config is not None:
        tables = merge_tables(tables, read_tables(config))
    if seed is not None:
        tables = tables | {"seed": seed}
    return settings_from_tables(tables, str(config or preset))
