"""Process noise of a formation: what moves all satellites alike, and each one's own small part of it.

The orbit's noise as white acceleration: an empirical acceleration with standard deviation s and correlation time T has
density 2 s^2 T along radial, transverse and normal, to which come the variation of the air's density along the track
and the gravity field beyond the degree in use. All of this acts on satellites some kilometres apart alike, and does not
move them apart. What does:

- A tenth of the empirical accelerations: sunlight and drag differ between satellites of one make by as much as their
  areas do, and areas seen by air and Sun by a tenth or so, as `differential_log_drag_sigma` has it.
- The same part of the air's variation along the track, for the same reason.
- The omitted gravity field as far as it differs from one place to the other: degree l changes by (l + 2) d / r of
  itself over a distance d.

Logarithms of drag factors are Gauss-Markov processes as in the orbit, one of all and one of each.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.process_noise import omitted_gravity_density
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG

_DIFFERENTIAL_SHARE: Final = 0.1
"""Of the empirical accelerations and of the air's variation."""


class DragProcess(NamedTuple):
    """How logarithms of drag factors wander: standard deviations of all together and of each, correlation time."""

    shared: float
    own: float
    time_s: float

    def grown(self, step_s: float) -> tuple[float, float]:
        """Standard deviations of what comes anew in a step, of all together and of each."""
        part = math.sqrt(-math.expm1(-2.0 * step_s / self.time_s))
        return part * self.shared, part * self.own


def drag_process(settings: FormationSettings, orbit: OrbitSettings) -> DragProcess:
    """By the settings."""
    own, shared = settings.differential_log_drag_sigma, settings.log_drag_sigma
    return DragProcess(shared, own, orbit.process_noise.drag_log_time_s)


class JointProcessNoise:
    """Process noise of s satellites and b biases; biases stay as they are."""

    def __init__(self, settings: FormationSettings, orbit: OrbitSettings) -> None:
        self._drag = drag_process(settings, orbit)
        self._processes = orbit.process_noise
        self._degree = orbit.force_model.gravity_degree

    def root(self, step_s: float, x: Array, apart_m: Array, directions: Array, size: int) -> Array:
        """Square root W of the covariance W W' that a step adds.

        Args:
            step_s: Positive.
            x: One of the satellites, (10,).
            apart_m: How far from it each one is, (s,).
            directions: Acceleration per unit of drag and of the empirical accelerations, (3, 4).
            size: Of the joint state, 7 s + b.

        Returns:
            Shape (7 s + b, 7 s + 7).
        """
        satellites = len(apart_m)
        shared, own = self._accelerations(x, apart_m, directions)
        response = np.array(((math.sqrt(step_s**3 / 12.0), 0.5 * math.sqrt(step_s**3)), (0.0, math.sqrt(step_s))))
        grown_shared, grown_own = self._drag.grown(step_s)
        root = np.zeros((size, STATE_SIZE * (satellites + 1)))
        alone = root[: STATE_SIZE * satellites, STATE_SIZE:]
        for satellite in range(satellites):
            rows = slice(STATE_SIZE * satellite, STATE_SIZE * satellite + DRAG)
            root[rows, :DRAG] = np.kron(response, shared)
            alone[rows, rows] = np.kron(response, own[satellite])
            root[rows.stop, DRAG] = grown_shared
            alone[rows.stop, rows.stop] = grown_own
        return root

    def _accelerations(self, x: Array, apart_m: Array, directions: Array) -> tuple[Array, Array]:
        """Roots of the densities of white accelerations, (3, 3) of all and (s, 3, 3) of each."""
        noise, drag = self._processes, directions[:, 0]
        sigma = np.array(noise.empirical_sigma_mps2)
        sigma[1] = math.hypot(sigma[1], noise.density_variation * math.sqrt(drag.dot(drag)))
        known = 2.0 * noise.empirical_time_s * sigma**2
        radius_m = math.sqrt(x[:3].dot(x[:3]))
        omitted = omitted_gravity_density(self._degree, radius_m)
        differing = (self._degree + 3.0) / radius_m * apart_m
        own = np.sqrt(_DIFFERENTIAL_SHARE**2 * known + omitted * differing[:, None] ** 2)
        axes = directions[:, 1:]
        return axes * np.sqrt(known + omitted), axes * own[:, None, :]
