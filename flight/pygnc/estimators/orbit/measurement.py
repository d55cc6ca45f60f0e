"""What a GPS fix says about the state.

A receiver reports the position at the fix's time and a velocity that was valid some time earlier, its latency (NovAtel
OEM manual, BESTVEL). In 50 ms a low orbit's velocity turns by 0.4 m/s, so the model is carried back by the latency.

Chi-square gate for one kind of observation, and what its innovations teach about noise and model.

Two successive innovations tell measurement noise and model error apart:

- Their difference, squared and over its predicted variance (von Neumann, 1941), is one on average when the receiver's
  standard deviations are right. A slowly changing model error cancels in it. It steers a factor on those deviations.
- Their product (Mehra, IEEE TAC 15, 1970) is zero on average when the model is right, whatever the noise. It steers the
  process noise.

Were one statistic to steer both, a wrong model would pass for receiver noise and be trusted all the more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import gravity_and_gradient
from pygnc.estimators.kalman import chi_square, innovation_covariance
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import POSITION, SIZE, VELOCITY, OrbitState

_GRAVITY_DEGREE: Final = 16
"""For carrying back by the latency: terms beyond make 1e-5 m/s^2, 3e-6 m/s in 0.25 s."""


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


class Innovation(NamedTuple):
    """Measured minus predicted, in ITRF, in m or m/s.

    Attributes:
        residual: Its three components.
        sigma: Their expected standard deviations.
        chi_square: Its square over its covariance; what the gate judges.
    """

    residual: tuple[float, ...]
    sigma: tuple[float, ...]
    chi_square: float


_WEIGHT: Final = 1.0 / 100.0
"""Of one pair of fixes in the factor's square."""
_SPREAD_SUSPICIOUS: Final = 2.0
"""Half a dozen fixes that scatter more than this show that the receiver's standard deviations are too small."""

_MODEL_WEIGHT: Final = 0.2
_MODEL_BIAS: Final = 0.1
"""How fast the empirical accelerations widen when innovations are correlated, and what correlation lets them narrow."""


class Judgement(NamedTuple):
    """What a gate says of an observation.

    Attributes:
        used: The observation as the filter may use it; None when it is too far off.
        innovation: How far off it is.
        gate: The gate for the next one.
    """

    used: Observation | None
    innovation: Innovation
    gate: "Gate"


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate, and the last innovation.

    Attributes:
        factor: Multiplies the receiver's standard deviations.
        residual: Last innovation.
        variance: Its predicted variance; infinite where there is nothing to compare with.
        accepted: Whether it passed. Only two verdicts alike are compared: an outlier among good fixes says nothing on
            noise or model.
        correlation: Product of the last two innovations in standard deviations, averaged over the axes; zero where they
            could not be compared.
    """

    factor: float = 1.0
    residual: tuple[float, ...] = (0.0, 0.0, 0.0)
    variance: tuple[float, ...] = (math.inf, math.inf, math.inf)
    accepted: bool = False
    correlation: float = 0.0

    def restarted(self, spread: float, limits: MeasurementSettings) -> "Gate":
        """The gate for a state made from fixes that scatter by `spread` of their standard deviations."""
        scale = spread if spread > _SPREAD_SUSPICIOUS else 1.0
        return Gate(min(max(self.factor, scale), limits.noise_scale_max))

    def judge(self, observation: Observation, predicted: OrbitState, limits: MeasurementSettings) -> Judgement:
        """Compare an observation with what the predicted state makes expect."""
        scaled = observation.widened(self.factor)
        covariance = innovation_covariance(predicted.sqrt_covariance, scaled.partials, scaled.sigma)
        distance = chi_square(observation.residual, covariance)
        accepted = distance <= limits.gate
        residual = tuple(observation.residual.tolist())
        variance = tuple(np.diagonal(covariance).tolist())
        ratio, correlation = 1.0, 0.0
        if accepted == self.accepted and self.variance[0] < math.inf:
            axes = list(zip(residual, self.residual, variance, self.variance, strict=True))
            ratio = sum((new - old) ** 2 / (var + var_old) for new, old, var, var_old in axes) / len(axes)
            correlation = sum(new * old / math.sqrt(var * var_old) for new, old, var, var_old in axes) / len(axes)
        most = limits.gate / len(residual)
        factor = self.factor * math.sqrt(1.0 + _WEIGHT * (min(ratio, most) - 1.0))
        factor = min(max(factor, limits.noise_scale_min), limits.noise_scale_max)
        correlation = min(max(correlation, -most), most)
        innovation = Innovation(residual, tuple(map(math.sqrt, variance)), distance)
        gate = Gate(factor, residual, variance, accepted, correlation)
        return Judgement(scaled if accepted else None, innovation, gate)


def empirical_factor(factor: float, gates: Sequence[Gate], factor_max: float) -> float:
    """The factor on the empirical accelerations after the gates of one fix: wider while innovations are alike."""
    correlation = sum(gate.correlation for gate in gates) / len(gates)
    factor *= math.exp(0.5 * _MODEL_WEIGHT * (correlation - _MODEL_BIAS))
    return min(max(factor, 1.0), factor_max)
