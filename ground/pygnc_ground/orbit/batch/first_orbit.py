"""First orbit of the batch: the candidate with the least median distance from the fixes.

Each candidate follows from one fix with a velocity or from two positions. All are propagated along the whole arc with
two-body gravity and J2, accurate to some kilometres after half a day, and the one with the least median of its
distances from the fixes is chosen (Rousseeuw, J. Am. Stat. Assoc. 79, 1984). Nearly half of the fixes may be outliers.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc_ground.orbit.batch import collocation
from pygnc_ground.orbit.batch.trajectory import Grid
from pygnc_ground.orbit.solution import FloatArray, IntArray

_J2: Final = 1.082_626_2e-3
"""EGM2008."""
_CANDIDATES_MAX: Final = 24
_PAIR_S: Final = 600.0
_PAIR_MAX_S: Final = 1_800.0
"""Best and largest distance in time of two positions that give a velocity by simple iteration."""
_ITERATIONS: Final = 8
_SHOTS: Final = 8
_RADIUS_MIN_M: Final = 0.5 * EARTH_RADIUS_M
"""Below this radius the gravity on an outlying candidate is limited."""


class InertialFixes(NamedTuple):
    """n fixes in order of time, in GCRF.

    Velocities are propagated to the time of the position, NaN if there is none.
    """

    gps_ms: IntArray
    """(n,)."""
    position_m: FloatArray
    """(n, 3)."""
    velocity_mps: FloatArray
    """(n, 3)."""


class FirstOrbit(NamedTuple):
    """An orbit in GCRF, accurate to some kilometres."""

    begin: FloatArray
    """(6,), position and velocity at the start of the grid."""
    nodes: FloatArray
    """(k, s, 6), at its nodes."""


def oblate_earth(position_m: FloatArray, pole: FloatArray) -> FloatArray:
    """Return two-body gravity with J2 in m/s^2, for positions (..., 3) and the unit vector of the Earth's axis."""
    square = np.maximum(np.einsum("...i,...i", position_m, position_m)[..., None], _RADIUS_MIN_M**2)
    height_m = (position_m @ pole)[..., None]
    flattening = 1.5 * _J2 * EARTH_RADIUS_M**2 / square
    radial = position_m * (1.0 + flattening * (1.0 - 5.0 * height_m**2 / square))
    attraction: FloatArray = -GM_EARTH_M3_S2 * square**-1.5 * (radial + 2.0 * flattening * height_m * pole)
    return attraction


def first_orbit(fixes: InertialFixes, grid: Grid, pole: FloatArray) -> FirstOrbit | None:
    """Return the best candidate; None if no fix or pair gives one.

    Args:
        fixes: All fixes of the arc.
        grid: Its segments.
        pole: Unit vector of the Earth's axis, shape (3,).
    """
    gps_ms, states = _candidates(fixes, pole)
    if not len(states):
        return None
    states = _carried(states, 1e-3 * (grid.begin_gps_ms - gps_ms).astype(np.float64), pole)
    begins = states
    segment, fraction = grid.locate(fixes.gps_ms, np.zeros(len(fixes.gps_ms)))
    distances_m = np.empty((len(states), len(segment)))
    nodes = np.empty((len(states), grid.segments, collocation.NODES, 6))
    step_s = np.full(len(states), collocation.SEGMENT_S)
    for number in range(grid.segments):
        motion = _Motion(states, step_s, pole)
        nodes[:, number] = motion.at(collocation.NODE)
        here = segment == number
        places_m = motion.at(fraction[here])[..., :3]
        distances_m[:, here] = np.linalg.norm(places_m - fixes.position_m[here], axis=2)
        states = motion.at(np.ones(1))[:, 0]
    best = np.median(distances_m, axis=1).argmin()
    return FirstOrbit(begins[best], nodes[best])


class _Motion:
    """Motion of m satellites, each from its state (m, 6) over its own step (m,)."""

    def __init__(self, states: FloatArray, step_s: FloatArray, pole: FloatArray) -> None:
        self._states = states
        self._step_s = step_s[:, None, None]
        self._acceleration = np.zeros((len(states), collocation.NODES, 3))
        for _ in range(_ITERATIONS):
            self._acceleration = oblate_earth(self.at(collocation.NODE)[..., :3], pole)

    def at(self, fraction: FloatArray) -> FloatArray:
        """Return the states at fractions (n,) of the step, shape (m, n, 6)."""
        start_m, start_mps = self._states[:, None, :3], self._states[:, None, 3:]
        weights = collocation.weights(fraction)
        position_m = start_m + self._step_s * fraction[:, None] * start_mps
        position_m += self._step_s**2 * (weights.position @ self._acceleration)
        return np.concatenate((position_m, start_mps + self._step_s * (weights.velocity @ self._acceleration)), axis=2)


def _candidates(fixes: InertialFixes, pole: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return times (m,) and states (m, 6) of orbits, evenly from the whole arc."""
    with_velocity = np.flatnonzero(np.isfinite(fixes.velocity_mps[:, 0]))
    own = np.concatenate((fixes.position_m, fixes.velocity_mps), axis=1)
    if len(with_velocity):
        chosen = _evenly(with_velocity)
        return fixes.gps_ms[chosen], own[chosen]
    first = np.arange(len(fixes.gps_ms))
    second = np.searchsorted(fixes.gps_ms, fixes.gps_ms + round(1e3 * _PAIR_S)).clip(max=len(first) - 1)
    apart_s = (fixes.gps_ms[second] - fixes.gps_ms[first]) * 1e-3
    chosen = _evenly(np.flatnonzero((apart_s > 0.0) & (apart_s <= _PAIR_MAX_S)))
    states = own[chosen]
    states[:, 3:] = _velocities(states[:, :3], fixes.position_m[second[chosen]], apart_s[chosen], pole)
    return fixes.gps_ms[chosen], states


def _evenly(rows: IntArray) -> IntArray:
    """Return at most `_CANDIDATES_MAX` of the rows."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _CANDIDATES_MAX)).round().astype(np.int64))]


def _velocities(first_m: FloatArray, second_m: FloatArray, apart_s: FloatArray, pole: FloatArray) -> FloatArray:
    """Return the velocities (m, 3) at the first of two positions by the shooting method."""
    velocity_mps = (second_m - first_m) / apart_s[:, None]
    for _ in range(_SHOTS):
        reached = _Motion(np.concatenate((first_m, velocity_mps), axis=1), apart_s, pole).at(np.ones(1))[:, 0]
        velocity_mps = velocity_mps + (second_m - reached[:, :3]) / apart_s[:, None]
    return velocity_mps


def _carried(states: FloatArray, duration_s: FloatArray, pole: FloatArray) -> FloatArray:
    """Return states (m, 6), each propagated by its own duration (m,), which may be negative."""
    steps = int(np.ceil(np.abs(duration_s).max() / collocation.SEGMENT_S))
    for _ in range(steps):
        states = _Motion(states, duration_s / steps, pole).at(np.ones(1))[:, 0]
    return states
