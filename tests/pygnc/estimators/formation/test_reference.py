"""Paths that solutions share."""

import numpy as np

from pygnc.estimators.formation.approach import DAY_S, continued_path, day_path
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.observations import Arc, RangeObservation
from pygnc.estimators.formation.reference import STATE_SIZE, OrbitPath, PathStart, Reference, epoch_of
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState
from tests.pygnc.estimators.formation.joint_world import FRAMES
from tests.pygnc.estimators.formation.test_relative_motion import DYNAMICS, OWN, SETTINGS, START_MS

NODE_MS = 60_000
BEGIN_MS = START_MS - START_MS % NODE_MS
HALF_HOUR = (BEGIN_MS, BEGIN_MS + 30 * NODE_MS)


def path() -> OrbitPath:
    x = np.zeros(SIZE)
    x[:6] = OWN
    return OrbitPath.of_orbit(OrbitState(START_MS, x, np.eye(SIZE)), epoch_of(HALF_HOUR), DYNAMICS)


def test_a_path_of_the_same_start_gives_the_same_nodes() -> None:
    first = path()
    first.nodes(*HALF_HOUR)
    later = BEGIN_MS + 20 * NODE_MS, BEGIN_MS + 50 * NODE_MS
    for span in (HALF_HOUR, later, (later[0] + 2 * NODE_MS, later[1] + 10 * NODE_MS)):
        again = OrbitPath(PathStart(first.start.gps_ms, first.start.x.copy()), DYNAMICS)
        for one, other in zip(first.nodes(*span), again.nodes(*span), strict=True):
            np.testing.assert_array_equal(one, other)
    assert first.start.gps_ms == later[0] + 2 * NODE_MS  # so that a long flight is not integrated from its beginning


def test_a_shared_path_gives_the_reference_of_a_new_one() -> None:
    shared, span = path(), (BEGIN_MS + 10 * NODE_MS, BEGIN_MS + 50 * NODE_MS)
    Reference(shared, HALF_HOUR)
    continued = Reference(shared, span)
    x = np.zeros(SIZE)
    x[:6] = continued.nodes.state[continued.epoch_node]
    x[6] = continued.log_drag
    made = Reference(OrbitPath(PathStart(continued.epoch_ms, x), DYNAMICS), span)
    times = np.linspace(*span, 23)
    for one, other in zip(continued.at(times), made.at(times), strict=True):
        scale = np.abs(other).max(axis=0)
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-8 * scale.max())


def test_a_path_from_a_checkpoint_continues_the_prediction_of_a_day() -> None:
    own, step_ms = np.append(OWN, 0.0), 180_000
    flown = day_path(None, START_MS, own, SETTINGS, FRAMES)
    start = PathStart(flown.start.gps_ms, flown.start.x.copy())
    flown.nodes(start.gps_ms, start.gps_ms + 30 * step_ms)
    later_ms = start.gps_ms + 10 * step_ms
    state = flown.nodes(later_ms, later_ms).states[0, :STATE_SIZE]
    restored = continued_path(start, SETTINGS, FRAMES)
    for kept in (flown, restored):
        assert day_path(kept, later_ms, state, SETTINGS, FRAMES) is kept
        assert day_path(kept, later_ms + DAY_S * 1000 + step_ms, state, SETTINGS, FRAMES) is not kept
    assert restored.start.gps_ms == flown.start.gps_ms == later_ms
    np.testing.assert_array_equal(restored.start.x, flown.start.x)


def test_a_solver_from_a_checkpoint_continues_the_same_references() -> None:
    flown, restored = (FormationSolver(FormationSettings(), SETTINGS, FRAMES) for _ in range(2))
    start = path().start
    for solver in (flown, restored):
        solver.resume({74: start}, None)
    flown.paths[74].nodes(*HALF_HOUR)
    for begin_min, is_continued in ((20, True), (40, True), (13 * 60, False)):
        first_ms = BEGIN_MS + begin_min * NODE_MS
        ranges = tuple(RangeObservation(gps_ms, 74, 75, 1e3) for gps_ms in (first_ms, first_ms + 20 * NODE_MS))
        one, other = (solver._known_reference(74, Arc({}, {(74, 75): ranges})) for solver in (flown, restored))
        assert (one is not None, other is not None) == (is_continued, is_continued)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.nodes.state, other.nodes.state)
