"""Closest approaches of the partners within a day, and their uncertainty.

All hypotheses on all partners are propagated together, as deviations from an orbit near ours, which is integrated once
and continued from call to call as long as it remains near (`day_path`). The transition matrix propagates the covariance
of a relative state. The difference of two drag factors adds its initial error and its future random variation, the
latter in Karhunen-Loeve modes. To first order, only the error along the line of sight changes a distance; errors
perpendicular to it make distances longer. Hence the partner is farther away than

    distance - 3 sqrt(e' P e)

with the unit vector e along the line of sight and the covariance P of the relative position.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.hypothesis_bank import FilterHypothesis
from pygnc.estimators.formation.reference import COINCIDENT_M, STATE_SIZE, OrbitPath, PathNodes, PathStart
from pygnc.estimators.formation.relative_coordinates import relative_covariance
from pygnc.estimators.formation.relative_motion import VelocityKick, add_drag, cubic_hermite, joint_step, orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.kalman import covariance_root
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, POSITION, VELOCITY

DAY_S: Final = 86_400
SIGMAS: Final = 3.0
STEP_S: Final = 180
"""Interval of the nodes of a track in s."""
_COARSE_S: Final = 20.0
_NEAR_M: Final = 100.0
"""Largest deviation on each axis, in m, of our orbit from the path that continues."""
_NEAR_LOG_DRAG: Final = 2.5
"""Largest deviation of our log drag factor from that of the path; distances change by up to 0.05 m and 0.05 sigmas."""


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


class RelativeTrack(NamedTuple):
    """Predicted relative orbit of a partner in one hypothesis, at n nodes `STEP_S` seconds apart.

    Attributes:
        partner: Radio id of the partner.
        number: Index of the hypothesis in the solution.
        chi_square: Chi-square of the hypothesis.
        begin_ms: GPS milliseconds of the first node.
        within_s: Begin and end of the prediction in s after the first node.
        values: Position in the first column, square root of its covariance in the others, GCRF, m, shape (n, 3, c).
        rates: Time derivatives of `values`, m/s, shape (n, 3, c).
    """

    partner: int
    number: int
    chi_square: float
    begin_ms: int
    within_s: tuple[float, float]
    values: Array
    rates: Array

    def at(self, seconds: Array) -> Array:
        """Return `values` at times (k,) in s after the first node, (k, 3, c), by cubic Hermite interpolation."""
        return cubic_hermite(self.values, self.rates, seconds / STEP_S, STEP_S)


def day_path(path: OrbitPath | None, gps_ms: int, own: Array, orbit: OrbitSettings, frames: EarthFrames) -> OrbitPath:
    """Return the path from which deviations are propagated, with a node at or before `gps_ms`.

    Args:
        path: Path of the last call, which is kept if our orbit is near it; None if there is none.
        gps_ms: GPS milliseconds of our state.
        own: Our position, velocity and log drag factor, (7,).
        orbit: Force model, reduced to gravity degree 20.
        frames: Earth orientation.
    """
    dynamics, begin_ms = _dynamics(orbit, frames), _node_before(gps_ms)
    x, _, _ = dynamics.step(gps_ms, orbit_vector(own), (begin_ms - gps_ms) * 1e-3)
    # Only the start is in a checkpoint, so the nodes that the path has so far must not decide.
    if path is not None and 0 <= begin_ms - path.start.gps_ms <= 1000 * DAY_S:
        change = x - path.nodes(begin_ms, begin_ms).states[0]
        if np.abs(change[:3]).max() <= _NEAR_M and abs(change[DRAG]) <= _NEAR_LOG_DRAG:
            return path
    return continued_path(PathStart(begin_ms, x), orbit, frames)


def continued_path(start: PathStart, orbit: OrbitSettings, frames: EarthFrames) -> OrbitPath:
    """Return the path of `day_path` that has this start."""
    return OrbitPath(start, _dynamics(orbit, frames), node_ms=1000 * STEP_S, step_ms=1000 * STEP_S)


def _dynamics(orbit: OrbitSettings, frames: EarthFrames) -> OrbitDynamics:
    # Degree 20 suffices: higher degrees change our orbit by 60 m in a day, but distances by a relative 1e-4.
    return OrbitDynamics(replace(orbit, gravity_degree=20), frames)


def _node_before(gps_ms: int) -> int:
    return gps_ms - gps_ms % (1000 * STEP_S)


def approaches(tracks: Iterable[RelativeTrack]) -> tuple[Approach, ...]:
    """Return the closest approach on each track, ordered by partner, then by hypothesis, the best first."""
    return tuple(sorted(map(_approach, tracks), key=lambda each: each.partner))


def relative_tracks(
    gps_ms: int,
    groups: Sequence[tuple[tuple[int, ...], Sequence[FilterHypothesis]]],
    settings: FormationSettings,
    orbit: OrbitSettings,
    frames: EarthFrames,
    *,
    duration_s: int = DAY_S,
    path: OrbitPath | None = None,
) -> Iterator[RelativeTrack]:
    """Yield the orbit of each partner in each hypothesis, relative to ours, within `duration_s` after `gps_ms`.

    Hypotheses have their order in `groups`. A day of four satellites takes 0.15 s on a desktop core, with a `path` of
    the last call a third of it.

    Args:
        gps_ms: GPS milliseconds of the states.
        groups: For each group of partners, the radio ids, our own first, and the hypotheses, the best first.
        settings: Settings of the formation estimator; only `differential_log_drag_sigma` is used.
        orbit: Force model, reduced to gravity degree 20, and correlation time of the drag factor.
        frames: Earth orientation.
        duration_s: Duration of the prediction in s, rounded down to a multiple of 180 s, but at least 180 s.
        path: Orbit near ours (`day_path`); it is extended. None to integrate a new one.
    """
    if not groups:
        return
    states = np.concatenate([hypothesis.states for _, hypotheses in groups for hypothesis in hypotheses])
    path = path or day_path(None, gps_ms, states[0], orbit, frames)
    begin_ms, duration_s = _node_before(gps_ms), max(duration_s // STEP_S, 1) * STEP_S
    first_s = (gps_ms - begin_ms) * 1e-3
    within_s, steps = (first_s, first_s + duration_s), math.ceil((first_s + duration_s) / STEP_S)
    modes = _drag_modes(settings.differential_log_drag_sigma, orbit.process_noise.drag_log_time_s, steps)
    # The states are moved back to the node before.
    start = joint_step(_dynamics(orbit, frames), gps_ms, orbit_vector(states[0]), states - states[0], -first_s)
    nodes = path.nodes(begin_ms, begin_ms + 1000 * STEP_S * steps)
    deviations = start.x[:STATE_SIZE] + start.deviations - nodes.states[0, :STATE_SIZE]
    deviations, d_state_d_initial, drag_modes = _propagate(nodes, deviations, start.transition, modes)
    row = 0
    for satellites, hypotheses in groups:
        for hypothesis in hypotheses:
            for satellite, partner in enumerate(satellites[1:], start=1):
                relative = deviations[:, row + satellite] - deviations[:, row]
                root = covariance_root(relative_covariance(hypothesis.covariance, satellite, STATE_SIZE))
                columns = (relative[..., None], d_state_d_initial @ root, math.sqrt(2.0) * drag_modes)
                parts = np.split(np.concatenate(columns, axis=2), 2, axis=1)
                yield RelativeTrack(partner, hypothesis.number, hypothesis.chi_square, begin_ms, within_s, *parts)
            row += len(satellites)


def _propagate(
    path: PathNodes, deviations: Array, d_state_d_initial: Array, modes: Array
) -> tuple[Array, Array, Array]:
    """Propagate deviations (k, 7), ours first, from a path of n nodes, and the effect of drag modes (n - 1, modes).

    `d_state_d_initial` (7, 7) are the derivatives of the deviations with respect to those at an earlier or later time.

    Returns:
        At the nodes: deviations of position and velocity, shape (n, k, 6); their derivatives with respect to initial
        deviations, shape (n, 6, 7); and the root of the covariance that a varying drag factor adds, (n, 6, modes).
    """
    kick = VelocityKick(path.states[:, POSITION])
    deviations, forced = deviations.copy(), np.zeros((STATE_SIZE, modes.shape[1]))
    nodes = [(deviations[:, :DRAG].copy(), d_state_d_initial[:DRAG], forced[:DRAG])]
    half = 0.5 * STEP_S * kick.at(0, deviations)
    for step, (transition, drag_mps2, log_drag) in enumerate(zip(path.steps, path.drag_mps2, modes, strict=True), 1):
        # A change of the log drag factor acts in proportion to the drag, which is ours and not that of the path.
        partials = transition.copy()
        partials[:DRAG, DRAG] *= math.exp(float(deviations[0, DRAG]))
        deviations[:, VELOCITY] += half
        deviations = deviations @ transition.T
        add_drag(deviations, drag_mps2, float(STEP_S))
        half = 0.5 * STEP_S * kick.at(step, deviations)
        deviations[:, VELOCITY] += half
        forced[DRAG] = log_drag
        d_state_d_initial, forced = partials.dot(d_state_d_initial), partials.dot(forced)
        nodes.append((deviations[:, :DRAG].copy(), d_state_d_initial[:DRAG], forced[:DRAG]))
    first, second, third = (np.stack(parts) for parts in zip(*nodes, strict=True))
    return first, second, third


def _drag_modes(sigma: float, correlation_time_s: float, steps: int) -> Array:
    """Return the two largest modes of the random change of a log drag factor, at the middle of each step, (steps, 2).

    A Gauss-Markov process with correlation time T that starts from zero is exp(-t/T) times a Wiener process at the time
    exp(2 t/T) - 1 (Doob, Annals of Mathematics 43, 1942), whose Karhunen-Loeve expansion consists of sines.
    """
    scaled_time = (np.arange(steps) + 0.5) * STEP_S / correlation_time_s
    wiener_time, end = np.expm1(2.0 * scaled_time), math.expm1(2.0 * steps * STEP_S / correlation_time_s)
    # Two modes suffice: they contain nine tenths of the variance of a random walk, and more of its effect on positions.
    frequencies = (np.arange(2) + 0.5) * math.pi
    decay = np.exp(-scaled_time)[:, None]
    sines = np.sin(frequencies * (wiener_time / end)[:, None])
    modes: Array = sigma * decay * math.sqrt(2.0 * end) / frequencies * sines
    return modes


def _approach(track: RelativeTrack) -> Approach:
    nearest_s = _minimum_time(track, distances_m)
    contact = np.flatnonzero(_lower_bounds(track.values) <= 0.0)
    if len(contact):
        bound_s = max(float(contact[0] * STEP_S), track.within_s[0])
    else:
        bound_s = _minimum_time(track, _lower_bounds)
    values = track.at(np.array((nearest_s, bound_s)))
    return Approach(
        track.partner,
        track.chi_square,
        track.begin_ms + round(1e3 * nearest_s),
        float(distances_m(values)[0]),
        distance_sigma_m(values[0]),
        max(float(_lower_bounds(values)[1]), 0.0),
        track.begin_ms + round(1e3 * bound_s),
    )


def _minimum_time(track: RelativeTrack, measure: Callable[[Array], Array]) -> float:
    """Return the time in s after the first node, to whole s, at which `measure` of `RelativeTrack.values` is smallest.

    Searches around the local minima of the nodes, because the pass with the smallest node need not be the closest:
    first in steps of 20 s, then in steps of 1 s around the best of all.
    """
    at_nodes = measure(track.values)
    padded = np.concatenate(((math.inf,), at_nodes, (math.inf,)))
    minima = np.flatnonzero((at_nodes <= padded[:-2]) & (at_nodes <= padded[2:]))
    best_s = minima[:, None] * float(STEP_S)
    for reach_s, step_s in ((float(STEP_S), _COARSE_S), (_COARSE_S, 1.0)):
        seconds = (best_s + np.arange(-reach_s, reach_s + step_s, step_s)).reshape(-1)
        seconds = np.clip(seconds, *track.within_s)
        # Chunks of 512 times limit the memory to half a megabyte.
        chunks = np.array_split(seconds, -(-len(seconds) // 512))
        best_s = seconds[np.argmin(np.concatenate([measure(track.at(chunk)) for chunk in chunks]))]
    return float(best_s)


def distances_m(values: Array) -> Array:
    """Return the distances in m for `RelativeTrack.values` (k, 3, c), shape (k,)."""
    distances: Array = np.sqrt(np.einsum("ki,ki->k", values[..., 0], values[..., 0]))
    return distances


def _lower_bounds(values: Array) -> Array:
    """Return distances minus three sigmas along the line of sight for `RelativeTrack.values` (k, 3, c), (k,)."""
    distance_m = distances_m(values)
    line_of_sight = values[..., 0] / np.maximum(distance_m, COINCIDENT_M)[:, None]
    along = (line_of_sight[:, None] @ values[..., 1:])[:, 0]
    bounds: Array = distance_m - SIGMAS * np.sqrt(np.einsum("kc,kc->k", along, along))
    return bounds


def distance_sigma_m(values: Array) -> float:
    """Return the standard deviation in m of the distance for `RelativeTrack.values` (3, c) at one time.

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
