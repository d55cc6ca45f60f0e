"""How small the errors of any estimator can be: Cramer-Rao bounds of an orbit from its fixes.

Linearised on the true orbit, for filters (fixes so far) and smoothers (all fixes), in two kinds:

- deterministic dynamics, position, velocity and one drag factor unknown: the inverse of the information
  I = sum Phi' H' R^-1 H Phi, carried along by Phi (van Trees, Detection, Estimation and Modulation Theory I, 2.4). No
  estimator that has to doubt its forces comes near it over half a day.
- posterior, with the flight's process noise: the covariances of the Kalman filter and of Rauch, Tung & Striebel's
  smoother (Tichavsky, Muravchik & Nehorai, IEEE TSP 46, 1998).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState
from pygnc_ground.orbit.solution import FloatArray, IntArray

_DETERMINISTIC_SIZE: Final = DRAG + 1
_UNKNOWN_SIGMA: Final = np.array([1e5, 1e5, 1e5, 1e3, 1e3, 1e3, 10.0])
"""Of position (m), velocity (m/s) and logarithm of the drag factor before the first fix: as good as nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """n fixes of a known orbit, in order of time."""

    gps_ms: IntArray
    """(n,)"""
    states_gcrf: FloatArray
    """(n, 6), the true position and velocity"""
    sigma: FloatArray
    """(n, 6), standard deviations of position (m) and velocity (m/s) per ITRF axis; infinite where there is none"""

    def __len__(self) -> int:
        return len(self.gps_ms)


@dataclass(frozen=True, slots=True, eq=False)
class Linearised:
    """A linear system along the truth, n moments, m states of which position and velocity come first."""

    transition: FloatArray
    """(n - 1, m, m), from each moment to the next"""
    noise: FloatArray
    """(n - 1, m, m), covariance of what the process noise adds on the way"""
    information: FloatArray
    """(n, m, m), H' R^-1 H of each moment's measurement"""


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Least covariance of position and velocity at n moments."""

    gps_ms: IntArray
    """(n,)"""
    covariance: FloatArray
    """(n, 6, 6), GCRF"""

    @property
    def position_m(self) -> FloatArray:
        """3-D standard deviation, (n,)."""
        return _sigma_3d(self.covariance[:, :3, :3])

    @property
    def velocity_mps(self) -> FloatArray:
        """3-D standard deviation, (n,)."""
        return _sigma_3d(self.covariance[:, 3:, 3:])


@dataclass(frozen=True, slots=True, eq=False)
class OrbitBounds:
    """All four."""

    deterministic_filter: Bound
    deterministic_smoother: Bound
    posterior_filter: Bound
    posterior_smoother: Bound


def orbit_bounds(sightings: Sightings, settings: OrbitSettings, frames: EarthFrames) -> OrbitBounds:
    """Bounds at the times of the fixes.

    Cost: 0.5 ms per fix or, in gaps, per step of the flight's dynamics.

    Args:
        sightings: At least one fix.
        settings: Spacecraft and process noise.
        frames: Earth orientation of the sightings.
    """
    system = linearise(sightings, settings, frames)
    unknown = np.diag(_UNKNOWN_SIGMA**2)
    start = np.diag(np.concatenate((_UNKNOWN_SIGMA[:DRAG], steady_sigma(settings.process_noise))) ** 2)
    filtered, smoothed = posterior_bounds(system, start)
    sharp_filtered, sharp_smoothed = deterministic_bounds(_without_noise(system), unknown)

    def bound(covariance: FloatArray) -> Bound:
        return Bound(sightings.gps_ms, covariance[:, :6, :6])

    return OrbitBounds(bound(sharp_filtered), bound(sharp_smoothed), bound(filtered), bound(smoothed))


def linearise(sightings: Sightings, settings: OrbitSettings, frames: EarthFrames) -> Linearised:
    """The flight's dynamics, process noise and measurements along the truth.

    The latency of velocities is left out: the model bridges it without a loss.
    """
    dynamics = OrbitDynamics(settings, frames)
    count = len(sightings)
    transition, noise = np.tile(np.eye(SIZE), (count - 1, 1, 1)), np.zeros((count - 1, SIZE, SIZE))
    for row, (begin_ms, end_ms) in enumerate(zip(sightings.gps_ms[:-1], sightings.gps_ms[1:], strict=True)):
        x = np.concatenate((sightings.states_gcrf[row], np.zeros(SIZE - DRAG)))
        state = OrbitState(int(begin_ms), x, np.zeros((SIZE, SIZE)))
        while state.gps_ms < end_ms:
            step = dynamics.advance(state, int(end_ms))
            transition[row] = step.transition @ transition[row]
            noise[row] = step.transition @ noise[row] @ step.transition.T + step.sqrt_noise @ step.sqrt_noise.T
            state = step.state
    information = np.zeros((count, SIZE, SIZE))
    for row, gps_ms in enumerate(sightings.gps_ms.tolist()):
        whitened = frames.ecef_state_from_gcrf(gps_ms) / sightings.sigma[row][:, None]
        information[row, :6, :6] = whitened.T @ whitened
    return Linearised(transition, noise, information)


def deterministic_bounds(system: Linearised, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds of a system without process noise.

    Args:
        system: Its noise is not looked at.
        start: Covariance of the states before the first measurement, (m, m).

    Returns:
        Covariances from the measurements so far and from all, each (n, m, m).
    """
    count, size, _ = system.information.shape
    from_start = np.tile(np.eye(size), (count, 1, 1))
    for row in range(1, count):
        from_start[row] = system.transition[row - 1] @ from_start[row - 1]
    so_far = np.cumsum(from_start.transpose(0, 2, 1) @ system.information @ from_start, axis=0)
    so_far += np.linalg.inv(start)
    unit = 1.0 / np.sqrt(np.diagonal(so_far, axis1=1, axis2=2))
    scale = unit[:, :, None] * unit[:, None]
    filtered = from_start @ (scale * np.linalg.inv(scale * so_far)) @ from_start.transpose(0, 2, 1)
    everything = scale[-1] * np.linalg.inv(scale[-1] * so_far[-1])
    return filtered, from_start @ everything @ from_start.transpose(0, 2, 1)


