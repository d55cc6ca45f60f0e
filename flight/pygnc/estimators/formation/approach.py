"""Closest approaches of the partners within a day, and their uncertainty.

All hypotheses on all partners are propagated together, as deviations from our own orbit. The transition matrix
propagates the covariance of a relative state. The difference of two drag factors adds its initial error and its future
random variation, the latter in Karhunen-Loeve modes. To first order, only the error along the line of sight changes a
distance; errors perpendicular to it make distances longer. Hence the partner is farther away than

    distance - 3 sqrt(e' P e)

with the unit vector e along the line of sight and the covariance P of the relative position.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.hypothesis_bank import FilterHypothesis
from pygnc.estimators.formation.reference import COINCIDENT_M, STATE_SIZE
from pygnc.estimators.formation.relative_coordinates import relative_covariance
from pygnc.estimators.formation.relative_motion import cubic_hermite, joint_step, orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.kalman import covariance_root
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG

DAY_S: Final = 86_400
SIGMAS: Final = 3.0
_STEP_S: Final = 180


class Approach(NamedTuple):
    """Closest approach of a partner in one hypothesis, in the order of the fields of the message `ClosestApproach`.

    Attributes:
        partner: Radio id of the partner.
        chi_square: Chi-square of the hypothesis.
        gps_ms: GPS milliseconds of the closest approach.
        distance_m: Distance in m at the closest approach.
        sigma_m: Standard deviation of `distance_m`. Includes errors perpendicular to the line of sight, which
            `least_m` leaves out, because they only make distances longer.
        least_m: Minimum over time of the distance minus three standard deviations along the line of sight, in m; 0 if
            contact cannot be excluded.
        least_gps_ms: GPS milliseconds at which `least_m` is first reached.
    """

    partner: int
    chi_square: float
    gps_ms: int
    distance_m: float
    sigma_m: float
    least_m: float
    least_gps_ms: int


class _Track(NamedTuple):
    """Relative orbit at n nodes, `_STEP_S` seconds apart.

    Attributes:
        values: Position in the first column, square root of its covariance in the others, GCRF, m, shape (n, 3, c).
        rates: Time derivatives of `values`, m/s, shape (n, 3, c).
    """

    values: Array
    rates: Array

    def at(self, seconds: Array) -> Array:
        """Return `values` at times (k,) in s after the first node, (k, 3, c), by cubic Hermite interpolation."""
        return cubic_hermite(self.values, self.rates, seconds / _STEP_S, _STEP_S)


def approaches(
    gps_ms: int,
    groups: Sequence[tuple[tuple[int, ...], Sequence[FilterHypothesis]]],
    settings: FormationSettings,
    orbit: OrbitSettings,
    frames: EarthFrames,
    *,
    duration_s: int = DAY_S,
) -> tuple[Approach, ...]:
    """Return the closest approach of each partner in each hypothesis within `duration_s` after `gps_ms`.

    The result is ordered by partner, then by hypothesis, the best first. A day of four satellites takes about a quarter
    of a second on a desktop core.

    Args:
        gps_ms: GPS milliseconds of the states.
        groups: For each group of partners, the radio ids, our own first, and the hypotheses, the best first.
        settings: Settings of the formation estimator; only `differential_log_drag_sigma` is used.
        orbit: Force model, reduced to gravity degree 20, and correlation time of the drag factor.
        frames: Earth orientation.
        duration_s: Duration of the prediction in s, rounded down to a multiple of 180 s, but at least 180 s.
    """
    if not groups:
        return ()
    states = np.concatenate([hypothesis.states for _, hypotheses in groups for hypothesis in hypotheses])
    # Degree 20 suffices: higher degrees change our orbit by 60 m in a day, but distances by a relative 1e-4.
    dynamics, steps = OrbitDynamics(replace(orbit, gravity_degree=20), frames), max(duration_s // _STEP_S, 1)
    modes = _drag_modes(settings.differential_log_drag_sigma, orbit.process_noise.drag_log_time_s, steps)
    deviations, d_state_d_initial, drag_modes = _propagate(dynamics, gps_ms, states, modes)
    results: list[Approach] = []
    row = 0
    for satellites, hypotheses in groups:
        for hypothesis in hypotheses:
            for satellite, partner in enumerate(satellites[1:], start=1):
                relative = deviations[:, row + satellite] - deviations[:, row]
                root = covariance_root(relative_covariance(hypothesis.covariance, satellite, STATE_SIZE))
                columns = (relative[..., None], d_state_d_initial @ root, math.sqrt(2.0) * drag_modes)
                values, rates = np.split(np.concatenate(columns, axis=2), 2, axis=1)
                results.append(_approach(_Track(values, rates), partner, hypothesis.chi_square, gps_ms))
            row += len(satellites)
    return tuple(sorted(results, key=lambda each: each.partner))


def _propagate(dynamics: OrbitDynamics, gps_ms: int, states: Array, modes: Array) -> tuple[Array, Array, Array]:
    """Propagate states (k, 7) as deviations from the first one, and the effect of the drag modes (n - 1, modes).

    Returns:
        At n nodes: deviations of position and velocity of all states, shape (n, k, 6); their derivatives with respect
        to initial deviations, shape (n, 6, 7); and the root of the covariance that a varying drag factor adds, shape
        (n, 6, modes).
    """
    x, deviations = orbit_vector(states[0]), states - states[0]
    d_state_d_initial, forced = np.eye(STATE_SIZE), np.zeros((STATE_SIZE, modes.shape[1]))
    nodes = [(deviations[:, :DRAG], d_state_d_initial[:DRAG], forced[:DRAG])]
    for log_drag in modes:
        step = joint_step(dynamics, gps_ms, x, deviations, float(_STEP_S))
        forced[DRAG] = log_drag
        x, deviations, gps_ms = step.x, step.deviations, gps_ms + 1000 * _STEP_S
        d_state_d_initial, forced = step.transition.dot(d_state_d_initial), step.transition.dot(forced)
        nodes.append((deviations[:, :DRAG], d_state_d_initial[:DRAG], forced[:DRAG]))
    first, second, third = (np.stack(parts) for parts in zip(*nodes, strict=True))
    return first, second, third


def _drag_modes(sigma: float, correlation_time_s: float, steps: int) -> Array:
    """Return the two largest modes of the random change of a log drag factor, at the middle of each step, (steps, 2).

    A Gauss-Markov process with correlation time T that starts from zero is exp(-t/T) times a Wiener process at the time
    exp(2 t/T) - 1 (Doob, Annals of Mathematics 43, 1942), whose Karhunen-Loeve expansion consists of sines.
    """
    scaled_time = (np.arange(steps) + 0.5) * _STEP_S / correlation_time_s
    wiener_time, end = np.expm1(2.0 * scaled_time), math.expm1(2.0 * steps * _STEP_S / correlation_time_s)
    # Two modes suffice: they contain nine tenths of the variance of a random walk, and more of its effect on positions.
    frequencies = (np.arange(2) + 0.5) * math.pi
    decay = np.exp(-scaled_time)[:, None]
    sines = np.sin(frequencies * (wiener_time / end)[:, None])
    modes: Array = sigma * decay * math.sqrt(2.0 * end) / frequencies * sines
    return modes


def _approach(track: _Track, partner: int, chi_square: float, begin_ms: int) -> Approach:
    nearest_s = _minimum_time(track, _distances)
    contact = np.flatnonzero(_lower_bounds(track.values) <= 0.0)
    bound_s = float(contact[0] * _STEP_S) if len(contact) else _minimum_time(track, _lower_bounds)
    values = track.at(np.array((nearest_s, bound_s)))
    return Approach(
        partner,
        chi_square,
        begin_ms + round(1e3 * nearest_s),
        float(_distances(values)[0]),
        _sigma_m(values[0]),
        max(float(_lower_bounds(values)[1]), 0.0),
        begin_ms + round(1e3 * bound_s),
    )


def _minimum_time(track: _Track, measure: Callable[[Array], Array]) -> float:
    """Return the time in whole s after the first node at which `measure` of `_Track.values` is smallest.

    Searches around every local minimum of the nodes, because the pass with the smallest node need not be the closest.
    """
    at_nodes = measure(track.values)
    padded = np.concatenate(((math.inf,), at_nodes, (math.inf,)))
    minima = np.flatnonzero((at_nodes <= padded[:-2]) & (at_nodes <= padded[2:]))
    seconds = (minima[:, None] * _STEP_S + np.arange(-_STEP_S, _STEP_S + 1.0)).reshape(-1)
    seconds = np.clip(seconds, 0.0, float(_STEP_S * (len(at_nodes) - 1)))
    # Chunks of 512 times limit the memory to half a megabyte.
    chunks = np.array_split(seconds, -(-len(seconds) // 512))
    return float(seconds[np.argmin(np.concatenate([measure(track.at(chunk)) for chunk in chunks]))])


def _distances(values: Array) -> Array:
    """Return the distances in m for `_Track.values` (k, 3, c), shape (k,)."""
    distances: Array = np.sqrt(np.einsum("ki,ki->k", values[..., 0], values[..., 0]))
    return distances


def _lower_bounds(values: Array) -> Array:
    """Return distances minus three sigmas along the line of sight for `_Track.values` (k, 3, c), m, shape (k,)."""
    distance_m = _distances(values)
    line_of_sight = values[..., 0] / np.maximum(distance_m, COINCIDENT_M)[:, None]
    along = (line_of_sight[:, None] @ values[..., 1:])[:, 0]
    bounds: Array = distance_m - SIGMAS * np.sqrt(np.einsum("kc,kc->k", along, along))
    return bounds


def _sigma_m(values: Array) -> float:
    """Return the standard deviation in m of the distance for `_Track.values` (3, c) at one time.

    Errors perpendicular to the line of sight make the distance longer by half their square over the distance, but never
    by more than their length.
    """
    relative_position_m, root = values[:, 0], values[:, 1:]
    distance_m = max(math.sqrt(relative_position_m.dot(relative_position_m)), COINCIDENT_M)
    along = relative_position_m.dot(root) / distance_m
    across = root - np.outer(relative_position_m / distance_m, along)
    across_covariance = across.dot(across.T)
    second_order_m2 = (
        0.5 * float((across_covariance**2).sum()) + 0.25 * float(np.trace(across_covariance)) ** 2
    ) / distance_m**2
    return math.sqrt(along.dot(along) + min(second_order_m2, float(np.trace(across_covariance))))
