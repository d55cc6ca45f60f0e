"""Errors of the elements of a catalogue: six quantities with their covariance, and what several objects share.

An object's elements differ from its true orbit by errors in six quantities, all in m: the place along the track, the
semi-major axis, two components each of the eccentricity vector and of the plane. Their covariance grows with the age
of the elements: an error of the semi-major axis moves the satellite along the track by 3 pi times the error per
revolution, and unknown drag changes the semi-major axis. The errors of the first days after a launch are not Gaussian:
each kind has a mixture of scales. All sets may have a wrong time in common, which moves them along the track. An object
may have a twin from the same dispenser.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.mean_elements import MeanElements
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.environment.sgp4 import Sgp4Error, teme_states
from pygnc_ground.orbit.solution import FloatArray, rtn_axes

SIGMA_M: Final = np.array((1_500.0, 40.0, 250.0, 250.0, 300.0, 300.0))
"""Standard deviations at the epoch: along the track, semi-major axis, eccentricity (2), plane (2)."""
_DRAG_M_PER_DAY: Final = 40.0
"""Standard deviation of the unknown decay of the semi-major axis."""


class Scale(NamedTuple):
    """Factors on the standard deviations of track and axis, eccentricity and plane."""

    weight: float
    factors: tuple[float, float, float]

    def of(self, covariance: FloatArray) -> FloatArray:
        """Return the scaled covariance, shape (..., 6, 6)."""
        factors = np.repeat(self.factors, 2)
        scaled: FloatArray = covariance * (factors[:, None] * factors)
        return scaled


_FACTORS: Final = ((0.72, 1.0), (0.22, 3.0), (0.06, 10.0))
SCALES: Final = tuple(
    Scale(along[0] * shape[0] * plane[0], (along[1], shape[1], plane[1]))
    for along in _FACTORS
    for shape in _FACTORS
    for plane in _FACTORS
)
LATE_M: Final = np.append(0.0, np.linspace(-90e3, 90e3, 121))
"""Offsets along the track that all element sets may share, because their times are wrong: up to 12 s."""
LATE_PRIOR: Final = np.append(0.9, 0.1 * 0.05 / math.sqrt(2.0 * math.pi) * np.exp(-0.5 * (LATE_M[1:] / 30e3) ** 2))
"""Prior probabilities of these offsets: 0.9 for none, and a standard deviation of 4 s of the others."""
_TWINS: Final = (
    (0.15, np.array((20e3, 200.0, 200.0, 200.0, 200.0, 200.0))),
    (0.50, np.array((4e3, 60.0, 100.0, 100.0, 100.0, 100.0))),
)
"""Share of objects with a twin from the same dispenser, and standard deviations of their differences."""
TWIN_SHARE: Final = sum(share for share, _ in _TWINS)
TWIN_COVARIANCES: Final = tuple((share, np.diag(sigma_m**2)) for share, sigma_m in _TWINS)
POPULATION_FLOOR_M: Final = np.array((5e3, 50.0, 100.0, 100.0, 100.0, 100.0))
NEIGHBOUR_M: Final = np.array((np.inf, 50e3, 300e3, 300e3, 400e3, 400e3))
"""Largest differences of objects of one launch."""
_S_PER_DAY: Final = 86_400.0
_ALIGNMENTS: Final = 3


def covariance_of(elements: MeanElements, gps_ms: int) -> FloatArray:
    """Return the covariance of the errors of elements at a time, m^2, shape (6, 6)."""
    days = (gps_ms - elements.epoch_gps_ms) / (1e3 * _S_PER_DAY)
    along_per_axis = -3.0 * math.pi * elements.mean_motion_rev_per_day * days
    # Columns: errors at the epoch, and the decay.
    of_errors = np.zeros((6, 7))
    of_errors[:, :6] = np.diag(SIGMA_M)
    of_errors[0, 1] = along_per_axis * SIGMA_M[1]
    of_errors[0, 6] = 0.5 * along_per_axis * days * _DRAG_M_PER_DAY
    of_errors[1, 6] = days * _DRAG_M_PER_DAY
    covariance: FloatArray = of_errors @ of_errors.T
    return covariance


def _differences(states: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the six quantities of states (n, 6) minus those of references (n, 6), and their partials (n, 6, 6).

    The partials are with respect to the state. References are at the same argument of latitude.
    """
    axes = rtn_axes(reference)
    radius_m = np.linalg.norm(reference[:, :3], axis=1)
    speed2 = (reference[:, 3:] ** 2).sum(axis=1)
    axis_m = 1.0 / (2.0 / radius_m - speed2 / GM_EARTH_M3_S2)
    motion = np.sqrt(GM_EARTH_M3_S2 / axis_m**3)
    position, velocity = np.zeros((len(states), 6, 3)), np.zeros((len(states), 6, 3))
    radial, along, normal = axes[:, 0], axes[:, 1], axes[:, 2]
    position[:, 0] = along
    position[:, 1] = 2.0 * ((axis_m / radius_m) ** 2)[:, None] * radial
    velocity[:, 1] = 2.0 * (axis_m**2 / GM_EARTH_M3_S2)[:, None] * reference[:, 3:]
    position[:, 2] = position[:, 1] - radial
    velocity[:, 2] = velocity[:, 1]
    velocity[:, 3] = radial / motion[:, None]
    # A displacement along the track turns the velocity, which is no difference of the shape.
    position[:, 3] = along
    position[:, 4] = normal
    velocity[:, 5] = normal / motion[:, None]
    partials = np.concatenate((position, velocity), axis=2)
    return np.einsum("nij,nj->ni", partials, states - reference), partials