def posterior_bounds(system: Linearised, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Covariances of Kalman filter and smoother.

    Args:
        system: With or without process noise.
        start: Covariance of the states before the first measurement, (m, m).

    Returns:
        Covariances from the measurements so far and from all, each (n, m, m).
    """
    count = len(system.information)
    predicted, filtered = np.empty_like(system.information), np.empty_like(system.information)
    predicted[0] = start
    for row in range(count):
        filtered[row] = _updated(predicted[row], system.information[row])
        if row + 1 < count:
            transition = system.transition[row]
            predicted[row + 1] = transition @ filtered[row] @ transition.T + system.noise[row]
    smoothed = filtered.copy()
    for row in range(count - 2, -1, -1):
        carried = system.transition[row] @ filtered[row]
        gain = _solved(predicted[row + 1], carried).T
        # A sum of positive parts, after Joseph; the textbook's difference of two covariances may turn negative.
        kept = np.eye(len(start)) - gain @ system.transition[row]
        smoothed[row] = kept @ filtered[row] @ kept.T + gain @ (system.noise[row] + smoothed[row + 1]) @ gain.T
    return filtered, smoothed


def _without_noise(system: Linearised) -> Linearised:
    """Position, velocity and a drag factor that stays what it is."""
    kept = (slice(None), slice(_DETERMINISTIC_SIZE), slice(_DETERMINISTIC_SIZE))
    transition = system.transition[kept].copy()
    transition[:, DRAG, DRAG] = 1.0
    return Linearised(transition, np.zeros_like(transition), system.information[kept])


def _updated(covariance: FloatArray, information: FloatArray) -> FloatArray:
    """(P^-1 + I)^-1 = P (1 + I P)^-1, for any I, by the square root of P."""
    root = np.linalg.cholesky(covariance)
    seen = np.eye(len(root)) + root.T @ information @ root
    return np.asarray(root @ np.linalg.solve(seen, root.T))


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """matrix^-1 right, for a covariance of states in units of all sizes."""
    unit = 1.0 / np.sqrt(np.diagonal(matrix))
    solved: FloatArray = unit[:, None] * np.linalg.solve(unit[:, None] * matrix * unit, unit[:, None] * right)
    return solved


def _sigma_3d(covariance: FloatArray) -> FloatArray:
    sigma: FloatArray = np.sqrt(np.trace(covariance, axis1=1, axis2=2))
    return sigma
