"""Orbit from the fixes in logs of a receiver, for `pygnc orbit`, and its summary."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import typer

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.orbit.elements_fit import FitError
from pygnc.estimators.orbit.state import POSITION, VELOCITY, OrbitState, osculating_elements
from pygnc_ground.commands.export import write
from pygnc_ground.commands.terminal import progress_bar
from pygnc_ground.exports.estimates import Estimates
from pygnc_ground.exports.export import File, Options, files
from pygnc_ground.orbit.prediction import OrbitPrediction
from pygnc_ground.orbit.solution import IntArray, newest_state
from pygnc_ground.replay import folder
from pygnc_ground.replay.attitude_run import keep_heap_small, return_free_memory
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.fix_times import FirstTimes
from pygnc_ground.replay.noise import PASSES_MAX, NoiseFactors
from pygnc_ground.replay.run import ReplayContext
from pygnc_ground.replay.tables import table_makers
from pygnc_ground.report.replay import Replay
from pygnc_ground.report.text import count_line, orbit_lines
from pygnc_ground.wording import duration

_EXPORTED: Final = ("orbit_smoothed", "attitude_smoothed", "attitude")
"""Tables of which messages are made; without an orbit of the smoother, there is none of the filter."""
_GAP: Final = 10.0
"""Intervals without fixes from which on the summary names them."""


def replay_with_true_noise(files: RecordedFiles, context: ReplayContext) -> Replay:
    """Replay the files, again with other times or standard deviations of the receiver if its own are not true."""
    factors, measurement, times = NoiseFactors(), context.settings.orbit.measurement, FirstTimes()
    for _ in range(PASSES_MAX):
        inputs, used = factors.scaled(times.corrected(files.inputs()), measurement), factors
        with progress_bar() as progress:
            advance = partial(progress.advance, progress.add_task("fixes", total=inputs.records))
            result, collected = context.replay(inputs, advance=advance, normal_points=True)
        if not times.seqs and (times := FirstTimes.of(collected)).seqs:
            continue
        factors = used.refined(result, collected, EarthFrames(context.orientation))
        if factors == used:
            break
    result = dataclasses.replace(result, notes=(*times.notes, *result.notes))
    if used != NoiseFactors():
        note = f"standard deviations of the receiver: positions times {used.position:.3g}, velocities times"
        note = f"{note} {used.velocity:.3g}, because the stated ones are not those of its errors"
        result = dataclasses.replace(result, notes=(note, *result.notes))
    orientation = context.orientation.identification
    origin = folder.origin_of(files.digests(result.sources), result.settings, result.filter_name, orientation)
    return Replay(result, collected, origin)


def write_orbit(recorded: RecordedFiles, out: Path, options: Options, *, overwrite: bool) -> list[Path]:
    """Determine the orbit, print its summary, and write tables, report and messages; return their paths."""
    keep_heap_small()
    context = recorded.context()
    replay = replay_with_true_noise(recorded, context)
    updates = replay.collected.updates
    newest = newest_state(updates)
    orbit = OrbitPrediction.of_updates(updates, context.settings.orbit, context.orientation)
    replay.collected.release_fixes()
    return_free_memory()
    paths = replay.write(out, overwrite=overwrite)
    write_prediction(out, folder.read_state(out), orbit)
    made = table_makers(replay.result, replay.collected).items()
    estimates = Estimates({name: make().lazy().collect() for name, make in made if name in _EXPORTED}, newest, orbit)
    for line in _summary_lines(replay, estimates, orbit.drag_sigma):
        typer.echo(line)
    return paths if newest is None else paths + write(message_files(estimates, options), out)


def write_prediction(out: Path, stored: folder.StoredState, orbit: OrbitPrediction) -> Path:
    """Write the newest state with what its prediction over days needs, and return the path."""
    prediction = folder.StoredState.of(orbit.start, orbit.settings, stored.earth_orientation)
    return folder.write_state(out, msgspec.structs.replace(stored, prediction=prediction))


def _summary_lines(replay: Replay, estimates: Estimates, drag_sigma: float) -> Iterator[str]:
    """Yield what was read, the newest orbit, its prediction and, with a truth, its errors."""
    result, newest = replay.result, estimates.newest
    for source in result.sources:
        yield f"{source.name}: {source.delivered_bytes} bytes used, {source.damaged_bytes} not"
    yield count_line("fixes", int(result.solution.accepted.sum()), result.not_used, "orbit")
    yield from result.notes
    if newest is None:
        yield "no orbit: no fix was used"
        return
    # Before its first fix, a receiver may not know the time.
    yield _times_line(result.fixes.gps_ms[result.solution.accepted])
    if not result.fixes.velocity.used.any():
        yield "velocities: none used; the orbit is that of the positions alone"
    axis_m, _, e_x, e_y, inclination, _ = osculating_elements(newest.x[:6]).tolist()
    eccentricity = math.hypot(e_x, e_y)
    low_km, high_km = (1e-3 * (axis_m * (1.0 + sign * eccentricity) - EARTH_RADIUS_M) for sign in (-1, 1))
    period_min = 2.0 * math.pi * math.sqrt(axis_m**3 / GM_EARTH_M3_S2) / 60.0
    yield (
        f"orbit: {low_km:.0f} to {high_km:.0f} km high, inclination {math.degrees(inclination):.2f} deg, period"
        f" {period_min:.2f} min"
    )
    yield f"newest state: sigma {_sigma(newest, POSITION):.2f} m, {_sigma(newest, VELOCITY):.4f} m/s"
    yield prediction_line(estimates, drag_sigma)
    yield from orbit_lines(replay.orbits)


def prediction_line(estimates: Estimates, drag_sigma: float) -> str:
    """Return how certain the orbit is after a day."""
    ahead_km = 1e-3 * _sigma(estimates.day[-1], POSITION)
    return f"predicted a day ahead: sigma {ahead_km:.3f} km; drag known to {100.0 * drag_sigma:.0f} %"


def _times_line(gps_ms: IntArray) -> str:
    """Return the first and the last time of the fixes, the usual interval and, if it is much longer, the longest."""
    times_ms = np.unique(gps_ms)
    first, last = (utc_iso_from_gps_ms(int(time_ms)) for time_ms in times_ms[[0, -1]])
    if len(times_ms) == 1:
        return f"{first}: a single fix"
    intervals_ms = np.diff(times_ms)
    usual_ms, longest_ms = float(np.median(intervals_ms)), float(intervals_ms.max())
    gap = f", once none for {duration(longest_ms)}" if longest_ms >= _GAP * usual_ms else ""
    return f"{first} to {last}: {duration(float(np.ptp(times_ms)))}, a fix every {duration(usual_ms)}{gap}"


def _sigma(state: OrbitState, part: slice) -> float:
    """Return the standard deviation in three dimensions of a position or velocity."""
    return math.sqrt(float(np.trace(state.covariance[part, part])))


def message_files(estimates: Estimates, options: Options) -> Iterator[File]:
    """Yield the messages, and print the error to expect of the mean elements."""
    with suppress(FitError):
        if fitted := estimates.fitted:
            error_km = 1e-3 * fitted.error_m[-1]
            typer.echo(f"mean elements: within {error_km:.2f} km for a day, with a probability of 95 %")
    yield from files(estimates, options)
