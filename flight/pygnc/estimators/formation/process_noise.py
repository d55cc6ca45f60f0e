"""Process noise of the joint state: accelerations common to all satellites, and each satellite's differential part.

An empirical acceleration with standard deviation s and correlation time T acts as white noise of density 2 s^2 T
along radial, transverse and normal. The variation of the air density (transverse) and the gravity field beyond the
degree in use add to it. These act alike on satellites some kilometres apart. Relative motion is disturbed by:

- a tenth of the empirical accelerations: sunlight and drag differ between satellites of one design as their areas do;
- a tenth of the variation of the air density, for the same reason;
- the gradient of the omitted gravity field: degree l changes by the share (l + 2) d / r over a distance d.

Logarithms of drag factors are Gauss-Markov processes, one common to all satellites and one of each.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.process_noise import omitted_gravity_density
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG

_DIFFERENTIAL_SHARE: Final = 0.1
"""Share of the empirical accelerations and of the density variation that differs between satellites."""


class DragProcess(NamedTuple):
    """Gauss-Markov processes of the log drag factors.

    Attributes:
        shared: Standard deviation of the part that all satellites share.
        own: Standard deviation of each satellite's own part.
        time_s: Correlation time.
    """

    shared: float
    own: float
    time_s: float

    def increments(self, step_s: float) -> tuple[float, float]:
        """Return the standard deviations of the process noise of a step, common and own."""
        factor = math.sqrt(-math.expm1(-2.0 * step_s / self.time_s))
        return factor * self.shared, factor * self.own


def drag_process(settings: FormationSettings, orbit: OrbitSettings) -> DragProcess:
    """Return the processes of the settings."""
    own, shared = settings.differential_log_drag_sigma, settings.log_drag_sigma
    return DragProcess(shared, own, orbit.process_noise.drag_log_time_s)


class JointProcessNoise:
    """Process noise of s satellites and b range biases. Biases are constant."""

    def __init__(self, settings: FormationSettings, orbit: OrbitSettings) -> None:
        self._drag = drag_process(settings, orbit)
        self._processes = orbit.process_noise
        self._degree = orbit.force_model.gravity_degree

    def root(self, step_s: float, x: Array, distances_m: Array, directions: Array, size: int) -> Array:
        """Return a square root W of the covariance W W' that a step adds.

        Args:
            step_s: Length of the step, positive.
            x: Orbit state of one of the satellites, (10,).
            distances_m: Distance of each satellite from it, (s,).
            directions: Acceleration per unit of drag and of the empirical accelerations, (3, 4).
            size: Size of the joint state, 7 s + b.

        Returns:
            Shape (7 s + b, 7 s + 7).
        """
        satellites = len(distances_m)
        shared, own = self._accelerations(x, distances_m, directions)
        response = np.array(((math.sqrt(step_s**3 / 12.0), 0.5 * math.sqrt(step_s**3)), (0.0, math.sqrt(step_s))))
        drag_shared, drag_own = self._drag.increments(step_s)
        root = np.zeros((size, STATE_SIZE * (satellites + 1)))
        own_block = root[: STATE_SIZE * satellites, STATE_SIZE:]
        for satellite in range(satellites):
            rows = slice(STATE_SIZE * satellite, STATE_SIZE * satellite + DRAG)
            root[rows, :DRAG] = np.kron(response, shared)
            own_block[rows, rows] = np.kron(response, own[satellite])
            root[rows.stop, DRAG] = drag_shared
            own_block[rows.stop, rows.stop] = drag_own
        return root

    def _accelerations(self, x: Array, distances_m: Array, directions: Array) -> tuple[Array, Array]:
        """Return roots of the acceleration densities: (3, 3) of the common part, (s, 3, 3) of the own parts."""
        noise, drag = self._processes, directions[:, 0]
        sigma = np.array(noise.empirical_sigma_mps2)
        sigma[1] = math.hypot(sigma[1], noise.density_variation * math.sqrt(drag.dot(drag)))
        empirical = 2.0 * noise.empirical_time_s * sigma**2
        radius_m = math.sqrt(x[:3].dot(x[:3]))
        omitted = omitted_gravity_density(self._degree, radius_m)
        relative_change = (self._degree + 3.0) / radius_m * distances_m
        own = np.sqrt(_DIFFERENTIAL_SHARE**2 * empirical + omitted * relative_change[:, None] ** 2)
        axes = directions[:, 1:]
        return axes * np.sqrt(empirical + omitted), axes * own[:, None, :]
