"""Cramer-Rao bounds of an orbit from its fixes.

The bounds are linearised about the true orbit, for filters (fixes so far) and smoothers (all fixes), in two kinds:

- deterministic: known dynamics with position, velocity and one drag factor as parameters (van Trees, Detection,
  Estimation and Modulation Theory I, 2.4). No estimator with uncertain forces comes near it over half a day.
- posterior: with the flight's process noise (Tichavsky, Muravchik & Nehorai, IEEE TSP 46, 1998).

Both are the covariances of the Kalman filter and of the Rauch-Tung-Striebel smoother; the deterministic bounds are
those without process noise.

The fixes come from the settings of a scenario, or from a recorded sense file and its truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.kalman import triangular
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, SIZE
from pygnc.formats.gps_packet import SENSE_GPS, decode_gps_packets
from pygnc.formats.sense_scan import recognise_layout, scan
from pygnc.inputs.host_packets import fix_messages
from pygnc.inputs.sense_file import RECOGNITION_BYTES
from pygnc.navigation.screening import fix_from, screen
from pygnc_ground.orbit.batch.first_orbit import oblate_earth
from pygnc_ground.orbit.batch.observations import Observations, observe, usable
from pygnc_ground.orbit.smoother import backward_gain
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.settings import Settings as ScenarioSettings
from pygnc_ground.truth.orbit_truth import OrbitTruth

BOUND_FRAMES: Final = EarthFrames(EarthOrientationTable.none())
"""Frames of bounds: they hardly depend on the Earth's orientation."""
_UNKNOWN_SIGMA: Final = np.array([1e5, 1e5, 1e5, 1e3, 1e3, 1e3, 10.0])
"""Uninformative sigmas of position (m), velocity (m/s) and logarithm of the drag factor before the first fix."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownFixes:
    """n fixes of a known orbit, in order of time."""

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    states_gcrf: FloatArray
    """True position in m and velocity in m/s in GCRF, shape (n, 6)."""
    sigma: FloatArray
    """Standard deviations of position (m) and velocity (m/s) per ITRF axis, shape (n, 6); infinite if not measured."""

    def __len__(self) -> int:
        return len(self.gps_ms)


class LinearSystem(NamedTuple):
    """Linear systems along the truth at n epochs with m states, of which position and velocity come first."""

    transition: FloatArray
    """Transition matrix from each epoch to the next, shape (n - 1, ..., m, m)."""
    sqrt_noise: FloatArray
    """Root of the covariance of the process noise between epochs, shape (n - 1, ..., m, m)."""
    information: FloatArray
    """H' R^-1 H of each epoch's measurement, shape (n, ..., m, m)."""


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Least covariance of position and velocity at n epochs."""

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    covariance: FloatArray
    """Covariance of position (m) and velocity (m/s) in GCRF, shape (n, 6, 6)."""

    @property
    def position_m(self) -> FloatArray:
        """3-D standard deviation of the position, shape (n,)."""
        return np.asarray(np.sqrt(np.trace(self.covariance[:, :3, :3], axis1=1, axis2=2)))

    @property
    def velocity_mps(self) -> FloatArray:
        """3-D standard deviation of the velocity, shape (n,)."""
        return np.asarray(np.sqrt(np.trace(self.covariance[:, 3:, 3:], axis1=1, axis2=2)))


@dataclass(frozen=True, slots=True, eq=False)
class OrbitBounds:
    """Cramer-Rao bounds of an orbit, deterministic and posterior, for filters and smoothers."""

    deterministic_filter: Bound
    deterministic_smoother: Bound
    posterior_filter: Bound
    posterior_smoother: Bound

    @property
    def gps_ms(self) -> IntArray:
        """Times of the n fixes in milliseconds since the GPS epoch, shape (n,)."""
        return self.deterministic_filter.gps_ms


def bound_scenario(scenario: ScenarioSettings, settings: OrbitSettings | None = None) -> OrbitBounds:
    """Return the bounds for the fixes of a scenario with their actual white noise; takes 1 ms per fix.

    Args:
        scenario: Settings of the scenario.
        settings: Settings of the orbit filter, whose forces and process noise the bounds have; by default the defaults.

    Raises:
        ValueError: The scenario has no fix, or cannot be generated.
    """
    chosen = settings or OrbitSettings()
    return orbit_bounds(from_scenario(scenario, chosen, BOUND_FRAMES), chosen, BOUND_FRAMES)


