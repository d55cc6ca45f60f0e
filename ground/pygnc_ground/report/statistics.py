"""Statistics of a replay: accuracy and consistency of orbit, attitude and formation, and the rows of their tables."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import erfa
import numpy as np

from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms, AttitudeAccuracy
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.consistency import NisConsistency, nees_consistency, nis_consistency
from pygnc_ground.orbit.errors import rms_3d
from pygnc_ground.orbit.solution import BoolArray, FloatArray, OrbitSolution
from pygnc_ground.replay.result import AttitudeResult, FormationResult
from pygnc_ground.report.comparison import (
    ComparedAttitude,
    ComparedOrbit,
    ComparedPartner,
    RtnSeries,
    any_truth,
    orbit_name,
)
from pygnc_ground.report.wording import NONE, fixed, number, percent, utc, whole

SETTLING: Final = 1.0 / 3.0
"""First fraction of the time span that is excluded from errors and sigmas."""
_WGS84: Final = 1


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Three-dimensional RMS values over the last two thirds of the time; errors are NaN without truth."""

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


@dataclass(frozen=True, slots=True)
class EstimateFigures:
    """Statistics of one estimator."""

    name: str
    states: int
    """Rows with a state"""
    used: int
    """Rows whose record was used"""
    accuracy: Accuracy
    nees_mean_per_dof: float
    """Mean over the last two thirds of the time; NaN without truth"""
    nis: NisConsistency
    """Over all used records"""


@dataclass(frozen=True, slots=True)
class DifferenceFigures:
    """Statistics of the difference between two solutions."""

    states: int
    position_rms_m: float
    position_max_m: float
    velocity_rms_mps: float
    within_3_sigma: float
    """Fraction of position components within three expected standard deviations"""


@dataclass(frozen=True, slots=True)
class LastEstimate:
    """Latest state of a solution."""

    gps_ms: int
    position_ecef_m: tuple[float, float, float]
    velocity_ecef_mps: tuple[float, float, float]
    position_sigma_m: float
    """Three-dimensional"""
    velocity_sigma_mps: float
    latitude_deg: float
    longitude_deg: float
    height_m: float


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
        nees_mean_per_dof = nees_consistency(errors.nees[None, later]).mean_per_dof
    return EstimateFigures(
        name=estimate.name,
        states=int(solution.known.sum()),
        used=int(solution.accepted.sum()),
        accuracy=accuracy,
        nees_mean_per_dof=nees_mean_per_dof,
        nis=nis_consistency(solution.nis, np.where(np.isfinite(solution.nis), solution.dof, 0)),
    )


def _later(solution: OrbitSolution) -> BoolArray:
    """Return the known rows after the settling time, shape (n,)."""
    known = solution.known
    if not known.any():
        return known
    begin, end = int(solution.gps_ms[known].min()), int(solution.gps_ms[known].max())
    return np.asarray(known & (solution.gps_ms >= begin + SETTLING * (end - begin)))


def difference_figures(series: RtnSeries) -> DifferenceFigures | None:
    """Return the statistics of a difference, or None if it has no rows."""
    if not len(series.row):
        return None
    return DifferenceFigures(
        states=len(series.row),
        position_rms_m=rms_3d(series.position_m),
        position_max_m=float(np.linalg.norm(series.position_m, axis=1).max()),
        velocity_rms_mps=rms_3d(series.velocity_mps),
        within_3_sigma=float((np.abs(series.position_m) <= 3.0 * series.position_sigma_m).mean()),
    )


def last_estimate(solution: OrbitSolution) -> LastEstimate | None:
    """Return the latest known state, or None."""
    rows = np.flatnonzero(solution.known)
    if not len(rows):
        return None
    row = rows[::-1][np.argmax(solution.gps_ms[rows[::-1]])]
    position, velocity = solution.position_ecef_m[row], solution.velocity_ecef_mps[row]
    variance = np.diagonal(solution.covariance_ecef[row])
    longitude, latitude, height = geodetic(position[None])[0]
    return LastEstimate(
        gps_ms=int(solution.gps_ms[row]),
        position_ecef_m=(float(position[0]), float(position[1]), float(position[2])),
        velocity_ecef_mps=(float(velocity[0]), float(velocity[1]), float(velocity[2])),
        position_sigma_m=float(np.sqrt(variance[:3].sum())),
        velocity_sigma_mps=float(np.sqrt(variance[3:].sum())),
        latitude_deg=float(latitude),
        longitude_deg=float(longitude),
        height_m=float(height),
    )


def geodetic(position_ecef_m: FloatArray) -> FloatArray:
    """Return east longitude and latitude in degrees and height in m on WGS 84, shape (n, 3), of positions (n, 3)."""
    longitude, latitude, height = erfa.gc2gd(_WGS84, position_ecef_m)
    return np.column_stack((np.degrees(longitude), np.degrees(latitude), height))


