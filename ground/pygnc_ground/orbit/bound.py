"""Cramer-Rao bounds of an orbit from its fixes.

The bounds are linearised about the true orbit, for filters (fixes so far) and smoothers (all fixes), in two kinds:

- deterministic: known dynamics with position, velocity and one drag factor as parameters; the inverse of the
  information I = sum Phi' H' R^-1 H Phi, propagated by Phi (van Trees, Detection, Estimation and Modulation Theory I,
  2.4). No estimator with uncertain forces comes near it over half a day.
- posterior: with the flight's process noise; the covariances of the Kalman filter and of the Rauch-Tung-Striebel
  smoother (Tichavsky, Muravchik & Nehorai, IEEE TSP 46, 1998).

The fixes come from the settings of a scenario, or from a recorded sense file and its truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.bus.messages import GpsFix
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState
from pygnc.formats.sense import decode_fixes
from pygnc.formats.sense_scan import recognise_layout, scan
from pygnc.tasks.ingest.sense_file import RECOGNITION_BYTES
from pygnc.tasks.ingest.source import packet_messages
from pygnc.tasks.orbit.screening import fix_from, screen
from pygnc_ground.orbit.batch.first_orbit import oblate_earth
from pygnc_ground.orbit.batch.observations import Observations, observe_positions, observe_velocities, usable
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.settings import Settings as ScenarioSettings
from pygnc_ground.truth.orbit_truth import OrbitTruth

_DETERMINISTIC_SIZE: Final = DRAG + 1
_UNKNOWN_SIGMA: Final = np.array([1e5, 1e5, 1e5, 1e3, 1e3, 1e3, 10.0])
"""Uninformative sigmas of position (m), velocity (m/s) and logarithm of the drag factor before the first fix."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownFixes:
    """n fixes of a known orbit, in order of time."""

    gps_ms: IntArray
    """(n,)."""
    states_gcrf: FloatArray
    """(n, 6), true position and velocity."""
    sigma: FloatArray
    """(n, 6), standard deviations of position (m) and velocity (m/s) per ITRF axis; infinite if there is none."""

    def __len__(self) -> int:
        return len(self.gps_ms)


