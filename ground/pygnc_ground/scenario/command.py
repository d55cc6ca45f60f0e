"""`pygnc scenario`: scenarios from presets and settings files into folders."""

from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_ground.scenario.from_ephemeris_command import from_ephemeris
from pygnc_ground.scenario.generate import generate, generate_all
from pygnc_ground.scenario.presets import preset_summaries, preset_tables
from pygnc_ground.scenario.settings import Settings, checked, overlaid, read_tables
from pygnc_ground.scenario.writer import write_scenario

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