@dataclass(frozen=True, slots=True)
class LastAttitude:
    """Latest attitude of a solution."""

    gps_ms: int
    quaternion: tuple[float, ...]
    """GCRF from body, scalar first"""
    rate_body_deg_s: tuple[float, ...]
    sigma_deg: float
    """Three-axis standard deviation"""


class Row(NamedTuple):
    """Row of a table of statistics.

    Attributes:
        quantity: Name of the quantity.
        unit: Unit of the values.
        values: Formatted value of each column.
        ideal: Ideal value.
        main: Whether the row is highlighted.
    """

    quantity: str
    unit: str
    values: tuple[str, ...]
    ideal: str = ""
    main: bool = False


def attitude_rows(found: Sequence[ComparedAttitude], nis: NisConsistency, *, with_truth: bool) -> list[Row]:
    """Return the rows for filter and smoother; rows that need a truth only if there is one."""
    both = [one.accuracy for one in found]
    rows = [_attitude_row("Samples with an attitude", "1", both, lambda one: whole(one.known), ideal="all")]
    rows += _angles("in sunlight", [one.sunlight for one in both], with_truth=with_truth)
    rows += _angles("in eclipse", [one.eclipse for one in both], with_truth=with_truth)
    if with_truth:
        rows += [
            _attitude_row("Attitude error / sigma", "1", both, lambda one: number(one.whole.ratio), ideal="1"),
            _attitude_row("NEES, mean", "1", both, lambda one: number(one.nees_mean), ideal="3"),
            _attitude_row(
                "NEES, fraction inside the 95 % band", "%", both, lambda one: percent(one.nees_inside), ideal="95 %"
            ),
        ]
    rows += [
        Row("NIS, mean per degree of freedom", "1", (number(nis.mean_per_dof), NONE), ideal="1"),
        Row("NIS, fraction inside the 95 % band", "%", (percent(nis.fraction_inside), NONE), ideal="95 %"),
    ]
    if with_truth:
        rate = _attitude_row("Body rate error", "deg/s", both, lambda one: _in_degrees(one.rate_error_rad_s))
        rows.append(rate._replace(ideal="gyro noise"))
        rows.append(_attitude_row("Gyro bias error", "deg/s", both, lambda one: _in_degrees(one.gyro_bias_error_rad_s)))
    rows.append(
        _attitude_row("Gyro bias sigma, formal", "deg/s", both, lambda one: _in_degrees(one.gyro_bias_sigma_rad_s))
    )
    if with_truth:
        rows.append(_attitude_row("Magnetometer bias error", "µT", both, lambda one: number(one.mag_bias_error_ut)))
    rows.append(_attitude_row("Magnetometer bias sigma, formal", "µT", both, lambda one: number(one.mag_bias_sigma_ut)))
    if with_truth:
        rows += [
            _attitude_row(
                f"Time until within {RIGHT_DEG:.0f}° of the truth", "s", both, lambda one: number(one.right_after_s)
            ),
            _attitude_row(
                f"Longest time above {WRONG_DEG:.0f}°", "s", both, lambda one: number(one.wrong_s), ideal="0"
            ),
        ]
    return rows


def _angles(where: str, both: Sequence[AngleRms], *, with_truth: bool) -> Iterator[Row]:
    if not both[0].samples:
        return
    if with_truth:
        errors = tuple(number(one.error_deg) for one in both)
        yield Row(f"Attitude error {where}", "deg", errors, ideal="bound", main=True)
        yield Row(f"Bound {where}", "deg", tuple(number(one.bound_deg) for one in both))
    yield Row(f"Attitude sigma {where}, formal", "deg", tuple(number(one.sigma_deg) for one in both))


def _attitude_row(
    quantity: str,
    unit: str,
    both: Sequence[AttitudeAccuracy],
    value: Callable[[AttitudeAccuracy], str],
    ideal: str = "",
) -> Row:
    return Row(quantity, unit, tuple(map(value, both)), ideal)


def _in_degrees(rate_rad_s: float) -> str:
    return number(math.degrees(rate_rad_s))


def innovations_of(result: AttitudeResult) -> NisConsistency:
    """Return the innovation statistics of all used measurements."""
    samples = result.samples
    return nis_consistency(samples.nis, np.where(np.isfinite(samples.nis), samples.dof, 0))


