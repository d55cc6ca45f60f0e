"""`pygnc passes`: passes of a satellite over ground stations, with the uncertainty of their times."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import UsageError
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.commands.replay import ConfigOption, ObjectOption

if TYPE_CHECKING:
    from rich.table import Table

    from pygnc_ground.orbit.passes import Event, Pass, Station

_MS_PER_HOUR: Final = 3_600_000
SourceArgument = Annotated[
    list[Path],
    typer.Argument(metavar="SOURCE...", help="Folder of a replay, logs of a receiver, or a TLE, OMM or OEM file."),
]
StationsOption = Annotated[Path | None, typer.Option("--stations", help="File of named stations (TOML).")]

app: Final = Application()


def chosen_stations(words: Sequence[str], file: Path | None) -> "list[Station]":
    """Return the stations that words name or describe by coordinates; without words, all of the file.

    Raises:
        OSError: The file cannot be read.
        ValueError: A station is unknown, or the file is damaged.
    """
    from pygnc_ground.orbit.passes import Station, read_stations

    named = {} if file is None else read_stations(file)
    if not words and not named:
        raise UsageError("no station; name one by --station LAT,LON,HEIGHT, or a file of stations by --stations")
    return [named.get(word) or Station.from_text(word) for word in words] or [*named.values()]


def require_table_suffix(out: Path | None) -> None:
    """Raise UsageError unless the name of a table to write ends with .csv or .parquet."""
    if out is not None and out.suffix not in {".csv", ".parquet"}:
        raise UsageError(f"--out {out}: name a file that ends with .csv or .parquet")


@app.command(example="pygnc passes orbit --station 48.15,11.57,520 --frequency 437e6")
def show_passes(
    source: SourceArgument,
    *,
    station: Annotated[
        list[str],
        typer.Option(metavar="LAT,LON,HEIGHT|NAME", help="Station in degrees and m, or its name; repeatable."),
    ] = [],  # noqa: B006 - Typer's way of an empty list
    stations: StationsOption = None,
    begin: Annotated[
        str,
        typer.Option(help="First time (ISO 8601, UTC); default: the newest state, or where elements or file begin."),
    ] = "",
    hours: Annotated[float, typer.Option(min=0.1, max=336.0, help="Time span in hours.")] = 24.0,
    mask: Annotated[float, typer.Option(metavar="DEG", min=-10.0, max=89.0, help="Least elevation of a pass.")] = 10.0,
    frequency: Annotated[
        float | None, typer.Option(metavar="HZ", min=1e6, max=1e12, help="Carrier frequency, for Doppler shifts.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write; its name ends with .csv or .parquet.")] = None,
    object_name: ObjectOption = None,
    config: ConfigOption = None,
) -> None:
    """Show rise, culmination and set over ground stations.

    Times have standard deviations, which follow from the covariance of the orbit.
    """
    from rich.console import Console

    from pygnc.common.clock import gps_ms_from_utc_iso, utc_iso_from_gps_ms
    from pygnc_ground.commands.orbit_source import read_source
    from pygnc_ground.orbit.passes import find_passes, passes_table
    from pygnc_ground.tables.declaration import write_table

    with report_user_errors("pygnc passes"):
        require_table_suffix(out)
        places = chosen_stations(station, stations)
        orbit = read_source(source, config, object_name)
        begin_ms = gps_ms_from_utc_iso(begin) if begin else orbit.begin_ms
        end_ms = begin_ms + round(hours * _MS_PER_HOUR)
        last_ms = end_ms if orbit.end_ms is None else min(end_ms, orbit.end_ms)
        if last_ms <= begin_ms or (orbit.end_ms is not None and begin_ms < orbit.begin_ms):
            span = f"{utc_iso_from_gps_ms(orbit.begin_ms)} to {utc_iso_from_gps_ms(last_ms)}"
            raise ValueError(f"{source[0]}: has no orbit at {utc_iso_from_gps_ms(begin_ms)}; its span is {span}")
        uncertain = orbit.over(begin_ms, last_ms)
        found = list(
            itertools.chain.from_iterable(find_passes(uncertain, place, begin_ms, last_ms, mask) for place in places)
        )
        found.sort(key=lambda one: one.events[0].gps_ns)
        if out is not None:
            about = {"orbit": orbit.description, "stations": repr(places)}
            write_table("passes", passes_table(found, frequency), out, about)
    typer.echo(f"{orbit.description}; {utc_iso_from_gps_ms(begin_ms)} to {utc_iso_from_gps_ms(last_ms)}")
    if last_ms < end_ms:
        typer.echo("the span ends where the file ends")
    for place in places:
        own = [one for one in found if one.station == place]
        count = f"{len(own) or 'no'} pass{'es' if len(own) > 1 else ''}"
        typer.echo(f"\n{place.name}: {count}")
        if own:
            Console(highlight=False).print(_table(own, frequency))
    if out is not None:
        echo_files([out])


def _table(passes: "Sequence[Pass]", frequency_hz: float | None) -> "Table":
    from rich.table import Table

    from pygnc_ground.orbit.passes import doppler_hz

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    rate = "m/s" if frequency_hz is None else "kHz"
    for name in ("rise, UTC", "± s", "azim.", "culm.", "elev.", "km", "set", "± s", "azim.", rate):
        table.add_column(name, justify="right", no_wrap=True)
    for one in passes:
        top = one.culmination
        first = one.events[0].range_rate_mps
        table.add_row(
            *_crossing(one.rise, slice(5, 21)),
            _utc(top)[11:19],
            f"{top.elevation_deg:.1f}",
            f"{1e-3 * top.range_m:.0f}",
            *_crossing(one.set, slice(11, 21)),
            f"{first:.0f}" if frequency_hz is None else f"{1e-3 * doppler_hz(first, frequency_hz):.1f}",
        )
    return table


def _utc(event: "Event") -> str:
    from pygnc.common.clock import utc_iso_from_gps_ms
    from pygnc_ground.truth.ephemeris import NS_PER_MS

    return utc_iso_from_gps_ms(round(event.gps_ns / NS_PER_MS)).replace("T", " ")


def _crossing(event: "Event | None", shown: slice) -> tuple[str, str, str]:
    """Return time, standard deviation and azimuth of a rise or set; dashes if it is outside the span."""
    if event is None:
        return "-", "", "-"
    sigma_s = event.time_sigma_s
    sigma = "" if math.isnan(sigma_s) else f"{sigma_s:.2f}" if sigma_s >= 0.01 else "<0.01"
    return _utc(event)[shown], sigma, f"{event.azimuth_deg:.0f}"
