"""Comparison of the orbit of successive rejected fixes with the old orbit: what may have led from one to the other."""

import math
from dataclasses import replace
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.initialisation import InitialOrbit
from pygnc.estimators.orbit.measurement import Fix, Innovation, linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, VELOCITY, OrbitState
from pygnc.estimators.orbit.time_errors import ROUNDING_SIGMA_S, time_error_s, time_step_s
from pygnc.estimators.orbit.update import OrbitUpdate

_REACHED_SIGMAS: Final = 3.0
"""Number of standard deviations within which a manoeuvre explains a new orbit."""


class NewOrbits:
    """Comparison of new orbits, from successive rejected fixes, with the old orbit.

    The argument `rejected` of two methods is the result of the last of these fixes, whose state is the old orbit;
    `elapsed_s` is its time since the last accepted position.
    """

    def __init__(self, settings: OrbitSettings, dynamics: OrbitDynamics, frames: EarthFrames) -> None:
        self._settings = settings
        self._dynamics = dynamics
        self._frames = frames

    def with_time_error(self, update: OrbitUpdate, state: OrbitState) -> OrbitUpdate:
        """Return the result of a fix that a first orbit rejects, with the whole seconds by which its time is wrong."""
        seconds = abs(update.fix.gps_ms - state.gps_ms) * 1e-3
        if update.position_accepted or seconds > self._settings.start.span_max_s:
            return update
        x, _ = self._dynamics.propagate_vector(state.gps_ms, state.x, update.fix.gps_ms)
        position, _ = linearise_fix(update.fix, x, self._frames, self._settings.measurement)
        variance = np.diagonal(state.covariance)
        drift_m = math.sqrt(variance[POSITION].sum() + seconds**2 * variance[VELOCITY].sum())
        sigma = tuple(np.hypot(position.sigma, drift_m).tolist())
        innovation = Innovation(tuple(position.residual.tolist()), sigma, math.inf)
        return replace(update, time_error_s=time_error_s(update.fix, x, innovation, self._frames))

    def is_reachable(self, initial: InitialOrbit, rejected: OrbitUpdate, elapsed_s: float) -> bool:
        """Return True if a manoeuvre since the last accepted position may have led to a new orbit.

        A change of the velocity displaces the satellite by no more than its product with the time since. An equal
        error of successive positions displaces it at once, without a change of the velocity.
        """
        old = rejected.state
        if old is None or elapsed_s > self._settings.manoeuvre.gap_max_s:
            return True
        new, sigma_m = self._moved_to(initial, rejected.fix)
        displaced_m, changed_mps = ((new - old.x)[part] for part in (POSITION, VELOCITY))
        tolerance_m = _REACHED_SIGMAS * math.hypot(sigma_m, math.sqrt(np.trace(old.covariance[POSITION, POSITION])))
        reach_m = elapsed_s * math.hypot(*changed_mps)
        return math.hypot(*(displaced_m - 0.5 * elapsed_s * changed_mps)) <= reach_m + tolerance_m

    def time_step(self, initial: InitialOrbit, rejected: OrbitUpdate, elapsed_s: float) -> tuple[float, float]:
        """Return the step of the times that explains a new orbit, 0 if none, and its standard deviation, s."""
        old, fix = rejected.state, rejected.fix
        if old is None or elapsed_s > self._settings.manoeuvre.gap_max_s:
            return 0.0, 0.0
        # Amid its fixes, the new orbit is known best.
        amid = initial.fixes[len(initial.fixes) // 2].fix
        new, sigma_m = self._moved_to(initial, amid)
        x, _ = self._dynamics.propagate_vector(fix.gps_ms, old.x, amid.gps_ms)
        sigma_mps = 2.0 * sigma_m / (1e-3 * max(fix.gps_ms - initial.fixes[0].fix.gps_ms, 1))
        if fix.velocity_sigma_mps is not None:
            sigma_mps = initial.velocity_spread * math.hypot(*fix.velocity_sigma_mps)
        tolerance_m, tolerance_mps = (
            _REACHED_SIGMAS * math.hypot(sigma, math.sqrt(np.trace(old.covariance[part, part])))
            for sigma, part in ((sigma_m, POSITION), (sigma_mps, VELOCITY))
        )
        step_s = time_step_s(amid.gps_ms, x, new, (tolerance_m, tolerance_mps), self._frames)
        sigma_s = sigma_m / math.sqrt(initial.agreeing) / math.hypot(*new[VELOCITY])
        return step_s, math.hypot(sigma_s, ROUNDING_SIGMA_S)

    def _moved_to(self, initial: InitialOrbit, fix: Fix) -> tuple[Array, float]:
        """Return the state vector (10,) of a new orbit at a fix, and the noise of its positions in m."""
        new, _ = self._dynamics.propagate_vector(initial.fixes[0].fix.gps_ms, initial.x, fix.gps_ms)
        position, _ = linearise_fix(fix, new, self._frames, self._settings.measurement)
        return new, max(initial.position_spread, 1.0) * math.hypot(*position.sigma)