@dataclass(frozen=True, slots=True, eq=False)
class LinearSystem:
    """A linear system along the truth at n epochs with m states, of which position and velocity come first."""

    transition: FloatArray
    """(n - 1, m, m), from each epoch to the next."""
    noise: FloatArray
    """(n - 1, m, m), covariance of the process noise between them."""
    information: FloatArray
    """(n, m, m), H' R^-1 H of each epoch's measurement."""


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Least covariance of position and velocity at n epochs."""

    gps_ms: IntArray
    """(n,)."""
    covariance: FloatArray
    """(n, 6, 6), GCRF."""

    @property
    def position_m(self) -> FloatArray:
        """3-D standard deviation of the position, (n,)."""
        return _sigma_3d(self.covariance[:, :3, :3])

    @property
    def velocity_mps(self) -> FloatArray:
        """3-D standard deviation of the velocity, (n,)."""
        return _sigma_3d(self.covariance[:, 3:, 3:])


@dataclass(frozen=True, slots=True, eq=False)
class OrbitBounds:
    """Deterministic and posterior bounds for filters and smoothers."""

    deterministic_filter: Bound
    deterministic_smoother: Bound
    posterior_filter: Bound
    posterior_smoother: Bound


def orbit_bounds(known_fixes: KnownFixes, settings: OrbitSettings, frames: EarthFrames) -> OrbitBounds:
    """Return the bounds at the times of the fixes.

    Cost: 0.5 ms per fix or, in gaps, per step of the flight's dynamics.

    Args:
        known_fixes: At least one fix.
        settings: Spacecraft and process noise.
        frames: Earth orientation of the fixes.
    """
    system = linearise(known_fixes, settings, frames)
    unknown = np.diag(_UNKNOWN_SIGMA**2)
    start = np.diag(np.concatenate((_UNKNOWN_SIGMA[:DRAG], steady_sigma(settings.process_noise))) ** 2)
    filtered, smoothed = posterior_bounds(system, start)
    sharp_filtered, sharp_smoothed = deterministic_bounds(_without_noise(system), unknown)

    def bound(covariance: FloatArray) -> Bound:
        return Bound(known_fixes.gps_ms, covariance[:, :6, :6])

    return OrbitBounds(bound(sharp_filtered), bound(sharp_smoothed), bound(filtered), bound(smoothed))


def linearise(known_fixes: KnownFixes, settings: OrbitSettings, frames: EarthFrames) -> LinearSystem:
    """Return the flight's dynamics, process noise and measurements along the truth.

    The latency of velocities is neglected, because the measurement model bridges it without loss.
    """
    dynamics = OrbitDynamics(settings, frames)
    count = len(known_fixes)
    transition, noise = np.tile(np.eye(SIZE), (count - 1, 1, 1)), np.zeros((count - 1, SIZE, SIZE))
    for row, (begin_ms, end_ms) in enumerate(zip(known_fixes.gps_ms[:-1], known_fixes.gps_ms[1:], strict=True)):
        x = np.concatenate((known_fixes.states_gcrf[row], np.zeros(SIZE - DRAG)))
        state = OrbitState(int(begin_ms), x, np.zeros((SIZE, SIZE)))
        while state.gps_ms < end_ms:
            step = dynamics.advance(state, int(end_ms))
            transition[row] = step.transition @ transition[row]
            noise[row] = step.transition @ noise[row] @ step.transition.T + step.sqrt_noise @ step.sqrt_noise.T
            state = step.state
    information = np.zeros((count, SIZE, SIZE))
    for row, gps_ms in enumerate(known_fixes.gps_ms.tolist()):
        whitened = frames.ecef_state_from_gcrf(gps_ms) / known_fixes.sigma[row][:, None]
        information[row, :6, :6] = whitened.T @ whitened
    return LinearSystem(transition, noise, information)


def deterministic_bounds(system: LinearSystem, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of a system without process noise.

    Args:
        system: Its noise is ignored.
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


def posterior_bounds(system: LinearSystem, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the covariances of Kalman filter and smoother.

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


def _without_noise(system: LinearSystem) -> LinearSystem:
    """Return the system of position, velocity and a constant drag factor."""
    kept = (slice(None), slice(_DETERMINISTIC_SIZE), slice(_DETERMINISTIC_SIZE))
    transition = system.transition[kept].copy()
    transition[:, DRAG, DRAG] = 1.0
    return LinearSystem(transition, np.zeros_like(transition), system.information[kept])


def _updated(covariance: FloatArray, information: FloatArray) -> FloatArray:
    """Return (P^-1 + I)^-1 = P (1 + I P)^-1, for any I, by the square root of P."""
    root = np.linalg.cholesky(covariance)
    seen = np.eye(len(root)) + root.T @ information @ root
    return np.asarray(root @ np.linalg.solve(seen, root.T))


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Return matrix^-1 right for a covariance of states in units of different size."""
    unit = 1.0 / np.sqrt(np.diagonal(matrix))
    solved: FloatArray = unit[:, None] * np.linalg.solve(unit[:, None] * matrix * unit, unit[:, None] * right)
    return solved


def _sigma_3d(covariance: FloatArray) -> FloatArray:
    sigma: FloatArray = np.sqrt(np.trace(covariance, axis1=1, axis2=2))
    return sigma


_WILD_SIGMAS: Final = 10.0
_MARGINS: Final = (1.0, 0.05)
"""In m and m/s. Observations further from the truth than _WILD_SIGMAS standard deviations plus this margin are ignored;
the margin also covers the propagation of the truth to the time of the velocity.
"""
_LEAST_NOISE: Final = (1e-3, 1e-6)
"""Standard deviations for scenarios without noise, in m and m/s."""


