"""Values of the status record: from the newest estimates, and from the state of the run and its tasks.

Both come from other tasks and may be invalid. Here, a value is checked only if another value is computed from it.
Unknown names of modes and states remain strings, which `pygnc.formats.status.fill` drops.
"""

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, TypeAlias

from pygnc.bus import control
from pygnc.bus.messages import (
    AttitudeEstimate,
    ClosestApproach,
    FormationEstimate,
    FormationMessage,
    Message,
    OrbitEstimate,
    OrbitMessage,
)
from pygnc.common.clock import gps_ms_from_spacecraft_s, week_from_gps_ms
from pygnc.formats.status import (
    COUNTERS,
    GYRO_REFUTED,
    MAGNETOMETER_REFUTED,
    PARTNERS,
    TASK_NAMES,
    UNDECLARED,
    AttitudeMode,
    OrbitMode,
    Phase,
    TaskState,
)

Values: TypeAlias = dict[str, object]

STREAMS: Final[dict[str, object]] = {
    "orbit": OrbitMessage,
    "attitude": AttitudeEstimate,
    "formation": FormationMessage,
}
"""Names of the streams whose estimates are in the record, with the type of their messages."""
_VARIANCES: Final = (0, 2, 5)
"""Indices of the position variances in the lower triangle, row by row, of a 6 x 6 covariance."""
_FLAGS_MAX: Final = 6
_REFUTED: Final = "wrong"
"""Verdict on declared axes that the readings refute."""


class NewestEstimates:
    """Newest estimate of each kind, and newest estimate and closest approach of each partner."""

    def __init__(self) -> None:
        self.orbit: OrbitEstimate | None = None
        self.attitude: AttitudeEstimate | None = None
        self.partners: dict[int, FormationEstimate] = {}
        self.approaches: dict[int, ClosestApproach] = {}

    def take(self, message: Message | None) -> None:
        """Store a message as the newest; of closest approaches at one input, keep that with the least chi-square."""
        if isinstance(message, OrbitEstimate):
            self.orbit = message
        elif isinstance(message, AttitudeEstimate):
            self.attitude = message
        elif isinstance(message, FormationEstimate):
            self.partners[message.partner_id] = message
        elif isinstance(message, ClosestApproach):
            known = self.approaches.get(message.partner_id)
            if known is None or message.last_input_seq > known.last_input_seq or message.chi2 < known.chi2:
                self.approaches[message.partner_id] = message

    def agrees_with(self, journaled: "NewestEstimates") -> bool:
        """Return True if the estimates that another object has are the same; predictions of the orbit are newer."""
        is_predicted = self.orbit is not None and not self.orbit.seq
        return (
            (is_predicted or self.orbit == journaled.orbit)
            and self.attitude == journaled.attitude
            and all(self.partners.get(key) == one for key, one in journaled.partners.items())
            and all(self.approaches.get(key) == one for key, one in journaled.approaches.items())
        )

    def values(self, t_spacecraft_s: int) -> Values:
        """Return the values of all estimates, with at most `PARTNERS` partners, the lowest ids first."""
        values = orbit_values(self.orbit, t_spacecraft_s) | _attitude_values(self.attitude)
        for k, partner_id in enumerate(sorted(self.partners)[:PARTNERS]):
            partner = _partner_values(self.partners[partner_id], self.approaches.get(partner_id))
            values |= {f"partner{k}_{name}": value for name, value in partner.items()}
        return values


def run_values(state: control.RunState) -> tuple[Values, dict[str, str]]:
    """Return the values of the run and its tasks, and by name the reason for each task or counter that is missing."""
    values: Values = {"phase": _number(Phase, state.phase), "events": state.events}
    sums = {"not_recorded": state.not_recorded}
    dropped: dict[str, str] = {}
    for task in state.tasks:
        if task.name in TASK_NAMES:
            values[f"task_{task.name}_state"] = _number(TaskState, task.state)
            values[f"task_{task.name}_restarts"] = task.restarts
            values[f"task_{task.name}_through"] = task.progress.last_sequence_processed
        else:
            dropped[f"task {task.name}"] = UNDECLARED
        for name, count in task.progress.counts.items():
            if name in COUNTERS and isinstance(count, int) and count >= 0:
                sums[name] = sums.get(name, 0) + count
            else:
                reason = f"{count!r:.50} is not a count" if name in COUNTERS else UNDECLARED
                dropped[f"counter {name} of task {task.name}"] = reason
    return values | sums, dropped


