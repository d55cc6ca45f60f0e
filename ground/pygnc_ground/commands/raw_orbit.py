"""Orbit from raw measurements of a receiver, for `pygnc orbit` with `--gnss-orbits`."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.commands.export import write
from pygnc_ground.commands.orbit_replay import message_files, prediction_line, write_prediction
from pygnc_ground.commands.raw_partner import PartnerFiles, PartnerResult
from pygnc_ground.exports.estimates import Estimates
from pygnc_ground.exports.export import Options
from pygnc_ground.gnss.antennas import SatelliteAntennas
from pygnc_ground.gnss.measurements import GnssMeasurements, OrbitReference
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.orbit.prediction import OrbitPrediction
from pygnc_ground.orbit.raw.determination import (
    RawOrbit,
    Receiver,
    solve_raw_orbit,
)
from pygnc_ground.orbit.raw.live import live_orbit
from pygnc_ground.orbit.raw.screening import (
    RawOrbitError,
    gps_day,
    gps_days,
    interruptions,
    jumps_of_clock,
    with_antennas,
    without_repeated,
)
from pygnc_ground.orbit.solution import (
    BoolArray,
    FloatArray,
    IntArray,
    OrbitErrors,
    OrbitSolution,
    normalised_squares,
    orbit_errors,
    rms_3d,
    set_states,
    unknown_solution,
)
from pygnc_ground.receivers.raw_files import NavigationOrbits, damage_notes, read_measurements, read_orbits
from pygnc_ground.replay import folder
from pygnc_ground.replay.attitude_run import return_free_memory
from pygnc_ground.replay.files import flight_settings
from pygnc_ground.replay.tables import solution_table
from pygnc_ground.tables.declaration import write_table
from pygnc_ground.truth.frames import earth_orientation
from pygnc_ground.truth.load import load_truth
from pygnc_ground.wording import plural
from pygnc_system.files import data_file

_ANTENNAS: Final = "gnss_antennas/igs05_gps.atx"
_ANTENNAS_END_GPS_MS: Final = 987_033_600_000
"""2011-04-17, from which orbits refer to the antennas of igs08.atx."""
_POSITION: Final = slice(0, 3)
_MS_PER_DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class RawFiles:
    """Files of raw measurements, and what the orbit is determined with."""

    observations: tuple[Path, ...]
    gnss_orbits: tuple[Path, ...]
    receiver: Receiver
    antennas: Path | None = None
    live: bool = False
    """Filter epoch by epoch instead of fitting all measurements."""
    partner: PartnerFiles | None = None
    truth: Path | None = None
    object_name: str | None = None
    config: Path | None = None
    earth_orientation: Path | None = None

    @property
    def partner_receiver(self) -> Receiver:
        """Receiver of the partner, by default mounted as the own one."""
        if self.partner is None or self.partner.offset_m is None:
            return self.receiver
        return replace(self.receiver, offset_m=self.partner.offset_m)


@dataclass(frozen=True, slots=True, eq=False)
class RawResult:
    """Orbit at the epochs of the measurements, with the summary."""

    solution: OrbitSolution
    newest: OrbitState
    orbit: OrbitPrediction
    settings: OrbitSettings
    lines: tuple[str, ...]
    origin: folder.Origin
    partner: PartnerResult | None = None
    table: str = "orbit_batch"
    """Name of the table of states."""
    errors: OrbitErrors | None = None
    marker: str = ""
    """Name of the satellite in the files."""
    phase_gps_ms: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    phase_m: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Residuals of the phases, each (n,); the filter has none."""

    def write(self, out: Path, options: Options) -> list[Path]:
        """Write tables, report and messages into a folder, and return their paths."""
        out.mkdir(parents=True, exist_ok=True)
        folder.begin(out, self.origin)
        return_free_memory()
        table = out / f"{self.table}.parquet"
        states = solution_table(self.table, self.solution)
        write_table(self.table, states, table, self.origin.metadata)
        stored = folder.StoredState.of(self.newest, self.settings, self.origin.earth_orientation)
        paths = [table, out / folder.MARKER, write_prediction(out, stored, self.orbit)]
        if self.partner is not None:
            paths.append(out / "formation.parquet")
            write_table("formation", self.partner.table().lazy(), paths[-1], self.origin.metadata)
        return_free_memory()
        self._write_report(out / folder.REPORT, options.name)
        estimates = Estimates({self.table: states.collect()}, self.newest, self.orbit)
        typer.echo(prediction_line(estimates, self.orbit.drag_sigma))
        return [*paths, out / folder.REPORT, *write(message_files(estimates, options), out)]

    def _write_report(self, path: Path, name: str) -> None:
        from pygnc_ground.report.raw_orbit import RawReport

        report = RawReport(
            title=name or self.marker or "satellite",
            lines=self.lines,
            origin=self.origin,
            solution=self.solution,
            errors=self.errors,
            phase_gps_ms=self.phase_gps_ms,
            phase_m=self.phase_m,
            relative=None if self.partner is None else self.partner.drawn,
        )
        report.write(path)