def from_scenario(scenario: ScenarioSettings, settings: OrbitSettings, frames: EarthFrames) -> KnownFixes:
    """Return the fixes of a scenario with their actual white noise.

    Raises:
        ValueError: There is none, or the scenario cannot be generated.
    """
    made = generate(scenario)
    samples = np.concatenate((made.truth.position_ecef_m, made.truth.velocity_ecef_mps), axis=1)
    row_of = {gps_ms: row for row, gps_ms in enumerate(made.truth.gps_ms.tolist())}

    def truth(gps_ms: IntArray) -> FloatArray:
        rows = [row_of.get(ms, -1) for ms in gps_ms.tolist()]
        return np.where(np.array(rows)[:, None] >= 0, samples[rows], np.nan)

    white = (scenario.gps.position_noise_m, scenario.gps.velocity_noise_mps)
    noise = [max(pair) for pair in zip(white, _LEAST_NOISE, strict=True)]
    return _known_fixes(_fixes(made.sense, settings), truth, settings, frames, noise)


def from_recording(path: Path, truth: OrbitTruth, settings: OrbitSettings, frames: EarthFrames) -> KnownFixes:
    """Return the fixes of a sense file for which the truth is known, with the receiver's standard deviations.

    Raises:
        OSError: The file cannot be read.
        ValueError: No fix agrees with the truth.
    """

    def states(gps_ms: IntArray) -> FloatArray:
        true = truth.at(gps_ms)
        return np.concatenate((true.position_ecef_m, true.velocity_ecef_mps), axis=1)

    try:
        return _known_fixes(_fixes(path.read_bytes(), settings), states, settings, frames, None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _fixes(sense: bytes, settings: OrbitSettings) -> list[Fix]:
    """Return the plausible fixes of a sense file's content, in order of time."""
    records = scan(sense, recognise_layout(sense[:RECOGNITION_BYTES])).records
    places = [(seq, "", 0, b"") for seq in range(len(records))]
    packets = list(packet_messages(GpsFix, decode_fixes(records), places))
    limits = settings.screening
    return usable([fix_from(packet, limits) for packet in packets if screen(packet, limits) is None], limits)


def _known_fixes(
    fixes: Sequence[Fix],
    truth: Callable[[IntArray], FloatArray],
    settings: OrbitSettings,
    frames: EarthFrames,
    noise: Sequence[float] | None,
) -> KnownFixes:
    """Return the fixes that agree with the truth; `noise` (position, velocity) replaces the receiver's sigmas."""
    if not fixes:
        raise ValueError("no plausible fix; `pygnc inspect` shows the content of the file")
    positions = observe_positions(fixes, frames, settings.measurement)
    velocities = observe_velocities(fixes, frames, settings.measurement)
    gps_ms = positions.gps_ms
    to_ecef = np.array([frames.ecef_state_from_gcrf(ms) for ms in gps_ms.tolist()])
    gcrf = np.linalg.solve(to_ecef, truth(gps_ms)[:, :, None])[:, :, 0]
    pole = to_ecef[0, 2, :3]
    sigma = np.full((len(fixes), 6), np.inf)
    for number, kind in enumerate((positions, velocities)):
        seen = kind if noise is None else replace(kind, sigma=np.full_like(kind.sigma, noise[number]))
        agrees = _distance(seen, gcrf[seen.fix], pole) <= _WILD_SIGMAS * _length(seen.sigma) + _MARGINS[number]
        sigma[seen.fix[agrees], 3 * number : 3 * number + 3] = seen.sigma[agrees]
    used = np.isfinite(sigma).any(axis=1)
    if not used.any():
        raise ValueError(
            f"none of {len(fixes)} fixes agrees with the truth; check that it is of this satellite and time"
        )
    return KnownFixes(gps_ms[used], gcrf[used], sigma[used])


def _distance(observations: Observations, gcrf: FloatArray, pole: FloatArray) -> FloatArray:
    """Return the distance of each observation from the truth (n, 6) at its fix; NaN where the truth is unknown."""
    position_m, velocity_mps = gcrf[:, :3], gcrf[:, 3:]
    offset_s = observations.offset_s[:, None]
    fall = oblate_earth(position_m, pole)
    then = np.concatenate(
        (position_m + offset_s * velocity_mps + 0.5 * offset_s**2 * fall, velocity_mps + offset_s * fall), axis=1
    )
    return _length(observations.measured - np.einsum("nij,nj->ni", observations.from_gcrf, then))


def _length(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(vectors, axis=1), dtype=np.float64)
