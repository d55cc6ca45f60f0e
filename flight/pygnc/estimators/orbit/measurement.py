"""GPS fixes, their measurement model, chi-square gate and adaptive noise.

A receiver reports the position at the fix's time and a velocity that was valid some time earlier, its latency (NovAtel
OEM manual, BESTVEL). In 50 ms the velocity of a low orbit changes by 0.4 m/s, so the state is propagated back by the
latency.

The squared difference of two successive innovations, divided by its predicted variance (von Neumann, 1941), is 1 on
average if the receiver's standard deviations are right. A slowly varying model error cancels in the difference. The
ratio adapts a factor on those standard deviations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2, gravity_and_gradient
from pygnc.estimators.kalman import Observation, chi_square, innovation_covariance
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import POSITION, SIZE, VELOCITY, OrbitState

_SPIN: Final = cross_matrix(np.array((0.0, 0.0, EARTH_ROTATION_RAD_S)))
"""Cross product with the rotation of the Earth; its axis differs from that of GCRF by less than 0.2 degrees."""
_TIME_SIGMA_MIN_S: Final = 1e-6
"""Standard deviation of a steered clock, which has no effect: a centimetre in orbit."""
_TIME_SIGMA_MAX_S: Final = 1.0
"""Largest standard deviation of the clock that is used; beyond it the orbit is not linear in the error."""


@unique
class RejectCause(StrEnum):
    """Reason why a fix or its velocity was rejected, as in logs and counters.

    Screening (`pygnc.navigation.orbit`) sets the causes up to `LATENCY`, the filter sets the others; both set
    `TIME_INCONSISTENT`.
    """

    NO_TIME = "no_time"
    TIME_STATUS = "time_status"
    POSITION_STATUS = "position_status"
    NO_SATELLITES = "no_satellites"
    NOT_FINITE = "not_finite"
    ZERO_POSITION = "zero_position"
    RADIUS = "radius"
    VELOCITY_STATUS = "velocity_status"
    VELOCITY_NOT_FINITE = "velocity_not_finite"
    SPEED = "speed"
    LATENCY = "latency"

    NO_VELOCITY = "no_velocity"
    """The fix has no usable velocity."""
    NOT_LATER = "not_later"
    """The fix is not later than the state."""
    GAP = "gap"
    """The gap since the state exceeds `gap_max_s`."""
    GATE = "gate"
    """The normalised innovation squared exceeds the gate."""
    TIME_INCONSISTENT = "time_inconsistent"
    """The fix's GPS time contradicts the spacecraft clock, or the fix is where the orbit is at another whole second."""
    START = "start"
    """The fix disagrees with the other fixes of the initialisation."""


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """Plausible GPS fix in ITRF.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        position_ecef_m: Position at `gps_ms`, ITRF, m, shape (3,).
        position_sigma_m: Standard deviations that the receiver reports, m, shape (3,); zero means unknown.
        velocity_ecef_mps: Velocity relative to the rotating Earth, ITRF, m/s, shape (3,), valid `velocity_latency_s`
            earlier; None if unusable.
        velocity_sigma_mps: Standard deviations of the velocity, m/s, shape (3,); None if unusable.
        velocity_latency_s: Age of the velocity relative to the position, s.
        seq: The caller's sequence number of this input.
        time_sigma_s: Standard deviation of the receiver's clock, s, as reported; 0 if it does not report one.
    """

    gps_ms: int
    position_ecef_m: Array
    position_sigma_m: Array
    velocity_ecef_mps: Array | None
    velocity_sigma_mps: Array | None
    velocity_latency_s: float
    seq: int = 0
    time_sigma_s: float = 0.0


class Innovation(NamedTuple):
    """Innovation of a position (m) or velocity (m/s), in ITRF.

    Attributes:
        residual: Measured minus predicted, three components.
        sigma: Predicted standard deviations of the residual.
        chi_square: Normalised innovation squared, which the gate tests.
    """

    residual: tuple[float, ...]
    sigma: tuple[float, ...]
    chi_square: float


