"""What a GPS fix says about the state.

A receiver reports the position at the fix's time and a velocity that was valid some time earlier, its latency (NovAtel
OEM manual, BESTVEL). In 50 ms a low orbit's velocity turns by 0.4 m/s, so the model is carried back by the latency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array, cross_matrix
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import gravity_and_gradient
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import POSITION, SIZE, VELOCITY

_GRAVITY_DEGREE: Final = 16
"""For carrying back by the latency: terms beyond make 1e-5 m/s^2, 3e-6 m/s in 0.25 s."""


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """A plausible GPS fix in ITRF.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        position_ecef_m: Shape (3,), valid at `gps_ms`.
        position_sigma_m: Standard deviations as the receiver gives them, shape (3,); zero stands for unknown.
        velocity_ecef_mps: Relative to the rotating Earth, valid `velocity_latency_s` before; None when unusable.
        velocity_sigma_mps: Shape (3,), likewise; None when unusable.
        velocity_latency_s: How much older than the position the velocity is.
        seq: The caller's number of this input.
    """

    gps_ms: int
    position_ecef_m: Array
    position_sigma_m: Array
    velocity_ecef_mps: Array | None
    velocity_sigma_mps: Array | None
    velocity_latency_s: float
    seq: int = 0


class Observation(NamedTuple):
    """Three measured numbers against what the state makes expect; ECEF.

    Attributes:
        residual: Measured minus predicted, in m or m/s, shape (m,).
        partials: Derivative of the prediction by the state, shape (m, 10).
        sigma: Standard deviations of the measurement errors, taken as independent, shape (m,).
    """

    residual: Array
    partials: Array
    sigma: Array

    def widened(self, factor: float) -> "Observation":
        """The same with standard deviations multiplied by `factor`."""
        return self._replace(sigma=factor * self.sigma)

    @staticmethod
    def stacked(observations: Sequence["Observation"]) -> "Observation":
        """Several in one."""
        return Observation(*(np.concatenate(parts) for parts in zip(*observations, strict=True)))


class Comparison(NamedTuple):
    """A fix against a state; `velocity` is None if the fix has none."""

    position: Observation
    velocity: Observation | None


def compare(fix: Fix, x: Array, frames: EarthFrames, settings: MeasurementSettings) -> Comparison:
    """Compare a fix with the state `x` (10,) at the fix's time."""
    attitude = frames.at(fix.gps_ms, np.array((0.0, -fix.velocity_latency_s)))
    rotation = attitude.ecef_from_gcrf[0]
    position_ecef_m = rotation.dot(x[POSITION])
    partials = np.zeros((3, SIZE))
    partials[:, POSITION] = rotation
    sigma = _trusted(fix.position_sigma_m, settings.position_sigma_default_m, settings.position_sigma_floor_m)
    position = Observation(fix.position_ecef_m - position_ecef_m, partials, sigma)
    if fix.velocity_ecef_mps is None or fix.velocity_sigma_mps is None:
        return Comparison(position, None)

    acceleration, gradient = gravity_and_gradient(position_ecef_m, _GRAVITY_DEGREE)
    inverse = rotation.T
    earlier_m, earlier_mps, transition = _carry_back(
        x, inverse.dot(acceleration), inverse.dot(gradient).dot(rotation), fix.velocity_latency_s
    )
    earlier_rotation, spin = attitude.ecef_from_gcrf[1], cross_matrix(attitude.rotation_gcrf_rad_s)
    partials = np.zeros((3, SIZE))
    partials[:, :6] = earlier_rotation.dot(transition[3:] - spin.dot(transition[:3]))
    sigma = _trusted(fix.velocity_sigma_mps, settings.velocity_sigma_default_mps, settings.velocity_sigma_floor_mps)
    predicted = earlier_rotation.dot(earlier_mps - spin.dot(earlier_m))
    return Comparison(position, Observation(fix.velocity_ecef_mps - predicted, partials, sigma))


def _carry_back(x: Array, acceleration: Array, gradient: Array, latency_s: float) -> tuple[Array, Array, Array]:
    """Position and velocity `latency_s` earlier, by Taylor series to the jerk, and their transition matrix (6, 6).

    The first term left out is 2e-6 m/s for a latency of one second.
    """
    position_m, velocity_mps = x[POSITION], x[VELOCITY]
    jerk = gradient.dot(velocity_mps)
    half_square = 0.5 * latency_s * latency_s
    turn = half_square * gradient
    transition = np.eye(6)
    transition[POSITION, POSITION] += turn
    transition[VELOCITY, VELOCITY] += turn
    transition[VELOCITY, POSITION] = -latency_s * gradient
    transition.flat[3:18:7] = -latency_s  # the diagonal of the upper right block
    return (
        position_m - latency_s * velocity_mps + half_square * acceleration - (half_square * latency_s / 3.0) * jerk,
        velocity_mps - latency_s * acceleration + half_square * jerk,
        transition,
    )


def _trusted(sigma: Array, default: float, floor: float) -> Array:
    """The receiver's standard deviations, with unknown ones replaced and optimistic ones raised."""
    return np.array([max(value if value > 0.0 else default, floor) for value in sigma.tolist()])
