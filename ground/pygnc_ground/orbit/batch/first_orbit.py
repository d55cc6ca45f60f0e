"""First orbit of the batch: the candidate with the least median distance from the fixes.

Each candidate follows from one fix with a velocity or from two positions. All are propagated along the whole arc with
two-body gravity and J2, accurate to some kilometres after half a day, and the one with the least median of its
distances from the fixes is chosen (Rousseeuw, J. Am. Stat. Assoc. 79, 1984). Nearly half of the fixes may be outliers.
"""

from typing import Final

import numpy as np

from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.orbit.j2_propagator import J2
from pygnc_ground.orbit.batch.collocation import NODE, NODES, SEGMENT_S, integrate
from pygnc_ground.orbit.batch.trajectory import Grid
from pygnc_ground.orbit.solution import FloatArray, IntArray

_CANDIDATES_MAX: Final = 24
_PAIR_S: Final = 600.0
_PAIR_MAX_S: Final = 1_800.0
"""Best and largest distance in time of two positions that give a velocity by simple iteration."""
_ITERATIONS: Final = 8
_SHOTS: Final = 8
_RADIUS_MIN_M: Final = 0.5 * EARTH_RADIUS_M
"""Radius below which gravity does not increase, for candidates made of outliers."""


def oblate_earth(position_m: FloatArray, pole: FloatArray) -> FloatArray:
    """Return two-body gravity with J2 in m/s2, shape (..., 3), for positions in m and the unit vector of the pole."""
    square = np.maximum(np.einsum("...i,...i", position_m, position_m)[..., None], _RADIUS_MIN_M**2)
    height_m = (position_m @ pole)[..., None]
    flattening = 1.5 * J2 * EARTH_RADIUS_M**2 / square
    radial = position_m * (1.0 + flattening * (1.0 - 5.0 * height_m**2 / square))
    attraction: FloatArray = -GM_EARTH_M3_S2 * square**-1.5 * (radial + 2.0 * flattening * height_m * pole)
    return attraction


def first_orbit(
    gps_ms: IntArray, position_m: FloatArray, velocity_mps: FloatArray, grid: Grid, pole: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return the best of the orbits through single fixes and pairs of fixes; None if there is no such orbit.

    Args:
        gps_ms: Times of the n fixes of the arc, in ascending order, shape (n,).
        position_m: Positions in GCRF, shape (n, 3).
        velocity_mps: Velocities in GCRF at the times of the positions, NaN where unknown, shape (n, 3).
        grid: Segments of the arc.
        pole: Unit vector of the Earth's axis, shape (3,).

    Returns:
        Position and velocity in GCRF at the start of the grid, shape (6,), and at its nodes, shape (k, s, 6).
    """
    times, states = _candidates(gps_ms, position_m, velocity_mps, pole)
    if not len(states):
        return None
    # Propagate each candidate to the start of the grid, in steps of equal number and own length.
    duration_s = 1e-3 * (grid.begin_gps_ms - times).astype(np.float64)
    steps = int(np.ceil(np.abs(duration_s).max() / SEGMENT_S))
    for _ in range(steps):
        states = _end(states, duration_s / steps, pole)
    initial_states = states
    segment, fraction = grid.locate(gps_ms, np.zeros(len(gps_ms)))
    distances_m = np.empty((len(states), len(segment)))
    nodes = np.empty((len(states), grid.segments, NODES, 6))
    for number in range(grid.segments):
        acceleration = _accelerations(states, SEGMENT_S, pole)
        nodes[:, number] = integrate(states, acceleration, NODE)
        here = segment == number
        places_m = integrate(states, acceleration, fraction[here])[..., :3]
        distances_m[:, here] = np.linalg.norm(places_m - position_m[here], axis=2)
        states = integrate(states, acceleration, np.ones(1))[:, 0]
    best = np.median(distances_m, axis=1).argmin()
    return initial_states[best], nodes[best]


def _accelerations(states: FloatArray, step_s: FloatArray | float, pole: FloatArray) -> FloatArray:
    """Return the accelerations in m/s2 at the nodes of a step, shape (m, s, 3), by fixed-point iteration."""
    acceleration = np.zeros((len(states), NODES, 3))
    for _ in range(_ITERATIONS):
        acceleration = oblate_earth(integrate(states, acceleration, NODE, step_s)[..., :3], pole)
    return acceleration


def _end(states: FloatArray, duration_s: FloatArray, pole: FloatArray) -> FloatArray:
    """Return states (m, 6), each propagated by its own duration (m,), which may be negative."""
    step_s = duration_s[:, None, None]
    return integrate(states, _accelerations(states, step_s, pole), np.ones(1), step_s)[:, 0]


def _candidates(
    gps_ms: IntArray, position_m: FloatArray, velocity_mps: FloatArray, pole: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return times (m,) and states (m, 6) of orbits, evenly from the whole arc."""
    with_velocity = np.flatnonzero(np.isfinite(velocity_mps[:, 0]))
    own = np.concatenate((position_m, velocity_mps), axis=1)
    if len(with_velocity):
        chosen = _evenly(with_velocity)
        return gps_ms[chosen], own[chosen]
    first = np.arange(len(gps_ms))
    second = np.searchsorted(gps_ms, gps_ms + round(1e3 * _PAIR_S)).clip(max=len(first) - 1)
    apart_s = (gps_ms[second] - gps_ms[first]) * 1e-3
    chosen = _evenly(np.flatnonzero((apart_s > 0.0) & (apart_s <= _PAIR_MAX_S)))
    states, target_m, duration_s = own[chosen], position_m[second[chosen]], apart_s[chosen]
    # Velocity at the first of two positions by the shooting method.
    states[:, 3:] = (target_m - states[:, :3]) / duration_s[:, None]
    for _ in range(_SHOTS):
        states[:, 3:] += (target_m - _end(states, duration_s, pole)[:, :3]) / duration_s[:, None]
    return gps_ms[chosen], states


def _evenly(rows: IntArray) -> IntArray:
    """Return at most `_CANDIDATES_MAX` of the rows."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _CANDIDATES_MAX)).round().astype(np.int64))]