def determine(files: RawFiles) -> RawResult:
    """Read the files and determine the orbit.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, or the measurements give no orbit; the message names the reason.
    """
    seen, lines = _measurements(files.observations)
    orbits, of_orbits = read_orbits(files.gnss_orbits)
    lines += [note for note in of_orbits if note not in lines]
    lines += _missing_days(seen, orbits)
    if files.live and isinstance(orbits, Sp3Orbits):
        raise ValueError("--live: SP3 files are not known on board; give broadcast messages by --gnss-orbits")
    antennas, seen, of_antennas = _antennas(files.antennas, seen, orbits)
    lines += of_antennas
    orientation = _orientation(files.earth_orientation, seen)
    settings, frames = flight_settings(files.config), EarthFrames(orientation)
    read = (*files.observations, *files.gnss_orbits, *(path for path in (files.antennas, files.truth) if path))
    partner, fit, errors, filtered = None, None, None, f"batch of {folder.RAW}"
    if files.live:
        filtered = f"filter of {folder.RAW}"
        solution, newest = _live(files, seen, orbits, settings.orbit, frames)
        lines += _live_lines(seen, solution)
    else:
        fit = solve_raw_orbit(seen, orbits, antennas, files.receiver, settings.orbit, frames)
        solution, newest = _solution(fit, seen, frames), fit.newest(settings.orbit)
        lines += _lines(fit, seen, solution)
    if files.truth is not None:
        true = load_truth(files.truth, files.object_name).at(solution.gps_ms)
        errors = orbit_errors(solution, true)
        lines += _accuracy(solution, errors, true.position_ecef_m)
    if files.partner is not None and fit is not None:
        return_free_memory()
        others, of_files = _measurements(files.partner.observations)
        lines += of_files
        if antennas is not None:
            others, of_antennas = with_antennas(others, antennas)
            lines += of_antennas
        return_free_memory()
        try:
            lines += _missing_days(others, orbits)
            other = solve_raw_orbit(others, orbits, antennas, files.partner_receiver, settings.orbit, frames)
        except RawOrbitError as error:
            raise RawOrbitError(f"partner: {error}") from error
        partner = PartnerResult.of(fit, other, files.partner, files.truth, settings, frames)
        lines += partner.lines(others, has_truth=None not in {files.truth, files.partner.truth})
        read = (*read, *files.partner.observations)
    inputs = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in read}
    origin = folder.origin_of(inputs, settings, filtered, orientation.identification)
    table, marker = "orbit" if files.live else "orbit_batch", seen.facts.marker
    orbit = OrbitPrediction.after(settings.orbit, orientation, newest, ())
    found = RawResult(solution, newest, orbit, settings.orbit, tuple(lines), origin, partner, table, errors, marker)
    if fit is None:
        return found
    # The fit itself would take up to 100 MB while the files are written.
    return replace(found, phase_gps_ms=fit.combined.measurements.gps_ms.copy(), phase_m=fit.fitted.phase_m)


def _measurements(paths: Sequence[Path]) -> tuple[GnssMeasurements, list[str]]:
    """Return the measurements in all files in order of time, and what was read and was not."""
    parts = [read_measurements(path) for path in paths]
    if len({part.facts.marker for part in parts}) > 1:
        markers = ", ".join(repr(part.facts.marker) for part in parts)
        raise ValueError(f"the files are of several satellites ({markers}); give the files of one receiver")
    joined: dict[str, Any] = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts])
        for one in fields(GnssMeasurements)
        if isinstance(getattr(parts[0], one.name), np.ndarray)
    }
    whole = replace(parts[0], **joined)
    lines = [f"{path.name}: read" for path in paths]
    lines += [note for path, part in zip(paths, parts, strict=True) for note in damage_notes(path, part.damage)]
    whole, repeated = without_repeated(whole.selected(np.argsort(whole.gps_ms, kind="stable")))
    return whole, lines + repeated


