"""Main figures of the attitude, as they stand in the report."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms, AttitudeAccuracy
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.consistency import NisConsistency, nis_consistency
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report.attitude_comparison import AttitudeEstimate
from pygnc_ground.report.wording import NONE, number, percent, whole


@dataclass(frozen=True, slots=True)
class LastAttitude:
    """The latest state of a solution."""

    gps_ms: int
    quaternion: tuple[float, ...]
    """GCRF from body, scalar first"""
    rate_body_deg_s: tuple[float, ...]
    sigma_deg: float
    """About all three axes"""


class Row(NamedTuple):
    """A line of the table of main numbers.

    Attributes:
        quantity: What.
        unit: Of the values.
        values: Filter's and smoother's.
        ideal: What they should be.
        main: Whether it is one of those that matter most.
    """

    quantity: str
    unit: str
    values: tuple[str, ...]
    ideal: str = ""
    main: bool = False


def attitude_rows(found: Sequence[AttitudeEstimate], nis: NisConsistency, *, with_truth: bool) -> list[Row]:
    """The table of filter and smoother; lines that need a truth only with one."""
    both = [one.accuracy for one in found]
    rows = [_row("Samples with an attitude", "1", both, lambda one: whole(one.known), ideal="all")]
    rows += _angles("in sunlight", [one.sunlight for one in both], with_truth=with_truth)
    rows += _angles("in eclipse", [one.eclipse for one in both], with_truth=with_truth)
    if with_truth:
        rows += [
            _row("Attitude error / sigma", "1", both, lambda one: number(one.whole.ratio), ideal="1"),
            _row("NEES, mean", "1", both, lambda one: number(one.nees_mean), ideal="3"),
            _row("NEES, share inside the 95 % band", "%", both, lambda one: percent(one.nees_inside), ideal="95 %"),
        ]
    rows += [
        Row("NIS, mean per degree of freedom", "1", (number(nis.mean_per_dof), NONE), ideal="1"),
        Row("NIS, share inside the 95 % band", "%", (percent(nis.fraction_inside), NONE), ideal="95 %"),
    ]
    if with_truth:
        rate = _row("Body rate error", "deg/s", both, lambda one: _in_degrees(one.rate_error_rad_s))
        rows.append(rate._replace(ideal="the gyro's noise"))
        rows.append(_row("Gyro bias error", "deg/s", both, lambda one: _in_degrees(one.gyro_bias_error_rad_s)))
    rows.append(_row("Gyro bias sigma, formal", "deg/s", both, lambda one: _in_degrees(one.gyro_bias_sigma_rad_s)))
    if with_truth:
        rows.append(_row("Magnetometer bias error", "µT", both, lambda one: number(one.mag_bias_error_ut)))
    rows.append(_row("Magnetometer bias sigma, formal", "µT", both, lambda one: number(one.mag_bias_sigma_ut)))
    if with_truth:
        rows += [
            _row(f"Within {RIGHT_DEG:.0f}° of the truth after", "s", both, lambda one: number(one.right_after_s)),
            _row(f"Longest off by more than {WRONG_DEG:.0f}°", "s", both, lambda one: number(one.wrong_s), ideal="0"),
        ]
    return rows


def _angles(where: str, both: Sequence[AngleRms], *, with_truth: bool) -> Iterator[Row]:
    if not both[0].samples:
        return
    if with_truth:
        errors = tuple(number(one.error_deg) for one in both)
        yield Row(f"Attitude error {where}", "deg", errors, ideal="the bound", main=True)
        yield Row(f"Bound {where}", "deg", tuple(number(one.bound_deg) for one in both))
    yield Row(f"Attitude sigma {where}, formal", "deg", tuple(number(one.sigma_deg) for one in both))


def _row(
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
    """Of all that the filter used."""
    samples = result.samples
    return nis_consistency(samples.nis, np.where(np.isfinite(samples.nis), samples.dof, 0))


def last_attitude(solution: AttitudeSolution) -> LastAttitude | None:
    """The state at the latest time; None when none is known."""
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