def last_attitude(solution: AttitudeSolution) -> LastAttitude | None:
    """Return the latest known attitude, or None."""
    rows = np.flatnonzero(solution.known)
    if not len(rows):
        return None
    row = rows[::-1][np.argmax(solution.gps_ms[rows[::-1]])]
    return LastAttitude(
        gps_ms=int(solution.gps_ms[row]),
        quaternion=tuple(solution.quaternion[row].tolist()),
        rate_body_deg_s=tuple(np.degrees(solution.rate_body_rad_s[row]).tolist()),
        sigma_deg=float(np.degrees(solution.sigma_rss_rad[row])),
    )


def formation_rows(result: FormationResult, partners: Sequence[ComparedPartner]) -> list[Row]:
    """Return the rows for the partners; rows that need a truth only if there is one."""
    rows = [
        _formation_row("Orbit", "", partners, lambda one: one.state, ideal="certain", main=True),
        _formation_row("Times with a state", "1", partners, lambda one: whole(int(one.result.states.known.sum()))),
    ]
    if any_truth(partners):
        rows += _errors(partners)
    else:
        rows.append(_formation_row("Position sigma, formal", "m", partners, lambda one: number(one.accuracy.sigma_m)))
        rows.append(_formation_row("Velocity sigma, formal", "mm/s", partners, _velocity_sigma))
    rows += [
        _formation_row("χ² of the best orbit", "1", partners, lambda one: fixed(one.result.chi2_best, 1)),
        _formation_row("χ² of the mirror", "1", partners, lambda one: fixed(one.result.chi2_mirror, 1)),
        _formation_row("Candidate orbits", "1", partners, _possible, ideal="1"),
        _formation_row(
            "Distance between best and mirror",
            "m",
            partners,
            lambda one: number(one.mirror.distance_m) if one.mirror else NONE,
        ),
    ]
    if any_truth(partners) and any(one.nearest for one in partners):
        rows.append(_formation_row("Orbit nearest to truth", "", partners, _nearest, ideal="best"))
        rows.append(_formation_row("Its position error", "m", partners, _nearest_error, ideal="sigma"))
    if result.approaches:
        rows += _approaches(result, partners)
    return rows


def _errors(partners: Sequence[ComparedPartner]) -> Iterator[Row]:
    yield _formation_row(
        "Position error", "m", partners, lambda one: number(one.accuracy.error_m), ideal="small", main=True
    )
    for axis, name in enumerate(("radial", "transverse", "normal")):
        yield _formation_row(f"Position error, {name}", "m", partners, _error_along(axis))
    yield _formation_row("Position sigma, formal", "m", partners, lambda one: number(one.accuracy.sigma_m))
    yield _formation_row("Position error / sigma", "1", partners, lambda one: number(one.accuracy.ratio), ideal="1")
    yield _formation_row("Velocity error", "mm/s", partners, lambda one: number(1e3 * one.accuracy.velocity_error_mps))
    yield _formation_row("Velocity sigma, formal", "mm/s", partners, _velocity_sigma)
    yield _formation_row("NEES, mean", "1", partners, lambda one: number(one.accuracy.nees_mean), ideal="6")


def _approaches(result: FormationResult, partners: Sequence[ComparedPartner]) -> Iterator[Row]:
    """Yield the rows of the closest approach of each partner over all candidate orbits."""
    of_each = [result.most_dangerous(one.result.partner) for one in partners]
    distances = tuple(NONE if of is None else f"{number(of.distance_m)} ± {number(of.sigma_m)}" for of in of_each)
    yield Row("Closest approach within a day, 1 σ", "m", distances)
    yield Row("At", "", tuple(NONE if of is None else utc(of.gps_ms) for of in of_each))
    least = tuple(NONE if of is None else number(of.least_m) for of in of_each)
    yield Row("Minimum distance minus 3 σ within a day", "m", least, ideal="> 0")


def _formation_row(
    quantity: str,
    unit: str,
    partners: Sequence[ComparedPartner],
    value: Callable[[ComparedPartner], str],
    *,
    ideal: str = "",
    main: bool = False,
) -> Row:
    return Row(quantity, unit, tuple(map(value, partners)), ideal, main)


def _error_along(axis: int) -> Callable[[ComparedPartner], str]:
    return lambda one: number(one.accuracy.error_rtn_m[axis])


def _velocity_sigma(one: ComparedPartner) -> str:
    return number(1e3 * one.accuracy.velocity_sigma_mps)


def _possible(one: ComparedPartner) -> str:
    if not one.orbits:
        return NONE
    return whole(len(one.orbits) if one.result.ambiguous else 1)


def _nearest(one: ComparedPartner) -> str:
    return NONE if one.nearest is None else orbit_name(one.nearest)


def _nearest_error(one: ComparedPartner) -> str:
    error_m = math.nan if one.nearest is None else one.orbits[one.nearest].accuracy.error_m
    return number(error_m)
