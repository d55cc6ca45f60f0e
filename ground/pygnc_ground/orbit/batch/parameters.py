"""What the batch solves for besides the state at the start: forces that nobody knows beforehand.

The logarithm of the drag factor and the empirical accelerations along radial, transverse and normal are linear between
nodes every quarter of an hour, a sixth of a revolution. Beforehand each is known like the flight filter's process of
the same name: zero on average, a standard deviation, a correlation time. The density's variation along the orbit is a
second, faster part of the drag factor.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch import collocation, forces
from pygnc_ground.orbit.solution import FloatArray, IntArray

STATE: Final = slice(0, 6)
RADIATION: Final = 6
FIRST_NODE: Final = 7
PER_NODE: Final = 4
"""Columns of all unknowns: position and velocity at the start of the arc, radiation coefficient, then node by node the
logarithm of the drag factor and three empirical accelerations."""

SEGMENTS_PER_INTERVAL: Final = 3
INTERVAL_S: Final = SEGMENTS_PER_INTERVAL * collocation.SEGMENT_S
_RADIATION_SIGMA: Final = 0.3
_LEAST_VARIATION: Final = 1e-3
"""Of the density; keeps the covariance of a drag factor that hardly changes invertible."""


class Factors(NamedTuple):
    """Multiply the standard deviations in the settings."""

    density_variation: float = 1.0
    empirical: float = 1.0


class Prior(NamedTuple):
    """What is known of the unknowns before any fix: nothing of the state."""

    mean: FloatArray
    """(p,)"""
    information: FloatArray
    """(p, p), inverse of the covariance; zero for the state"""
    log_determinant: float
    """Of the information, without the state"""


class Unknowns:
    """Order and meaning of the unknowns of an arc of `segments` segments."""

    def __init__(self, segments: int) -> None:
        self.nodes = -(-segments // SEGMENTS_PER_INTERVAL) + 1
        self.count = FIRST_NODE + PER_NODE * self.nodes
        interval, place = np.divmod(np.arange(segments), SEGMENTS_PER_INTERVAL)
        self.local_columns: IntArray = FIRST_NODE + PER_NODE * interval[:, None] + np.arange(2 * PER_NODE)
        self.local_columns = np.column_stack((self.local_columns, np.full(segments, RADIATION)))
        """(k, 9), the unknowns that act in each segment"""
        self._later = (place[:, None] + collocation.NODE) / SEGMENTS_PER_INTERVAL

    def at_nodes(self, values: FloatArray) -> forces.Parameters:
        """The forces' parameters at all nodes of all segments, in order."""
        local = values[self.local_columns]
        earlier, later = local[:, None, :PER_NODE], local[:, None, PER_NODE : 2 * PER_NODE]
        each = (earlier + self._later[:, :, None] * (later - earlier)).reshape(-1, PER_NODE)
        return forces.Parameters(each[:, 0], each[:, 1:], float(values[RADIATION]))

    def local(self, by_parameter: FloatArray) -> FloatArray:
        """From the derivatives by the forces' parameters (k, s, 3, 5) to those by `local_columns` (k, s, 3, 9)."""
        later = self._later[:, :, None, None]
        process = by_parameter[..., :PER_NODE]
        radiation = by_parameter[..., forces.RADIATION, None]
        return np.concatenate(((1.0 - later) * process, later * process, radiation), axis=3)

    def prior(self, settings: OrbitSettings, factors: Factors) -> Prior:
        """A-priori knowledge with the settings' standard deviations times the factors."""
        noise = settings.process_noise
        fast = _correlation(self.nodes, noise.empirical_time_s)
        drag = noise.drag_log_sigma**2 * _correlation(self.nodes, noise.drag_log_time_s)
        drag += max(noise.density_variation * factors.density_variation, _LEAST_VARIATION) ** 2 * fast
        sigma = factors.empirical * np.array(noise.empirical_sigma_mps2)
        mean = np.zeros(self.count)
        mean[RADIATION] = settings.spacecraft.reflectivity_coefficient
        information = np.zeros((self.count, self.count))
        information[RADIATION, RADIATION] = _RADIATION_SIGMA**-2
        log_determinant = -2.0 * np.log(_RADIATION_SIGMA)
        for process, covariance in enumerate((drag, *(one**2 * fast for one in sigma))):
            columns = slice(FIRST_NODE + process, None, PER_NODE)
            information[columns, columns] = np.linalg.inv(covariance)
            log_determinant -= np.linalg.slogdet(covariance)[1]
        return Prior(mean, information, float(log_determinant))


def _correlation(nodes: int, time_s: float) -> FloatArray:
    """Of a first-order Gauss-Markov process at the nodes, shape (nodes, nodes)."""
    place_s = INTERVAL_S * np.arange(nodes)
    return np.exp(-np.abs(place_s[:, None] - place_s) / time_s)
