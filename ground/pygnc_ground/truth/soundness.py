"""Whether samples can be those of an orbit, and what of them is good enough to interpolate."""

from dataclasses import replace

import numpy as np

from pygnc_ground.truth.arc import LAGRANGE_WINDOW, WIDEST_STEP, WIDEST_STEP_OF_POSITIONS, Arc
from pygnc_ground.truth.interpolation import hermite, lagrange
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

_RADIUS_M = (6.3e6, 1e9)
_NS_PER_S = 1e9
_TOLERABLE_M = 5e-3
_MOST_TRIALS = 500


def sound_arcs(arc: Arc) -> list[Arc]:
    """An arc cut where its samples are too far apart to interpolate between them.

    Parts whose positions alone foretell left out ones much better than positions and velocities do (some files err in
    their velocities by centimetres per second) lose their velocities; those of the positions then stand for them.

    Raises:
        ValueError: The samples cannot be those of an orbit, or no part of them can be interpolated for their distance;
            the message says what is wrong.
    """
    radius_m = np.linalg.norm(arc.position_m, axis=1)
    _require_earth_orbit(radius_m)
    step = np.linalg.norm(np.diff(arc.position_m, axis=0), axis=1) / radius_m[1:]
    widest, in_low_orbit_min = (WIDEST_STEP_OF_POSITIONS, 3) if arc.velocity_mps is None else (WIDEST_STEP, 5)
    cuts = np.flatnonzero(step > widest) + 1
    parts = [_part(arc, rows) for rows in np.split(np.arange(len(arc.gps_ns)), cuts)]
    if cuts.size and all(len(part.gps_ns) < part.window for part in parts):
        step_s = float(np.median(np.diff(arc.gps_ns))) / _NS_PER_S
        raise ValueError(
            f"the samples are {step_s:.0f} s apart, too far for this orbit to know what lies between them: get the"
            f" ephemeris with a smaller step, of at most {in_low_orbit_min} min in a low orbit"
        )
    for part in parts:
        _require_own_velocities(part)
    return [_with_fitting_velocities(part) for part in parts if part.usable_ns[0] <= part.usable_ns[1]]


def _part(arc: Arc, rows: IntArray) -> Arc:
    time_ns = arc.gps_ns[rows]
    return replace(
        arc,
        gps_ns=time_ns,
        position_m=arc.position_m[rows],
        velocity_mps=None if arc.velocity_mps is None else arc.velocity_mps[rows],
        usable_ns=(max(arc.usable_ns[0], int(time_ns[0])), min(arc.usable_ns[1], int(time_ns[-1]))),
    )


def _require_earth_orbit(radius_m: FloatArray) -> None:
    """Refuse wrong units, which would make a truth that looks like one."""
    least_m, most_m = float(radius_m.min()), float(radius_m.max())
    if least_m < _RADIUS_M[0] or most_m > _RADIUS_M[1]:
        raise ValueError(
            f"positions lie {least_m:.6g} to {most_m:.6g} m from the Earth's centre: no orbit around the Earth; check"
            " the unit (km in SP3 and OEM, m in tables) and the missing values"
        )


def _require_own_velocities(arc: Arc) -> None:
    """Refuse velocities that do not lead from one position to the next."""
    if arc.velocity_mps is None or len(arc.gps_ns) < 2:
        return
    step_s = np.diff(arc.gps_ns)[:, np.newaxis] / _NS_PER_S
    by_position_mps = np.diff(arc.position_m, axis=0) / step_s
    by_velocity_mps = 0.5 * (arc.velocity_mps[1:] + arc.velocity_mps[:-1])
    # The trapezium rule errs by a twelfth of the step squared, 1.3 % at most. A geostationary satellite hardly moves in
    # ITRF, so it is judged as if it flew at 1 km/s.
    speed_mps = np.maximum(np.linalg.norm(by_position_mps, axis=1), 1000.0)
    error = float(np.median(np.linalg.norm(by_velocity_mps - by_position_mps, axis=1) / speed_mps))
    if error > 0.03:
        raise ValueError(
            f"velocities and positions disagree by {error:.0%}: check the velocities' unit (dm/s in SP3, km/s in OEM)"
            " and frame (relative to the rotating Earth in Earth-fixed frames)"
        )


def _with_fitting_velocities(arc: Arc) -> Arc:
    if arc.velocity_mps is None or len(arc.gps_ns) < 4 * LAGRANGE_WINDOW:
        return arc
    # Two of three samples are left out: halfway between two others, a common error of their velocities would not show.
    kept, rows = slice(None, None, 3), np.arange(2 * LAGRANGE_WINDOW, len(arc.gps_ns) - 2 * LAGRANGE_WINDOW + 1)
    left_out = rows[rows % 3 > 0]
    left_out = left_out[:: -(-len(left_out) // _MOST_TRIALS)]
    state = np.concatenate((arc.position_m, arc.velocity_mps), axis=1)
    guesses = (
        hermite(arc.gps_ns[kept], state[kept], arc.window, arc.gps_ns[left_out]),
        lagrange(arc.gps_ns[kept], arc.position_m[kept], LAGRANGE_WINDOW, arc.gps_ns[left_out]),
    )
    by_both_m, by_positions_m = (
        float(np.median(np.linalg.norm(guess[:, :3] - arc.position_m[left_out], axis=1))) for guess in guesses
    )
    if by_both_m < _TOLERABLE_M or by_both_m < 2.0 * by_positions_m:
        return arc
    return replace(arc, velocity_mps=None, window=LAGRANGE_WINDOW)
