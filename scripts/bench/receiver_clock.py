"""Compute how well fixes show an error of the receiver's clock: sigmas after an arc, with offset and drift estimated.

    python -m scripts.bench.receiver_clock

A Kalman filter with the dynamics and the process noise of the flight's filter has two more states, offset and drift of
the clock. Its covariance needs no measured values. Positions and velocities have white noise, one fix in 25 s.
"""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import rates_along_track
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, UNKNOWN_SIGMA
from pygnc_ground.campaign.flight import ORIENTATION
from scripts.bench.orbit_world import CADENCE_S, random_world

_OFFSET: Final = SIZE
_DRIFT: Final = SIZE + 1
_POSITION_SIGMA_M: Final = 5.0
_VELOCITY_SIGMA_MPS: Final = 0.05
_OFFSET_SIGMA_S: Final = 0.01
_DRIFTS: Final = {"no drift": 0.0, "drift of 1 ppm": 1e-6}
_SPANS_S: Final = (1_000, 3_600, 10_800, 86_400)


def main() -> int:
    """Print standard deviations of clock and orbit after arcs of different lengths."""
    print("| prior of the clock | arc, h | offset, ms | drift, ppb | along track, m | with the clock known, m |")
    print("|---|---|---|---|---|---|")
    known = sigmas((0.0, 0.0))
    for name, drift in _DRIFTS.items():
        for span_s, (offset_s, drift_now, along_m) in sigmas((_OFFSET_SIGMA_S, drift)).items():
            figures = f"{1e3 * offset_s:.3f} | {1e9 * drift_now:.0f} | {along_m:.1f} | {known[span_s][2]:.2f}"
            print(f"| {1e3 * _OFFSET_SIGMA_S:.0f} ms, {name} | {span_s / 3600:.2g} | {figures} |")
    return 0


def sigmas(clock: tuple[float, float]) -> dict[int, tuple[float, float, float]]:
    """Return sigmas of offset (s), drift and position along the track (m) after each arc, by its length in s."""
    world = random_world(3, 8, 25)
    frames, settings = EarthFrames(ORIENTATION), OrbitSettings()
    dynamics = OrbitDynamics(settings, frames)
    gps_ms = world.settings.start_gps_ms
    truth = world.at(np.array([gps_ms]))
    ecef = np.concatenate((truth.position_ecef_m[0], truth.velocity_ecef_mps[0]))
    x = np.zeros(SIZE)
    x[:6] = np.linalg.solve(frames.ecef_state_from_gcrf(gps_ms), ecef)
    noise = settings.process_noise
    prior = [*UNKNOWN_SIGMA, noise.drag_log_sigma, *noise.empirical_sigma_mps2, *clock]
    covariance = np.diag(np.square(prior))
    sigma = np.repeat((_POSITION_SIGMA_M, _VELOCITY_SIGMA_MPS), 3)
    found = {}
    for number in range(1, max(_SPANS_S) // CADENCE_S + 1):
        to_ms = world.settings.start_gps_ms + 1000 * CADENCE_S * number
        while gps_ms < to_ms:
            before_ms = gps_ms
            gps_ms, x, transition, root = dynamics.linear_step(gps_ms, x, to_ms, 1.0)
            covariance = _propagated(covariance, transition, root, 1e-3 * (gps_ms - before_ms))
        covariance = _updated(covariance, frames.ecef_state_from_gcrf(gps_ms), x, sigma)
        if number * CADENCE_S in _SPANS_S:
            along = x[3:6] / np.linalg.norm(x[3:6])
            along_m = math.sqrt(along @ covariance[:3, :3] @ along)
            found[number * CADENCE_S] = (
                math.sqrt(covariance[_OFFSET, _OFFSET]),
                math.sqrt(covariance[_DRIFT, _DRIFT]),
                along_m,
            )
    return found


def _propagated(covariance: Array, transition: Array, root: Array, step_s: float) -> Array:
    whole, noise = np.eye(SIZE + 2), np.zeros((SIZE + 2, SIZE + 2))
    whole[:SIZE, :SIZE] = transition
    whole[_OFFSET, _DRIFT] = step_s
    noise[:SIZE, :SIZE] = root @ root.T
    propagated: Array = whole @ covariance @ whole.T + noise
    return propagated


def _updated(covariance: Array, ecef_from_gcrf: Array, x: Array, sigma: Array) -> Array:
    partials = np.zeros((6, SIZE + 2))
    partials[:, :6] = ecef_from_gcrf
    partials[:, _OFFSET] = -ecef_from_gcrf @ rates_along_track(x[:6])
    innovation = partials @ covariance @ partials.T + np.diag(sigma**2)
    gain = np.linalg.solve(innovation, partials @ covariance).T
    left = np.eye(SIZE + 2) - gain @ partials
    updated: Array = left @ covariance @ left.T + gain @ np.diag(sigma**2) @ gain.T
    return updated


if __name__ == "__main__":
    raise SystemExit(main())