def orbit_values(estimate: OrbitEstimate | None, t_spacecraft_s: int) -> Values:
    """Return the orbit fields, none without an estimate; the GPS time of the record follows from `t_spacecraft_s`."""
    if estimate is None:
        return {}
    week, tow_ms = week_from_gps_ms(estimate.gps_ms)
    mode = OrbitMode.AT_FIX if estimate.gps_ms == estimate.fix_gps_ms else OrbitMode.PREDICTED
    values: Values = {
        "orbit_mode": OrbitMode.ELEMENTS if estimate.from_elements else mode,
        "orbit_gps_week": week,
        "orbit_gps_tow_ms": tow_ms,
        "orbit_age_s": (estimate.gps_ms - estimate.fix_gps_ms) * 1e-3,
        "nis_mean": estimate.nis_mean if estimate.nis_count else math.nan,
        "nis_count": estimate.nis_count,
    }
    if estimate.spacecraft_to_gps_ms is not None:
        now_ms = gps_ms_from_spacecraft_s(t_spacecraft_s, estimate.spacecraft_to_gps_ms)
        values["gps_week"], values["gps_tow_ms"] = week_from_gps_ms(now_ms)
    for name in ("position_ecef_m", "velocity_ecef_mps", "position_sigma_m", "velocity_sigma_mps"):
        values |= _components(name, getattr(estimate, name))
    return values


def _attitude_values(estimate: AttitudeEstimate | None) -> Values:
    if estimate is None:
        return {}
    values: Values = {
        "attitude_mode": _number(AttitudeMode, estimate.mode),
        "in_sun": estimate.in_sun,
        "attitude_orbit_age_s": math.nan if estimate.orbit_age_s is None else estimate.orbit_age_s,
    }
    for name in ("dead_faces", "stuck_gyro_axes", "gyro_axes_beyond_range"):
        values[name] = _bits(getattr(estimate, name))
    flags = int(estimate.magnetometer_wiring == _REFUTED) * MAGNETOMETER_REFUTED
    flags |= int(estimate.gyro_wiring == _REFUTED) * GYRO_REFUTED
    values["mirrored_faces"] = _bits(estimate.mirrored_faces) | flags
    if estimate.gps_ms is not None:
        values["attitude_gps_week"], values["attitude_gps_tow_ms"] = week_from_gps_ms(estimate.gps_ms)
    vectors = {
        "rate_body_rad_s": estimate.rate_body_rad_s,
        "mag_body_ut": estimate.mag_body_ut,
        "attitude_sigma_rad": estimate.sigma_rad,
        "gyro_bias_rad_s": estimate.gyro_bias_imu_rad_s,
        "mag_bias_ut": estimate.mag_bias_imu_ut,
        "mag_calibration_sigma_ut": estimate.mag_calibration_sigma_ut,
    }
    for name, vector in vectors.items():
        values |= _components(name, vector)
    return values | _components("quaternion", estimate.quaternion_gcrf_from_body, "wxyz")


def _partner_values(estimate: FormationEstimate, approach: ClosestApproach | None) -> Values:
    week, tow_ms = week_from_gps_ms(estimate.gps_ms)
    values: Values = {
        "id": estimate.partner_id,
        "ambiguous": estimate.ambiguous,
        "gps_week": week,
        "gps_tow_ms": tow_ms,
    }
    covariance = estimate.covariance_rtn
    if estimate.position_rtn_m is None or estimate.velocity_rtn_mps is None or covariance is None:
        return values
    # A damaged covariance may be short or have negative variances, which have no standard deviation.
    variances = [covariance[place] if place < len(covariance) else math.nan for place in _VARIANCES]
    sigma_m = [math.sqrt(variance) if variance >= 0.0 else math.nan for variance in variances]
    values |= _components("rtn_m", estimate.position_rtn_m) | _components("rtn_mps", estimate.velocity_rtn_mps)
    values |= _components("sigma_m", sigma_m)
    numbers = {
        "bias_m": estimate.range_bias_m,
        "residual_m": estimate.range_residual_m,
        "chi2_best": estimate.chi2_best,
        "chi2_mirror": estimate.chi2_mirror,
    }
    if approach is not None:
        numbers |= {
            "closest_m": approach.distance_m,
            "closest_sigma_m": approach.sigma_m,
            "closest_in_s": (approach.gps_ms - estimate.gps_ms) * 1e-3,
        }
    return values | {name: value for name, value in numbers.items() if value is not None}


def _bits(numbers: Sequence[int]) -> int:
    return sum(1 << number for number in {*numbers} if 0 <= number < _FLAGS_MAX)


def _number(kind: type[IntEnum], word: str) -> int | str:
    return kind.__members__.get(word.upper(), word)


def _components(name: str, vector: Sequence[float] | None, axes: str = "xyz") -> Values:
    return {} if vector is None else {f"{name}_{axis}": value for axis, value in zip(axes, vector, strict=True)}