def bound_recording(sense: Path | str, truth: OrbitTruth, settings: OrbitSettings | None = None) -> OrbitBounds:
    """Return the bounds for the fixes of a sense file whose truth is known, with the receiver's standard deviations.

    Args:
        sense: Sense file.
        truth: True orbit, as `load_truth` returns it.
        settings: Settings of the orbit filter, whose forces and process noise the bounds have; by default the defaults.

    Raises:
        OSError: The file cannot be read.
        ValueError: No fix agrees with the truth.
    """
    chosen = settings or OrbitSettings()
    return orbit_bounds(from_recording(Path(sense), truth, chosen, BOUND_FRAMES), chosen, BOUND_FRAMES)


def orbit_bounds(known_fixes: KnownFixes, settings: OrbitSettings, frames: EarthFrames) -> OrbitBounds:
    """Return the bounds at the times of at least one fix.

    Cost: 0.5 ms per fix or, in gaps, per step of the flight's dynamics.
    """
    system = linearise(known_fixes, settings, frames)
    start = np.diag(np.concatenate((_UNKNOWN_SIGMA[:DRAG], steady_sigma(settings.process_noise))) ** 2)
    # The deterministic bounds are those of position, velocity and a constant drag factor; nothing else acts on them.
    certain, start_certain = system.transition.copy(), start.copy()
    certain[:, :, DRAG + 1 :], certain[:, DRAG:, DRAG:] = 0.0, np.eye(SIZE - DRAG)
    start_certain[DRAG, DRAG] = _UNKNOWN_SIGMA[DRAG] ** 2
    both = LinearSystem(
        np.stack((certain, system.transition), axis=1),
        np.stack((np.zeros_like(certain), system.sqrt_noise), axis=1),
        system.information[:, None],
    )
    filtered, smoothed = least_covariances(both, np.stack((start_certain, start)))
    found = filtered[:, 0], smoothed[:, 0], filtered[:, 1], smoothed[:, 1]
    return OrbitBounds(*(Bound(known_fixes.gps_ms, covariance[:, :6, :6]) for covariance in found))


def linearise(known_fixes: KnownFixes, settings: OrbitSettings, frames: EarthFrames) -> LinearSystem:
    """Return the flight's dynamics, process noise and measurements along the truth.

    The latency of velocities is neglected, because the measurement model bridges it without loss.
    """
    dynamics = OrbitDynamics(settings, frames)
    count = len(known_fixes)
    transition, sqrt_noise = np.tile(np.eye(SIZE), (count - 1, 1, 1)), np.zeros((count - 1, SIZE, SIZE))
    for row, (begin_ms, end_ms) in enumerate(zip(known_fixes.gps_ms[:-1], known_fixes.gps_ms[1:], strict=True)):
        gps_ms, x = int(begin_ms), np.concatenate((known_fixes.states_gcrf[row], np.zeros(SIZE - DRAG)))
        while gps_ms < end_ms:
            step = dynamics.linear_step(gps_ms, x, int(end_ms), 1.0)
            transition[row] = step.transition @ transition[row]
            sqrt_noise[row] = triangular(np.concatenate((step.transition @ sqrt_noise[row], step.sqrt_noise), axis=1))
            gps_ms, x = step.gps_ms, step.x
    information = np.zeros((count, SIZE, SIZE))
    for row, gps_ms in enumerate(known_fixes.gps_ms.tolist()):
        whitened = frames.ecef_state_from_gcrf(gps_ms) / known_fixes.sigma[row][:, None]
        information[row, :6, :6] = whitened.T @ whitened
    return LinearSystem(transition, sqrt_noise, information)


