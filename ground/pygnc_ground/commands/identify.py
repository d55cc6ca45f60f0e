"""`pygnc identify`: find the object of a catalogue that a satellite is."""

from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import UsageError
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.commands.passes import StationsOption, chosen_stations, require_table_suffix
from pygnc_ground.commands.replay import ConfigOption, ObjectOption
from pygnc_system.files import data_file

app: Final = Application()


@app.command(example="pygnc identify orbit rideshare.tle")
def identify(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of a replay, a log, an OEM file, or frequencies of a pass: CSV with utc and frequency_hz.",
        ),
    ],
    catalogue: Annotated[
        list[Path], typer.Argument(metavar="ELEMENTS...", help="Catalogue: TLEs, or OMMs in KVN, XML, JSON or CSV.")
    ],
    *,
    station: Annotated[
        str, typer.Option(metavar="LAT,LON,HEIGHT|NAME", help="Station of the frequencies, in degrees and m.")
    ] = "",
    stations: StationsOption = None,
    none: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="Prior probability that the catalogue lacks the satellite.")
    ] = 0.1,
    out: Annotated[Path | None, typer.Option(help="Table to write; its name ends with .csv or .parquet.")] = None,
    object_name: ObjectOption = None,
    config: ConfigOption = None,
) -> None:
    """Find the object of a catalogue that a satellite is, with probabilities.

    The satellite is observed by an orbit, by a few fixes, or by the Doppler shifts of one pass.
    """
    from rich.console import Console

    from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
    from pygnc.environment.frames import EarthFrames
    from pygnc_ground.commands import identification
    from pygnc_ground.commands.orbit_source import read_source
    from pygnc_ground.tables.declaration import write_table

    with report_user_errors("pygnc identify"):
        require_table_suffix(out)
        frames = EarthFrames(read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
        objects = identification.read_catalogues(catalogue)
        if identification.is_doppler(source):
            if not station:
                raise UsageError(f"{source}: has frequencies of a pass; name the receiving station by --station")
            (place,) = chosen_stations([station], stations)
            found = identification.by_doppler(source, place, objects, none, frames)
        else:
            if station:
                raise UsageError(f"{source}: is an orbit; --station is for frequencies of a pass")
            found = identification.by_orbit(read_source([source], config, object_name), objects, none, frames)
        if out is not None:
            about = {"source": str(source), "prior_none": str(none)}
            write_table("identification", identification.candidate_rows(found), out, about)
    Console(highlight=False).print(identification.candidate_table(found))
    for line in identification.verdict_lines(found):
        typer.echo(line)
    if out is not None:
        echo_files([out])