def _missing_days(seen: GnssMeasurements, orbits: NavigationOrbits) -> list[str]:
    """Return a note with the days of measurements outside the orbits.

    Raises:
        RawOrbitError: There is no orbit at the time of any measurement.
    """
    if orbits.span_gps_ms is None:
        raise RawOrbitError("the broadcast messages are of no healthy satellite; add a navigation file of the day")
    first_ms, last_ms = orbits.span_gps_ms
    outside: BoolArray = (seen.gps_ms < first_ms) | (seen.gps_ms >= last_ms)
    if not outside.any():
        return []
    days = gps_days(seen.gps_ms[outside])
    span = f"{gps_day(first_ms)} to {gps_day(last_ms)}"
    if outside.all():
        raise RawOrbitError(
            f"the GNSS orbits are those of {span} GPS time, but the measurements are of {days}; add the files of"
            " these days"
        )
    # The clock after the last sample of a day is that of the next one, with which it is interpolated.
    is_early = (seen.gps_ms < first_ms).any()
    missing = f"files of {days}" if is_early else f"file of {gps_day(last_ms + _MS_PER_DAY)}"
    count = plural(int(outside.sum()), "measurement")
    return [f"{count} of {days} not used, because the GNSS orbits are those of {span}; add the {missing}"]


def _antennas(
    path: Path | None, seen: GnssMeasurements, orbits: NavigationOrbits
) -> tuple[SatelliteAntennas | None, GnssMeasurements, list[str]]:
    """Return the antennas that the orbits need, the measurements of satellites with one, and notes.

    The antennas are those in a file, or else those of the package as far as they suit the orbits.
    """
    if orbits.reference is not OrbitReference.CENTRE_OF_MASS:
        unused = f"{path} is not used: the orbits of the GPS satellites are those of their antennas"
        return None, seen, [] if path is None else [unused]
    if path is None:
        named = orbits.antennas.split("_")[0].lower() if isinstance(orbits, Sp3Orbits) else ""
        model = named or "igs20"
        if int(seen.gps_ms[0]) >= _ANTENNAS_END_GPS_MS:
            raise ValueError(
                "the package has the antennas of GPS satellites for orbits until 2011-04-16 only; name the ANTEX file"
                f" of the orbits' frame, such as {model}.atx, by --antennas"
            )
        path = data_file(_ANTENNAS)
    try:
        antennas = SatelliteAntennas.of(path.read_text(encoding="latin-1"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return antennas, *with_antennas(seen, antennas)


def _orientation(path: Path | None, seen: GnssMeasurements) -> EarthOrientationTable:
    """Return the table named, that of the package, or, for times before that, the longer one of the library brahe."""
    table = read_earth_orientation(path or data_file(EARTH_ORIENTATION_TABLE))
    if path is None and table.begins_gps_ms is not None and int(seen.gps_ms[0]) < table.begins_gps_ms:
        return earth_orientation(int(seen.gps_ms[-1]))
    return table


def _solution(found: RawOrbit, seen: GnssMeasurements, frames: EarthFrames) -> OrbitSolution:
    gps_ms: IntArray = np.unique(seen.gps_ms)
    first_ms, last_ms = found.span_gps_ms
    gps_ms = gps_ms[(gps_ms >= first_ms) & (gps_ms <= last_ms)]
    solution = unknown_solution(gps_ms)
    states, covariance = found.states(gps_ms)
    set_states(solution, np.arange(len(gps_ms)), gps_ms, states, covariance, frames)
    solution.accepted[:] = np.isin(gps_ms, np.unique(found.combined.measurements.gps_ms))
    return solution


def _live(
    files: RawFiles, seen: GnssMeasurements, orbits: NavigationOrbits, settings: OrbitSettings, frames: EarthFrames
) -> tuple[OrbitSolution, OrbitState]:
    """Return the states of the filter at all epochs, NaN before the first, and the last one.

    Raises:
        ValueError: The options do not suit a filter on board.
        RawOrbitError: No epoch has an orbit.
    """
    if files.partner is not None:
        raise ValueError("--live: relative positions need all measurements; leave out --partner or --live")
    solution = unknown_solution(np.unique(seen.gps_ms))
    found = list(live_orbit(seen, orbits, None, files.receiver, settings, frames))
    times_ms = np.array([one.gps_ms for one in found])
    rows = np.searchsorted(solution.gps_ms, times_ms)
    states, covariance = (np.array([getattr(one, name) for one in found]) for name in ("state", "covariance"))
    set_states(solution, rows, times_ms, states[:, :6], covariance[:, :6, :6], frames)
    solution.accepted[rows] = [one.satellites > 0 for one in found]
    return solution, found[-1].orbit


def _live_lines(seen: GnssMeasurements, solution: OrbitSolution) -> Iterator[str]:
    """Yield what was measured, and how certain the filter is."""
    yield _times_line(seen)
    known = solution.known
    begun = utc_iso_from_gps_ms(int(solution.gps_ms[known][0]))
    yield f"filter: mean of code and phase on L1 (GRAPHIC); {int(known.sum())} epochs with an orbit, first at {begun}"
    variances = np.trace(solution.covariance_ecef[known][:, _POSITION, _POSITION], axis1=1, axis2=2)
    last_m, median_m = np.sqrt((variances[-1], float(np.median(variances))))
    yield f"orbit: sigma {last_m:.2f} m in three dimensions at the end, median {median_m:.2f} m"


def _times_line(seen: GnssMeasurements) -> str:
    times_ms = np.unique(seen.gps_ms)
    first, last = (utc_iso_from_gps_ms(int(at)) for at in times_ms[[0, -1]])
    satellites = plural(len(np.unique(seen.satellite)), "satellite")
    return f"{first} to {last}: {len(times_ms)} epochs, {satellites}, {len(seen)} measurements"


def _lines(found: RawOrbit, seen: GnssMeasurements, solution: OrbitSolution) -> Iterator[str]:
    """Yield what was measured and how well it fits."""
    yield _times_line(seen)
    yield from found.remarks
    combined, is_dual = found.combined, bool(found.combined.dual.any())
    yield (
        f"combination: {'two frequencies' if is_dual else 'mean of code and phase on L1 (GRAPHIC)'};"
        f" {combined.pass_count} passes, {plural(combined.slips, 'slip')} not reported by the receiver"
    )
    point = found.points
    yield f"point solutions: {int(point.known.sum())} of {len(point.known)} epochs, median RMS {_median(point.rms_m)} m"
    if jumps := jumps_of_clock(point):
        yield f"clock of the receiver: {plural(jumps, 'jump')} of half a millisecond or more, corrected"
    yield from interruptions(seen.gps_ms, combined.measurements.gps_ms)
    codes = f"codes {_median(np.abs(found.fitted.code_m))} m, " if is_dual else ""
    yield f"median residuals: {codes}phases {_median(np.abs(found.fitted.phase_m))} m"
    if not found.converged:
        yield f"the fit did not converge in {found.iterations} iterations; the orbit may be wrong"
    variances = np.trace(solution.covariance_ecef[:, _POSITION, _POSITION], axis1=1, axis2=2)
    yield f"orbit: sigma {np.sqrt(variances.mean()):.3f} m in three dimensions"


def _median(values: np.typing.NDArray[np.float64]) -> str:
    finite = values[np.isfinite(values)]
    return f"{np.median(finite):.3f}" if len(finite) else "-"


def _accuracy(solution: OrbitSolution, errors: OrbitErrors, true_m: FloatArray) -> Iterator[str]:
    """Yield the errors against true positions in ITRF, shape (n, 3)."""
    if not len(errors):
        yield "truth: it has no state at the time of the measurements"
        return
    error_m = solution.position_ecef_m[errors.row] - true_m[errors.row]
    squares = normalised_squares(error_m, solution.covariance_ecef[errors.row][:, _POSITION, _POSITION])
    radial, transverse, normal = np.sqrt((errors.position_rtn_m**2).mean(axis=0))
    yield (
        f"position error: 3-D RMS {rms_3d(errors.position_rtn_m):.3f} m (R {radial:.3f}, T {transverse:.3f},"
        f" N {normal:.3f}), NEES {squares.mean() / 3.0:.2f}; velocity {rms_3d(errors.velocity_rtn_mps):.6f} m/s"
    )
