"""Statistics of a replay: accuracy and consistency of orbit, attitude and formation, and the rows of their tables."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import erfa
import numpy as np

from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.consistency import NisConsistency, mean_of, nis_consistency
from pygnc_ground.orbit.solution import BoolArray, FloatArray, OrbitErrors, OrbitSolution, rms_3d
from pygnc_ground.replay.result import AttitudeResult, FormationResult
from pygnc_ground.report.comparison import ComparedAttitude, ComparedOrbit, ComparedPartner, any_truth, orbit_name
from pygnc_ground.report.wording import NONE, fixed, number, percent, utc, whole

SETTLING: Final = 1.0 / 3.0
"""First fraction of the time span that is excluded from errors and sigmas."""
_ORBIT_DOF: Final = 6
_WGS84: Final = 1


class Accuracy(NamedTuple):
    """Accuracy of an orbit: 3-D RMS values over the last two thirds of the time; errors are NaN without truth."""

    position_error_m: float
    position_sigma_m: float
    velocity_error_mps: float
    velocity_sigma_mps: float

    @property
    def position_ratio(self) -> float:
        """Position error over sigma; 1 if the covariance is right."""
        return self.position_error_m / self.position_sigma_m

    @property
    def velocity_ratio(self) -> float:
        """Velocity error over sigma; 1 if the covariance is right."""
        return self.velocity_error_mps / self.velocity_sigma_mps


class EstimateFigures(NamedTuple):
    """Statistics of one estimator.

    Attributes:
        name: Name of the estimator.
        states: Number of records with a state.
        used: Number of records that the estimator used.
        accuracy: Errors and standard deviations.
        nees_mean_per_dof: Mean NEES over the last two thirds of the time; NaN without truth.
        nis: Consistency of the innovations, or of the residuals, of all used records.
    """

    name: str
    states: int
    used: int
    accuracy: Accuracy
    nees_mean_per_dof: float
    nis: NisConsistency


class DifferenceFigures(NamedTuple):
    """Statistics of the difference between two solutions.

    Attributes:
        states: Number of records with both solutions.
        position_rms_m: Three-dimensional RMS of the position.
        position_max_m: Largest distance.
        velocity_rms_mps: Three-dimensional RMS of the velocity.
        within_3_sigma: Fraction of the position components within three expected standard deviations.
    """

    states: int
    position_rms_m: float
    position_max_m: float
    velocity_rms_mps: float
    within_3_sigma: float


def estimate_figures(estimate: ComparedOrbit) -> EstimateFigures:
    """Return the statistics of one solution."""
    solution, errors = estimate.solution, estimate.errors
    if errors is None:
        later = _later(solution)
        sigma = solution.sigma_ecef[later]
        accuracy = Accuracy(float("nan"), rms_3d(sigma[:, :3]), float("nan"), rms_3d(sigma[:, 3:]))
        nees_mean_per_dof = float("nan")
    else:
        later = errors.later(SETTLING)
        accuracy = Accuracy(
            rms_3d(errors.position_rtn_m[later]),
            rms_3d(errors.position_sigma_rtn_m[later]),
            rms_3d(errors.velocity_rtn_mps[later]),
            rms_3d(errors.velocity_sigma_rtn_mps[later]),
        )
        nees_mean_per_dof = mean_of(errors.nees[later]) / _ORBIT_DOF
    return EstimateFigures(
        name=estimate.name,
        states=int(solution.known.sum()),
        used=int(solution.accepted.sum()),
        accuracy=accuracy,
        nees_mean_per_dof=nees_mean_per_dof,
        nis=nis_consistency(solution.nis, np.where(np.isfinite(solution.nis), solution.dof, 0)),
    )


def _later(solution: OrbitSolution) -> BoolArray:
    """Return flags of the rows with a state after the settling time, shape (n,)."""
    known = solution.known
    if not known.any():
        return known
    begin, end = int(solution.gps_ms[known].min()), int(solution.gps_ms[known].max())
    return np.asarray(known & (solution.gps_ms >= begin + SETTLING * (end - begin)))


def difference_figures(difference: OrbitErrors) -> DifferenceFigures | None:
    """Return the statistics of a difference, or None if it has no rows."""
    if not len(difference):
        return None
    position_m = difference.position_rtn_m
    return DifferenceFigures(
        states=len(difference),
        position_rms_m=rms_3d(position_m),
        position_max_m=float(np.linalg.norm(position_m, axis=1).max()),
        velocity_rms_mps=rms_3d(difference.velocity_rtn_mps),
        within_3_sigma=float((np.abs(position_m) <= 3.0 * difference.position_sigma_rtn_m).mean()),
    )


def latest(solution: OrbitSolution | AttitudeSolution) -> int | None:
    """Return the index of the known state with the latest time, or None without a known state."""
    rows = np.flatnonzero(solution.known)[::-1]
    return int(rows[np.argmax(solution.gps_ms[rows])]) if len(rows) else None


def geodetic(position_ecef_m: FloatArray) -> FloatArray:
    """Return east longitude and latitude in degrees and height in m on WGS 84, shape (n, 3), of positions (n, 3)."""
    longitude, latitude, height = erfa.gc2gd(_WGS84, position_ecef_m)
    return np.column_stack((np.degrees(longitude), np.degrees(latitude), height))


class Row(NamedTuple):
    """Row of a table of statistics.

    Attributes:
        quantity: Name of the quantity.
        unit: Unit of the values.
        values: Formatted value of each column.
        ideal: Ideal value.
        main: True if the row is highlighted.
        needs_truth: True if the row is omitted without a truth.
    """

    quantity: str
    unit: str
    values: tuple[str, ...]
    ideal: str = ""
    main: bool = False
    needs_truth: bool = False


def attitude_rows(found: Sequence[ComparedAttitude], nis: NisConsistency, *, with_truth: bool) -> list[Row]:
    """Return the rows for filter and smoother; rows that need a truth only if there is one."""
    both = [one.accuracy for one in found]
    rows = [
        Row("Samples with an attitude", "1", tuple(whole(one.known) for one in both), "all"),
        *_angles("in sunlight", [one.sunlight for one in both]),
        *_angles("in eclipse", [one.eclipse for one in both]),
        Row("Attitude error / sigma", "1", tuple(number(one.whole.ratio) for one in both), "1", needs_truth=True),
        Row("NEES, mean", "1", tuple(number(one.nees_mean) for one in both), "3", needs_truth=True),
        Row(
            "NEES, fraction inside the 95 % band",
            "%",
            tuple(percent(one.nees_inside) for one in both),
            "95 %",
            needs_truth=True,
        ),
        Row("NIS, mean per degree of freedom", "1", (number(nis.mean_per_dof), NONE), "1"),
        Row("NIS, fraction inside the 95 % band", "%", (percent(nis.fraction_inside), NONE), "95 %"),
        Row("Body rate error", "deg/s", _degrees(one.rate_error_rad_s for one in both), "gyro noise", needs_truth=True),
        Row("Gyro bias error", "deg/s", _degrees(one.gyro_bias_error_rad_s for one in both), needs_truth=True),
        Row("Gyro bias sigma, formal", "deg/s", _degrees(one.gyro_bias_sigma_rad_s for one in both)),
        Row("Magnetometer bias error", "µT", tuple(number(one.mag_bias_error_ut) for one in both), needs_truth=True),
        Row("Magnetometer bias sigma, formal", "µT", tuple(number(one.mag_bias_sigma_ut) for one in both)),
        Row(
            f"Time until within {RIGHT_DEG:.0f}° of the truth",
            "s",
            tuple(number(one.right_after_s) for one in both),
            needs_truth=True,
        ),
        Row(
            f"Longest time above {WRONG_DEG:.0f}°",
            "s",
            tuple(number(one.wrong_s) for one in both),
            "0",
            needs_truth=True,
        ),
    ]
    return [row for row in rows if with_truth or not row.needs_truth]


def _angles(where: str, both: Sequence[AngleRms]) -> Iterator[Row]:
    if both[0].samples:
        errors = tuple(number(one.error_deg) for one in both)
        yield Row(f"Attitude error {where}", "deg", errors, "bound", main=True, needs_truth=True)
        yield Row(f"Bound {where}", "deg", tuple(number(one.bound_deg) for one in both), needs_truth=True)
        yield Row(f"Attitude sigma {where}, formal", "deg", tuple(number(one.sigma_deg) for one in both))


def _degrees(rates_rad_s: Iterable[float]) -> tuple[str, ...]:
    return tuple(number(math.degrees(rate)) for rate in rates_rad_s)


def innovations_of(result: AttitudeResult) -> NisConsistency:
    """Return the innovation statistics of all used measurements."""
    samples = result.samples
    return nis_consistency(samples.nis, np.where(np.isfinite(samples.nis), samples.dof, 0))


def formation_rows(result: FormationResult, partners: Sequence[ComparedPartner]) -> list[Row]:
    """Return the rows for the partners; rows that need a truth only if there is one."""
    found = [one.accuracy for one in partners]
    mirrors = [one.mirror for one in partners]
    rows = [
        Row("Orbit", "", tuple(one.state for one in partners), "certain", main=True),
        Row("Times with a state", "1", tuple(whole(int(one.result.states.known.sum())) for one in partners)),
        Row("Position error", "m", tuple(number(one.error_m) for one in found), "small", main=True, needs_truth=True),
    ]
    for axis, name in enumerate(("radial", "transverse", "normal")):
        errors = tuple(number(one.error_rtn_m[axis]) for one in found)
        rows.append(Row(f"Position error, {name}", "m", errors, needs_truth=True))
    rows += [
        Row("Position sigma, formal", "m", tuple(number(one.sigma_m) for one in found)),
        Row("Position error / sigma", "1", tuple(number(one.ratio) for one in found), "1", needs_truth=True),
        Row("Velocity error", "mm/s", tuple(number(1e3 * one.velocity_error_mps) for one in found), needs_truth=True),
        Row("Velocity sigma, formal", "mm/s", tuple(number(1e3 * one.velocity_sigma_mps) for one in found)),
        Row("NEES, mean", "1", tuple(number(one.nees_mean) for one in found), "6", needs_truth=True),
        Row("χ² of the best orbit", "1", tuple(fixed(one.result.chi2_best, 1) for one in partners)),
        Row("χ² of the mirror", "1", tuple(fixed(one.result.chi2_mirror, 1) for one in partners)),
        Row("Candidate orbits", "1", tuple(map(_candidates, partners)), "1"),
        Row(
            "Distance between best and mirror",
            "m",
            tuple(NONE if of is None else number(of.distance_m) for of in mirrors),
        ),
    ]
    if any(one.nearest for one in partners):
        near = [None if one.nearest is None else one.orbits[one.nearest].accuracy.error_m for one in partners]
        names = tuple(NONE if one.nearest is None else orbit_name(one.nearest) for one in partners)
        rows.append(Row("Orbit nearest to truth", "", names, "best", needs_truth=True))
        rows.append(Row("Its position error", "m", tuple(map(number, near)), "sigma", needs_truth=True))
    if result.approaches:
        closest = [result.most_dangerous(one.result.partner) for one in partners]
        distances = tuple(NONE if of is None else f"{number(of.distance_m)} ± {number(of.sigma_m)}" for of in closest)
        rows.append(Row("Closest approach within a day, 1 σ", "m", distances))
        rows.append(Row("At", "", tuple(NONE if of is None else utc(of.gps_ms) for of in closest)))
        least = tuple(NONE if of is None else number(of.least_m) for of in closest)
        rows.append(Row("Minimum distance minus 3 σ within a day", "m", least, "> 0"))
    with_truth = any_truth(partners)
    return [row for row in rows if with_truth or not row.needs_truth]


def _candidates(one: ComparedPartner) -> str:
    if not one.orbits:
        return NONE
    return whole(len(one.orbits) if one.result.ambiguous else 1)