class GateResult(NamedTuple):
    """Result of a gate test.

    Attributes:
        used: Observation with adapted standard deviations; None if it was rejected.
        chi_square: Normalised innovation squared.
        gate: Gate for the next observation.
    """

    used: Observation | None
    chi_square: float
    gate: "Gate"


@dataclass(frozen=True, slots=True)
class Gate:
    """Chi-square gate for positions or for velocities, with the statistics of the last innovation.

    Attributes:
        factor: Factor on the receiver's standard deviations.
        residual: Last innovation, m or m/s.
        variance: Predicted variance of the last innovation; infinite if there is none.
        accepted: True if the last innovation passed. Only successive innovations with equal results are compared,
            because an outlier among good fixes carries no information on noise or model.
    """

    factor: float = 1.0
    residual: tuple[float, ...] = (0.0, 0.0, 0.0)
    variance: tuple[float, ...] = (math.inf, math.inf, math.inf)
    accepted: bool = False

    def test(self, observation: Observation, predicted: OrbitState, limits: MeasurementSettings) -> GateResult:
        """Test an observation of three components against the predicted state and adapt the noise factor."""
        scaled = observation.scaled(self.factor)
        covariance = innovation_covariance(predicted.sqrt_covariance, scaled.partials, scaled.sigma)
        distance = chi_square(observation.residual, covariance)
        accepted = distance <= limits.gate
        variance = self.variance if accepted == self.accepted else (math.inf,) * 3
        before = np.array(self.residual), np.array(variance)
        now = observation.residual, np.diagonal(covariance)
        factor = float(adapted_noise_factor(np.array(self.factor), now, before, limits))
        gate = Gate(factor, tuple(now[0].tolist()), tuple(now[1].tolist()), accepted)
        return GateResult(scaled if accepted else None, distance, gate)


def adapted_noise_factor(
    factor: Array, now: tuple[Array, Array], before: tuple[Array, Array], limits: MeasurementSettings
) -> Array:
    """Return factors (...) on the receiver's standard deviations, adapted to two successive innovations.

    Args:
        factor: Factors so far, shape (...).
        now: Innovations and their predicted variances, m or m/s, and squared, shape (..., 3) each.
        before: Innovations and variances of the previous fix; the variances are infinite if none is comparable.
        limits: Limits of the factors and of the normalised innovations.
    """
    change, scale = now[0] - before[0], now[1] + before[1]
    ratio = np.minimum((change * change / scale).sum(axis=-1) / 3.0, limits.gate / 3.0)
    ratio = np.where(np.isinf(before[1][..., 0]), 1.0, ratio)
    # A pair of fixes weighs only a hundredth in the square of the factor, which is therefore a mean over many fixes.
    adapted = factor * np.sqrt(1.0 + 0.01 * (ratio - 1.0))
    bounded: Array = np.minimum(np.maximum(adapted, limits.noise_scale_min), limits.noise_scale_max)
    return bounded