def partials_of(states: FloatArray) -> FloatArray:
    """Return the partials of the six quantities with respect to states (n, 6), shape (n, 6, 6)."""
    return _differences(states, states)[1]


def offsets(
    states: FloatArray, elements: Sequence[MeanElements], gps_ms: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Return the six quantities of states in TEME (n, 6) minus those of n objects at n times, and their partials.

    Each object is moved along its orbit to the state's argument of latitude first. Quantities are NaN, shape (n, 6),
    for objects without an orbit at this time. Partials have shape (n, 6, 6).
    """
    time_ms = np.array(gps_ms, dtype=np.int64)
    reference = np.full((len(elements), 6), np.nan)
    usable = np.ones(len(elements), dtype=bool)
    for alignment in range(_ALIGNMENTS):
        for row in np.flatnonzero(usable).tolist():
            try:
                reference[row] = teme_states(elements[row], [int(time_ms[row])])[0]
            except Sgp4Error:
                usable[row] = False
                reference[row] = np.nan
        if alignment < _ALIGNMENTS - 1:
            axes = rtn_axes(reference)
            ahead, outward = (np.einsum("nj,nj->n", axes[:, axis], states[:, :3]) for axis in (1, 0))
            angle_rad = np.where(usable, np.arctan2(ahead, outward), 0.0)
            rate = np.einsum("ni,ni->n", axes[:, 1], reference[:, 3:]) / np.linalg.norm(reference[:, :3], axis=1)
            time_ms = time_ms + np.rint(1e3 * np.where(usable, angle_rad / rate, 0.0)).astype(np.int64)
    found, partials = _differences(states, reference)
    found[:, 0] += 1e-3 * (time_ms - np.array(gps_ms)) * np.linalg.norm(reference[:, 3:], axis=1)
    return found, partials


def kernel_of(differences: FloatArray) -> FloatArray:
    """Return the covariance (6, 6) of the kernels of a density of objects, from differences (n, 6) to one of them."""
    near = differences[(np.abs(differences) < NEIGHBOUR_M).all(axis=1)]
    covariance = np.diag((100.0 * POPULATION_FLOOR_M) ** 2)
    if len(near) > 12:
        middle = np.median(near, axis=0)
        spread_m = 1.4826 * np.median(np.abs(near - middle), axis=0)
        inside = (np.abs(near - middle) <= 4.0 * spread_m).all(axis=1)
        # A few objects in other orbits do not widen the kernel. The bandwidth is Silverman's.
        covariance = (0.5 / len(near)) ** 0.2 * np.cov(near[inside].T) + np.diag(POPULATION_FLOOR_M**2)
    return covariance
