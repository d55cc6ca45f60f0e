"""How near partners will come within a day, and how well that is known.

All hypotheses on all partners are carried forwards together, around our own orbit. Their uncertainty grows as small
deviations from that orbit do, and with what the drag factors do from now on: the difference of two of them is known as
well as it has been estimated, and wanders. An error of place along the line of sight is all that matters to a distance:
a partner is farther away than its distance less three standard deviations of that, whatever the other errors are.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.filter import JointGroup
from pygnc.estimators.formation.hypothesis_bank import covariance_root
from pygnc.estimators.formation.process_noise import DragProcess, drag_process
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.relative_motion import joint_step, orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import JointState
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG

DAY_S: Final = 86_400
SIGMAS: Final = 3.0
_STEP_S: Final = 60
_STEP_MS: Final = 1000 * _STEP_S
_DEGREE: Final = 20
"""Of gravity. More moves our own orbit by 60 m in a day, and the relative one by 1e-4 of the distance."""
_STEPS_PER_SLICE: Final = 10
_DRAG_MODES: Final = 2
"""They hold nine tenths of the variance of a random walk, and more of its effect on a place."""
_CHUNK: Final = 512
"""Looked at together: each takes a kilobyte."""
_COINCIDENT_M: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Approach:
    """How near a partner will come by one hypothesis.

    Attributes:
        partner: Radio id.
        hypothesis: Its number, the best one first.
        chi_square: Its cost.
        gps_ms: Moment of the closest approach, in GPS milliseconds.
        distance_m: Distance then.
        sigma_m: Standard deviation of the distance then. Errors across the line of sight count as far as they make
            distances longer, which `least_m` leaves out.
        least_m: Least value, at any moment, of the distance less three standard deviations; 0 when contact cannot be
            excluded.
        least_gps_ms: When that value is first reached.
    """

    partner: int
    hypothesis: int
    chi_square: float
    gps_ms: int
    distance_m: float
    sigma_m: float
    least_m: float
    least_gps_ms: int


class _Track(NamedTuple):
    """A relative orbit at n nodes: place in the first column, root of its covariance in the others.

    Attributes:
        values: Shape (n, 3, c).
        rates: Their rates, same shape.
    """

    values: Array
    rates: Array

    def at(self, seconds: Array) -> Array:
        """Place and root at moments (k,) after the first node, (k, 3, c)."""
        places = seconds / _STEP_S
        before = np.clip(places.astype(np.int64), 0, len(self.values) - 2)
        t = (places - before)[:, None, None]
        first, last = self.values[before], self.values[before + 1]
        rise = last - first
        bend = (1.0 - t) * (_STEP_S * self.rates[before] - rise) - t * (_STEP_S * self.rates[before + 1] - rise)
        between: Array = first + t * (rise + (1.0 - t) * bend)
        return between


def approaches(
    groups: Sequence[JointGroup],
    settings: FormationSettings,
    orbit: OrbitSettings,
    frames: EarthFrames,
    duration_s: int = DAY_S,
) -> Generator[None, None, tuple[Approach, ...]]:
    """Closest approaches of all partners by all hypotheses, from the moment of the states on.

    Yields after every few steps of work, some 3 ms on a desktop core; the generator's value is the result. A day of
    four satellites costs about half a second there.

    Args:
        groups: As `FormationFilter.groups` has them.
        settings: How drag factors differ and wander.
        orbit: Forces.
        frames: Earth orientation.
        duration_s: How far ahead, at least a minute.
    """
    found: list[Approach] = []
    if not groups:
        return ()
    paths = yield from _propagate(
        groups, replace(orbit, gravity_degree=_DEGREE), frames, drag_process(settings, orbit), duration_s
    )
    begin_ms, row = groups[0].hypotheses[0].gps_ms, 0
    for group in groups:
        for number, joint in enumerate(group.hypotheses):
            for place, partner in enumerate(group.satellites[1:], start=1):
                track = paths.track(row, row + place, _relative_root(joint, place))
                found.append(_approach(track, partner, number, group.chi_squares[number], begin_ms))
                yield
            row += len(group.satellites)
    return tuple(sorted(found, key=lambda each: (each.partner, each.hypothesis)))


class _Paths(NamedTuple):
    """Deviations from our own orbit at n nodes.

    Attributes:
        deviations: Of all satellites of all hypotheses, shape (n, k, 6).
        by_start: Derivatives by deviations at the start, shape (n, 6, 7).
        wander: What a wandering drag factor adds, as a root of its covariance, shape (n, 6, modes).
    """

    deviations: Array
    by_start: Array
    wander: Array

    def track(self, own: int, partner: int, root: Array) -> _Track:
        """A partner relative to us, known to the covariance L L' (7, 7) at the start."""
        apart = self.deviations[:, partner] - self.deviations[:, own]
        both = np.concatenate((apart[..., None], self.by_start @ root, math.sqrt(2.0) * self.wander), axis=2)
        return _Track(both[:, :3], both[:, 3:])