def linearise_fix(
    fix: Fix, x: Array, frames: EarthFrames, settings: MeasurementSettings
) -> tuple[Observation, Observation | None]:
    """Return position and velocity in ITRF (m, m/s), linearised about the state; None for a missing velocity.

    Args:
        fix: GPS fix.
        x: State vector at the fix's time, shape (10,).
        frames: Earth orientation.
        settings: Default and least standard deviations.
    """
    attitude = frames.at(fix.gps_ms, np.array((0.0, -fix.velocity_latency_s)))
    rotation = attitude.ecef_from_gcrf[0]
    position_ecef_m = rotation.dot(x[POSITION])
    partials = np.zeros((3, SIZE))
    partials[:, POSITION] = rotation
    sigma = _bounded_sigma(fix.position_sigma_m, settings.position_sigma_default_m, settings.position_sigma_floor_m)
    position = Observation(fix.position_ecef_m - position_ecef_m, partials, sigma)
    if fix.velocity_ecef_mps is None or fix.velocity_sigma_mps is None:
        return position, None

    # Degree 16 suffices: higher degrees add 1e-5 m/s^2, which is 3e-6 m/s over a latency of 0.25 s.
    acceleration, gradient = gravity_and_gradient(position_ecef_m, 16)
    inverse = rotation.T
    earlier_m, earlier_mps, transition = _propagate_back(
        x, inverse.dot(acceleration), inverse.dot(gradient).dot(rotation), fix.velocity_latency_s
    )
    earlier_rotation, spin = attitude.ecef_from_gcrf[1], cross_matrix(attitude.rotation_gcrf_rad_s)
    partials = np.zeros((3, SIZE))
    partials[:, :6] = earlier_rotation.dot(transition[3:] - spin.dot(transition[:3]))
    sigma = _bounded_sigma(
        fix.velocity_sigma_mps, settings.velocity_sigma_default_mps, settings.velocity_sigma_floor_mps
    )
    predicted = earlier_rotation.dot(earlier_mps - spin.dot(earlier_m))
    return position, Observation(fix.velocity_ecef_mps - predicted, partials, sigma)


def linearise_fixes(
    fixes: Sequence[Fix], states_gcrf: Array, frames: EarthFrames, settings: MeasurementSettings
) -> list[tuple[Observation, Observation | None]]:
    """Return `linearise_fix` of n fixes about states (n, 6), in half of the time; partials have six columns."""
    gps_ms = np.array([fix.gps_ms for fix in fixes], dtype=np.int64)
    latency_s = np.array([fix.velocity_latency_s for fix in fixes])
    attitude, earlier = (frames.at_each(gps_ms, offset_s) for offset_s in (np.zeros(len(fixes)), -latency_s))
    rotation = attitude.ecef_from_gcrf
    # Vectors are columns, so that matrices multiply them.
    position_m, velocity_mps = states_gcrf[:, POSITION, None], states_gcrf[:, VELOCITY, None]
    position_ecef_m = rotation @ position_m
    # The degree is that of `linearise_fix`.
    fields = [gravity_and_gradient(each, 16) for each in position_ecef_m[..., 0]]
    acceleration = rotation.swapaxes(1, 2) @ np.array([field for field, _ in fields]).reshape(-1, 3, 1)
    gradient = rotation.swapaxes(1, 2) @ np.array([each for _, each in fields]).reshape(-1, 3, 3) @ rotation
    # The Taylor series of `_propagate_back`.
    back_s = latency_s[:, None, None]
    jerk, change = gradient @ velocity_mps, 0.5 * back_s**2 * gradient
    earlier_m = position_m - back_s * velocity_mps + 0.5 * back_s**2 * (acceleration - back_s / 3.0 * jerk)
    earlier_mps = velocity_mps - back_s * acceleration + 0.5 * back_s**2 * jerk
    unit, spin = np.eye(3), cross_matrix(earlier.rotation_gcrf_rad_s)
    by_position = -back_s * gradient - spin @ (unit + change)
    by_velocity = unit + change + back_s * spin
    partials = earlier.ecef_from_gcrf @ np.concatenate((by_position, by_velocity), axis=2)
    predicted = earlier.ecef_from_gcrf @ (earlier_mps - spin @ earlier_m)
    of_position = np.concatenate((rotation, np.zeros_like(rotation)), axis=2)
    limits = (
        (settings.position_sigma_default_m, settings.position_sigma_floor_m),
        (settings.velocity_sigma_default_mps, settings.velocity_sigma_floor_mps),
    )
    observations: list[tuple[Observation, Observation | None]] = []
    for row, fix in enumerate(fixes):
        residual = fix.position_ecef_m - position_ecef_m[row, :, 0]
        position = Observation(residual, of_position[row], _bounded_sigma(fix.position_sigma_m, *limits[0]))
        velocity = None
        if fix.velocity_ecef_mps is not None and fix.velocity_sigma_mps is not None:
            sigma = _bounded_sigma(fix.velocity_sigma_mps, *limits[1])
            velocity = Observation(fix.velocity_ecef_mps - predicted[row, :, 0], partials[row], sigma)
        observations.append((position, velocity))
    return observations