def least_covariances(system: LinearSystem, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the covariances of Kalman filter and smoother, each of shape (n, ..., m, m).

    `start` is the covariance before the first measurement, shape (..., m, m). The recursions run on roots of
    covariances. Several systems, along the axes before the last two, take hardly more time than one.
    """
    root, one = np.linalg.cholesky(start), np.eye(start.shape[-1])
    filtered = np.empty((len(system.information), *start.shape))
    for row, information in enumerate(system.information):
        if row:
            before = system.transition[row - 1] @ root, system.sqrt_noise[row - 1]
            root = triangular(np.concatenate(before, axis=-1))
        # (P^-1 + I)^-1 = L (1 + L' I L)^-1 L', for any information I and the root L of P.
        seen = np.linalg.cholesky(one + root.swapaxes(-1, -2) @ information @ root)
        filtered[row] = root = np.linalg.solve(seen, root.swapaxes(-1, -2)).swapaxes(-1, -2)
    gain, rest = backward_gain(filtered[:-1], system.transition, system.sqrt_noise)
    roots = filtered, np.append(rest, filtered[-1:], axis=0)
    filtered, smoothed = (each @ each.swapaxes(-1, -2) for each in roots)
    for row in range(len(gain) - 1, -1, -1):
        smoothed[row] += gain[row] @ smoothed[row + 1] @ gain[row].swapaxes(-1, -2)
    return filtered, smoothed


_WILD_SIGMAS: Final = 10.0
_MARGINS: Final = (1.0, 0.05)
"""Margins in m and m/s. Observations farther from the truth than _WILD_SIGMAS standard deviations plus the margin are
ignored; the margin also covers the propagation of the truth to the time of the velocity.
"""


def from_scenario(scenario: ScenarioSettings, settings: OrbitSettings, frames: EarthFrames) -> KnownFixes:
    """Return the fixes of a scenario with their actual white noise, at least 1 mm and 1 um/s per axis.

    Raises:
        ValueError: The scenario has no fix, or cannot be generated.
    """
    made = generate(scenario)
    row_of = {gps_ms: row for row, gps_ms in enumerate(made.truth.gps_ms.tolist())}

    def truth(gps_ms: IntArray) -> FloatArray:
        samples = np.concatenate((made.truth.position_ecef_m, made.truth.velocity_ecef_mps), axis=1)
        rows = np.array([row_of.get(ms, -1) for ms in gps_ms.tolist()])
        return np.where(rows[:, None] >= 0, samples[rows], np.nan)

    noise = (max(scenario.gps.position_noise_m, 1e-3), max(scenario.gps.velocity_noise_mps, 1e-6))
    return _known_fixes(_fixes(made.sense, settings), truth, settings, frames, noise)


def from_recording(path: Path, truth: OrbitTruth, settings: OrbitSettings, frames: EarthFrames) -> KnownFixes:
    """Return the fixes of a sense file for which the truth is known, with the receiver's standard deviations.

    Raises:
        OSError: The file cannot be read.
        ValueError: No fix agrees with the truth.
    """
    try:
        fixes = _fixes(path.read_bytes(), settings)
        return _known_fixes(fixes, lambda gps_ms: np.concatenate(truth.at(gps_ms), axis=1), settings, frames, None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _fixes(sense: bytes, settings: OrbitSettings) -> list[Fix]:
    """Return the plausible fixes of a sense file's content, in order of time."""
    records = scan(sense, recognise_layout(sense[:RECOGNITION_BYTES])).records
    places = [(seq, "", 0, b"") for seq in range(len(records))]
    packets = list(fix_messages(decode_gps_packets(records["gps"]), places, SENSE_GPS))
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
    kinds = observe(fixes, frames, settings.measurement)
    gps_ms = kinds[0].gps_ms
    to_ecef = np.array([frames.ecef_state_from_gcrf(ms) for ms in gps_ms.tolist()])
    gcrf = np.linalg.solve(to_ecef, truth(gps_ms)[:, :, None])[:, :, 0]
    pole = to_ecef[0, 2, :3]
    sigma = np.full((len(fixes), 6), np.inf)
    for number, seen in enumerate(kinds):
        noise_sigma = seen.sigma if noise is None else np.full_like(seen.sigma, noise[number])
        distance = np.linalg.norm(seen.measured - _expected(seen, gcrf[seen.fix], pole), axis=1)
        agrees = distance <= _WILD_SIGMAS * np.linalg.norm(noise_sigma, axis=1) + _MARGINS[number]
        sigma[seen.fix[agrees], 3 * number : 3 * number + 3] = noise_sigma[agrees]
    used = np.isfinite(sigma).any(axis=1)
    if not used.any():
        raise ValueError(
            f"none of {len(fixes)} fixes agrees with the truth; check that it is of this satellite and time"
        )
    return KnownFixes(gps_ms[used], gcrf[used], sigma[used])


def _expected(observations: Observations, gcrf: FloatArray, pole: FloatArray) -> FloatArray:
    """Return the observations without noise, from true states (n, 6) at the fixes; NaN where the truth is unknown."""
    position_m, velocity_mps = gcrf[:, :3], gcrf[:, 3:]
    offset_s = observations.offset_s[:, None]
    fall = oblate_earth(position_m, pole)
    then = np.concatenate(
        (position_m + offset_s * velocity_mps + 0.5 * offset_s**2 * fall, velocity_mps + offset_s * fall), axis=1
    )
    return np.asarray(np.einsum("nij,nj->ni", observations.from_gcrf, then))