def _propagate(
    groups: Sequence[JointGroup], orbit: OrbitSettings, frames: EarthFrames, wander: DragProcess, duration_s: int
) -> Generator[None, None, _Paths]:
    """All satellites over the day, around our own orbit as the first hypothesis has it."""
    dynamics = OrbitDynamics(orbit, frames)
    joints = [joint for group in groups for joint in group.hypotheses]
    states = np.concatenate([np.concatenate((joint.states, joint.log_drag[:, None]), axis=1) for joint in joints])
    steps = max(duration_s // _STEP_S, 1)
    shapes = _drag_modes(wander, steps)
    x, deviations = orbit_vector(states[0]), states - states[0]
    by_start, forced = np.eye(STATE_SIZE), np.zeros((STATE_SIZE, _DRAG_MODES))
    shapes_of_nodes = ((len(states), DRAG), (DRAG, STATE_SIZE), (DRAG, _DRAG_MODES))
    paths = _Paths(*(np.empty((steps + 1, *shape)) for shape in shapes_of_nodes))
    gps_ms = joints[0].gps_ms
    for number in range(steps + 1):
        paths.deviations[number] = deviations[:, :DRAG]
        paths.by_start[number], paths.wander[number] = by_start[:DRAG], forced[:DRAG]
        if number == steps:
            break
        step = joint_step(dynamics, gps_ms, x, deviations, float(_STEP_S))
        forced[DRAG] = shapes[number]
        x, deviations, gps_ms = step.x, step.deviations, gps_ms + _STEP_MS
        by_start, forced = step.transition.dot(by_start), step.transition.dot(forced)
        if number % _STEPS_PER_SLICE == 0:
            yield
    return paths


def _drag_modes(wander: DragProcess, steps: int) -> Array:
    """The largest independent parts of how one satellite's own drag factor changes, at the steps' middles, (n, modes).

    A Gauss-Markov process that starts from zero is exp(-t/T) times a Wiener process of exp(2 t/T) - 1 (Doob, Annals of
    Mathematics 43, 1942), whose Karhunen-Loeve expansion is sines.
    """
    time = (np.arange(steps) + 0.5) * _STEP_S / wander.time_s
    clock, end = np.expm1(2.0 * time), math.expm1(2.0 * steps * _STEP_S / wander.time_s)
    waves = (np.arange(_DRAG_MODES) + 0.5) * math.pi
    shapes: Array = (
        wander.own * np.exp(-time)[:, None] * math.sqrt(2.0 * end) / waves * np.sin(waves * (clock / end)[:, None])
    )
    return shapes


def _relative_root(joint: JointState, place: int) -> Array:
    """Root of the covariance of a satellite's state, drag included, relative to ours, (7, 7)."""
    own, its = slice(0, STATE_SIZE), slice(STATE_SIZE * place, STATE_SIZE * (place + 1))
    mixed = joint.covariance[its, own]
    return covariance_root(joint.covariance[its, its] + joint.covariance[own, own] - mixed - mixed.T)


def _approach(track: _Track, partner: int, hypothesis: int, chi_square: float, begin_ms: int) -> Approach:
    """Search a relative orbit."""
    nearest_s = _minimum_time(track, _distances)
    touching = np.flatnonzero(_lower_bounds(track.values) <= 0.0)
    least_s = float(touching[0] * _STEP_S) if len(touching) else _minimum_time(track, _lower_bounds)
    then = track.at(np.array((nearest_s, least_s)))
    return Approach(
        partner,
        hypothesis,
        chi_square,
        begin_ms + round(1e3 * nearest_s),
        float(_distances(then)[0]),
        _sigma_m(then[0]),
        max(float(_lower_bounds(then)[1]), 0.0),
        begin_ms + round(1e3 * least_s),
    )


def _minimum_time(track: _Track, measure: Callable[[Array], Array]) -> float:
    """When a measure of place and root is least, in s, to a second.

    Every node lower than its neighbours is looked at closely: between two passes, the nodes alone may choose wrongly.
    """
    at_nodes = measure(track.values)
    around = np.concatenate(((math.inf,), at_nodes, (math.inf,)))
    low = np.flatnonzero((at_nodes <= around[:-2]) & (at_nodes <= around[2:]))
    seconds = (low[:, None] * _STEP_S + np.arange(-_STEP_S, _STEP_S + 1.0)).reshape(-1)
    seconds = np.clip(seconds, 0.0, float(_STEP_S * (len(at_nodes) - 1)))
    several = np.array_split(seconds, -(-len(seconds) // _CHUNK))
    return float(seconds[np.argmin(np.concatenate([measure(track.at(some)) for some in several]))])


def _distances(values: Array) -> Array:
    """Lengths of the first columns of (k, 3, c)."""
    distances: Array = np.sqrt(np.einsum("ki,ki->k", values[..., 0], values[..., 0]))
    return distances


def _lower_bounds(values: Array) -> Array:
    """Distances less three standard deviations along the line of sight, (k, 3, c) -> (k,)."""
    distance_m = _distances(values)
    towards = values[..., 0] / np.maximum(distance_m, _COINCIDENT_M)[:, None]
    along = (towards[:, None] @ values[..., 1:])[:, 0]
    surely: Array = distance_m - SIGMAS * np.sqrt(np.einsum("kc,kc->k", along, along))
    return surely


def _sigma_m(values: Array) -> float:
    """Standard deviation of one distance, (3, c), to the second order in errors across the line of sight.

    They make it longer, by half their square over the distance, but never by more than they are long.
    """
    relative_position_m, root = values[:, 0], values[:, 1:]
    distance_m = max(math.sqrt(relative_position_m.dot(relative_position_m)), _COINCIDENT_M)
    along = relative_position_m.dot(root) / distance_m
    across = root - np.outer(relative_position_m / distance_m, along)
    spread = across.dot(across.T)
    longer = (0.5 * float((spread**2).sum()) + 0.25 * float(np.trace(spread)) ** 2) / distance_m**2
    return math.sqrt(along.dot(along) + min(longer, float(np.trace(spread))))
