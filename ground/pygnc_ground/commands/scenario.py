"""`pygnc scenario`: generate input files with known truth from presets, settings files or ephemerides."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

import pygnc_ground as pg
from pygnc_cli.application import Application
from pygnc_cli.document import Document, WrittenFile, echo_document
from pygnc_cli.exit_codes import UsageError
from pygnc_cli.files import echo_files, report_user_errors

app: Final = Application(
    "Generate input files with known truth.", example="pygnc scenario make --preset nominal --out batch"
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


class Written(Document, frozen=True):
    """Document of `make --json` and `from-ephemeris --json`."""

    ephemeris: str | None
    files: list[WrittenFile]


class Presets(Document, frozen=True):
    """Document of `presets --json`."""

    presets: dict[str, str]


def _show(files: list[Path], ephemeris: str | None, *, as_json: bool) -> None:
    if as_json:
        echo_document(Written(ephemeris=ephemeris, files=WrittenFile.all_of(files)))
        return
    if ephemeris is not None:
        typer.echo(f"along {ephemeris}")
    echo_files(files)


@app.command(example="pygnc scenario make --preset nominal --seed 7 --out batch")
def make(
    out: Annotated[Path, typer.Option(help="Folder for the files; it is created if missing and must be empty.")],
    config: Annotated[
        Path | None,
        typer.Option(help="Settings (TOML); they override those of the preset."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Name of a preset; `pygnc scenario presets` lists them.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the noise, 0 or more; overrides the settings.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Generate input files of the flight software (sense.bin, range/rng00000.bin ...) and the truth tables."""
    with report_user_errors("pygnc scenario make"):
        if config is None and preset is None:
            raise UsageError(
                "no settings given; name a file (--config), a preset (--preset) or both; see pygnc scenario presets"
            )
        files = pg.make_scenario(preset, config, seed=seed).write(out)
    _show(files, None, as_json=as_json)


@app.command(example="pygnc scenario from-ephemeris orbit.sp3 --object L51 --out batch")
def from_ephemeris(
    file: Annotated[
        Path, typer.Argument(help="SP3-c, SP3-d or CCSDS OEM file (KVN, XML), or truth table of a scenario.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; it is created if missing and must be empty.")],
    config: Annotated[
        Path | None, typer.Option(help="Settings (TOML); those of orbit, spacecraft and forces have no effect.")
    ] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", help="Identifier of the object in a file with several objects.")
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option(help="Start in UTC, such as 2025-03-20T00:00:00Z; default: start of the settings or of the file."),
    ] = None,
    duration: Annotated[
        int | None, typer.Option(min=1, help="Duration in seconds; default: to the end of the file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate input files with simulated sensors along a precise orbit, and the truth tables."""
    with report_user_errors("pygnc scenario from-ephemeris"):
        ephemeris = pg.load_truth(file, object_id)
        scenario = pg.make_scenario(settings=config, start_utc=begin, duration_s=duration, along=ephemeris)
        files = replace(scenario, origin=_origin(file, ephemeris.description, object_id)).write(out)
    _show(files, ephemeris.description, as_json=as_json)


def _origin(file: Path, description: str, object_id: str | None) -> str:
    """Return the comment that names the ephemeris: `scenario make` would replace its orbit by a propagated one."""
    chosen = f" --object {object_id}" if object_id else ""
    remake = f"pygnc scenario from-ephemeris {file.name}{chosen} --config scenario.toml --out FOLDER"
    return (
        f"Along {file.name}: {description}.\nMade again by: {remake}\n"
        "The orbit, spacecraft and forces below were not used."
    )


@app.command(example="pygnc scenario presets")
def presets(*, as_json: JsonOption = False) -> None:
    """List the names of the presets with their summaries."""
    if as_json:
        echo_document(Presets(presets=dict(pg.scenario_presets())))
        return
    for name, summary in pg.scenario_presets().items():
        typer.echo(f"{name:14}{summary}")