def effect_of_clock(fix: Fix, x: Array, frames: EarthFrames, settings: MeasurementSettings) -> Array:
    """Return the changes of position (m) and velocity (m/s) by one standard deviation of the receiver's clock, (6,).

    A clock that is fast states a later time than that at which the satellite was there.
    """
    sigma_s = fix.time_sigma_s if settings.time_sigma_s is None else settings.time_sigma_s
    if sigma_s <= _TIME_SIGMA_MIN_S:
        return np.zeros(6)
    rates: Array = frames.ecef_state_from_gcrf(fix.gps_ms).dot(rates_along_track(x[:6]))
    return rates * -min(sigma_s, _TIME_SIGMA_MAX_S)


def with_clock_error(observation: Observation, effect: Array, count: int) -> Observation:
    """Return an observation to whose noise an error of the clock is added that it has in common with others.

    The standard deviation of the mean of all of them contains the error. Their differences contain it as well, so the
    result is rather too uncertain.

    Args:
        observation: Position or velocity of a fix.
        effect: Change by one standard deviation of the clock, m or m/s, shape (3,).
        count: Number of observations with the error in common.
    """
    scaled = effect / observation.sigma
    square = float(scaled.dot(scaled))
    if square == 0.0:
        return observation
    share = (1.0 - 1.0 / math.sqrt(1.0 + count * square)) / square
    whitening = np.eye(3) - share * np.outer(effect, scaled / observation.sigma)
    return Observation(whitening.dot(observation.residual), whitening.dot(observation.partials), observation.sigma)


def rates_along_track(states_gcrf: Array) -> Array:
    """Return how states in GCRF (m, m/s) change per second of an error of their time, shapes (..., 6) -> (..., 6).

    Seen from the rotating Earth, such a state moves along its track. Point mass gravity suffices.
    """
    position_m, velocity_mps = states_gcrf[..., :3], states_gcrf[..., 3:]
    distance_m = np.sqrt((position_m * position_m).sum(axis=-1, keepdims=True))
    gravity = -GM_EARTH_M3_S2 / distance_m**3 * position_m
    turned = states_gcrf.reshape(*states_gcrf.shape[:-1], 2, 3) @ _SPIN.T
    return np.concatenate((velocity_mps - turned[..., 0, :], gravity - turned[..., 1, :]), axis=-1)


def _propagate_back(x: Array, acceleration: Array, gradient: Array, latency_s: float) -> tuple[Array, Array, Array]:
    """Return position and velocity `latency_s` earlier by Taylor series to the jerk, and the transition (6, 6).

    The first neglected term is 2e-6 m/s for a latency of 1 s.
    """
    position_m, velocity_mps = x[POSITION], x[VELOCITY]
    jerk = gradient.dot(velocity_mps)
    half_square = 0.5 * latency_s * latency_s
    change = half_square * gradient
    transition = np.eye(6)
    transition[POSITION, POSITION] += change
    transition[VELOCITY, VELOCITY] += change
    transition[VELOCITY, POSITION] = -latency_s * gradient
    transition.flat[3:18:7] = -latency_s  # the diagonal of the upper right block
    return (
        position_m - latency_s * velocity_mps + half_square * acceleration - (half_square * latency_s / 3.0) * jerk,
        velocity_mps - latency_s * acceleration + half_square * jerk,
        transition,
    )


def _bounded_sigma(sigma: Array, default: float, floor: float) -> Array:
    """Return the receiver's standard deviations; `default` replaces zero (unknown), `floor` replaces smaller values."""
    return np.array([max(value if value > 0.0 else default, floor) for value in sigma.tolist()])
