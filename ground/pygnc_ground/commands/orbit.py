"""`pygnc orbit`: determine the orbit of a satellite from logs of its receiver."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from msgspec.structs import replace

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import STATED_HOURS
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.orbit.elements_fit import FitError, fit_in_steps
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.state import POSITION, VELOCITY, OrbitState, osculating_elements
from pygnc.formats.omm import write_kvn
from pygnc_cli.application import Application
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.commands.replay import count_line, error_lines
from pygnc_ground.commands.terminal import progress_bar
from pygnc_ground.replay import folder
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.run import ReplayContext
from pygnc_ground.report.replay import Replay
from pygnc_ground.report.wording import duration

_DAY_MS: Final = 86_400_000

app: Final = Application()


@app.command(example="pygnc orbit receiver.ubx --out orbit")
def determine_orbit(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Logs of a receiver, or sense files.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, report and mean elements, missing or empty.")],
    truth: Annotated[
        Path | None, typer.Option(help="True orbit: truth.parquet of a scenario, an SP3 or a CCSDS OEM file.")
    ] = None,
    object_name: Annotated[
        str | None,
        typer.Option("--object", help="Identifier of the object in an SP3 or OEM file with several objects."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML) as for main.py.")] = None,
    name: Annotated[str, typer.Option(help="Name of the satellite in the mean elements.")] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of another replay in the folder.")
    ] = False,
) -> None:
    """Determine the orbit from logs of a receiver; write tables, a report and mean elements.

    Logs are recognised by content: NovAtel OEM, UBX of u-blox, Septentrio SBF, SkyTraq binary, NMEA 0183.
    """
    with report_user_errors("pygnc orbit"):
        files = RecordedFiles(sense=tuple(logs), truth=truth, object_name=object_name, config=config)
        context = files.context()
        folder.require_free(out, overwrite=overwrite)
        inputs = files.inputs()
        with progress_bar() as progress:
            advance = partial(progress.advance, progress.add_task("fixes", total=inputs.records))
            replay = Replay.of(files, *context.replay(inputs, advance=advance))
        paths = replay.write(out, overwrite=overwrite)
        newest = max((update.state for update in replay.collected.updates if update.state), key=_time, default=None)
        for line in _lines(replay, context, newest):
            typer.echo(line)
        if newest is not None:
            paths += _mean_elements(context, newest, out / folder.MEAN_ELEMENTS, name)
    echo_files(paths)


def _time(state: OrbitState) -> int:
    return state.gps_ms


def _lines(replay: Replay, context: ReplayContext, newest: OrbitState | None) -> Iterator[str]:
    """Yield what was read, the newest orbit, its prediction and, with a truth, its errors."""
    result = replay.result
    for source in result.sources:
        yield f"{source.name}: {source.delivered_bytes} bytes used, {source.damaged_bytes} not"
    yield count_line("fixes", int(result.solution.accepted.sum()), result.not_used, "orbit")
    yield from result.notes
    if newest is None:
        yield "no orbit: no fix was used"
        return
    first_ms, last_ms = int(result.fixes.gps_ms.min()), int(result.fixes.gps_ms.max())
    yield f"{utc_iso_from_gps_ms(first_ms)} to {utc_iso_from_gps_ms(last_ms)}: {duration(last_ms - first_ms)}"
    axis_m, _, e_x, e_y, inclination, _ = osculating_elements(newest.x[:6]).tolist()
    eccentricity = math.hypot(e_x, e_y)
    low_km, high_km = (1e-3 * (axis_m * (1.0 + sign * eccentricity) - EARTH_RADIUS_M) for sign in (-1, 1))
    period_min = 2.0 * math.pi * math.sqrt(axis_m**3 / GM_EARTH_M3_S2) / 60.0
    yield (
        f"orbit: {low_km:.0f} to {high_km:.0f} km high, inclination {math.degrees(inclination):.2f} deg, period"
        f" {period_min:.2f} min"
    )
    yield f"newest state: sigma {_sigma(newest, POSITION):.2f} m, {_sigma(newest, VELOCITY):.4f} m/s"
    filter_ = OrbitFilter(context.settings.orbit, context.orientation)
    after_day = filter_.predict(newest.gps_ms + _DAY_MS, newest)
    yield f"predicted a day ahead: sigma {1e-3 * _sigma(after_day, POSITION):.3f} km"
    yield from error_lines(replay)


def _sigma(state: OrbitState, part: slice) -> float:
    """Return the standard deviation in three dimensions of a position or velocity."""
    return math.sqrt(float(np.trace(state.covariance[part, part])))


def _mean_elements(context: ReplayContext, newest: OrbitState, path: Path, name: str) -> list[Path]:
    """Fit mean elements to the prediction from the newest state, write them as an OMM, and return its path."""
    try:
        *_, fitted = fit_in_steps(OrbitFilter(context.settings.orbit, context.orientation), newest)
    except FitError as error:
        typer.echo(f"mean elements: {error}")
        return []
    if fitted is None:
        raise TypeError("a fit ends with its result")
    error_km = [1e-3 * error for error in fitted.error_m]
    comments = [
        f"Position error within {hours} h after the epoch, exceeded in 5 % of cases: {error:.3f} km"
        for hours, error in zip(STATED_HOURS, error_km, strict=True)
    ]
    elements = replace(fitted.elements, name=name)
    path.write_text(write_kvn(elements, tuple(comments), elements.epoch_gps_ms))
    typer.echo(f"mean elements: within {error_km[-1]:.2f} km for {STATED_HOURS[-1]} h, with a probability of 95 %")
    return [path]
