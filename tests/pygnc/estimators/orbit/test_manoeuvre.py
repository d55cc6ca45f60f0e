"""Manoeuvres are detected within minutes; noise and outliers are not taken for one."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.orbit.filter import FilterMemory, OrbitFilter
from pygnc.estimators.orbit.manoeuvre import Candidate, Change, confirmed
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import ManoeuvreSettings, OrbitSettings
from pygnc.estimators.orbit.update import OrbitUpdate
from tests.pygnc.environment.authority import ecef_state
from tests.pygnc.estimators.orbit.truth import (
    CADENCE_S,
    ORIENTATION,
    Truth,
    displaced,
    make_fixes,
    propagate,
    run,
    sun_synchronous,
)

NOMINAL = sun_synchronous()
BEFORE = 150
"""Number of the fix just before the manoeuvre."""


def axes_rtn(state: Array) -> Array:
    """Return radial, transverse and normal as columns, shape (3, 3)."""
    radial = state[:3] / np.linalg.norm(state[:3])
    normal = np.cross(state[:3], state[3:])
    normal /= np.linalg.norm(normal)
    return np.stack((radial, np.cross(normal, radial), normal), axis=1)


@cache
def with_pulses(delta_v_rtn_mps: tuple[float, float, float], pulses: int = 1) -> Truth:
    """Return the nominal orbit with equal changes of the velocity at successive fixes from `BEFORE` on."""
    states = list(NOMINAL.gcrf[: BEFORE + 1])
    times = NOMINAL.gps_ms
    forces = {"drag": True, "radiation": True, "tides": True, "relativity": True}
    for pulse in range(pulses):
        start = states[-1].copy()
        start[3:] += axes_rtn(start) @ np.array(delta_v_rtn_mps)
        first = BEFORE + pulse
        last = first + 1 if pulse + 1 < pulses else len(times) - 1
        states += list(propagate(start, times[first : last + 1], **forces)[1:])
    gcrf = np.array(states)
    return Truth(times, gcrf, np.array([ecef_state(ms, state) for ms, state in zip(times, gcrf, strict=True)]))


def changes(updates: list[OrbitUpdate]) -> list[tuple[Change, int]]:
    """Return kind and number of the first fix of the detected changes."""
    found = [update.manoeuvre for update in updates if update.manoeuvre is not None]
    return [(each.change, NOMINAL.gps_ms.index(each.first_gps_ms)) for each in found]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_impulse_is_detected_and_does_not_lead_the_filter_astray(seed: int) -> None:
    """The state follows within 150 s, the report awaits the positions."""
    truth = with_pulses((0.0, 0.05, 0.0))
    _, updates = run(make_fixes(truth, seed=seed))
    ((change, first),) = changes(updates)
    assert change is Change.IMPULSE
    assert first in {BEFORE + 1, BEFORE + 2}
    followed = next(update for update in updates if update.restarted_from_ms is not None)
    assert followed.fix.gps_ms - NOMINAL.gps_ms[BEFORE] <= 150_000
    assert followed.restarted_from_ms == NOMINAL.gps_ms[first]
    update = next(update for update in updates if update.manoeuvre is not None)
    assert followed.fix.gps_ms < update.fix.gps_ms <= NOMINAL.gps_ms[BEFORE] + 600_000
    assert update.manoeuvre is not None
    away = np.array(update.manoeuvre.delta_v_rtn_mps) - (0.0, 0.05, 0.0)
    assert (np.abs(away) < 3.0 * np.array(update.manoeuvre.sigma_rtn_mps)).all()
    for each in updates[BEFORE:]:
        assert each.state is not None
        error_m = np.linalg.norm(each.state.x[:3] - truth.gcrf[truth.index(each.fix.gps_ms), :3])
        assert error_m < 5.0 * np.sqrt(np.trace(each.state.covariance[:3, :3]))


def test_an_impulse_is_dated_before_its_first_suspicious_fix() -> None:
    """The error of the first velocity hides a third of the impulse."""
    fixes = make_fixes(with_pulses((0.0, 0.05, 0.0)))[: BEFORE + 20]
    first = BEFORE + 1
    velocity_mps, true_mps = fixes[first].velocity_ecef_mps, with_pulses((0.0, 0.05, 0.0)).ecef[first, 3:]
    assert velocity_mps is not None
    change_mps = true_mps - NOMINAL.ecef[first, 3:]
    fixes[first] = replace(fixes[first], velocity_ecef_mps=true_mps - change_mps / 3.0)
    _, updates = run(fixes)
    velocity = updates[first].velocity
    assert velocity is not None
    assert velocity.chi_square < 14.2
    assert changes(updates) == [(Change.IMPULSE, first)]


def test_a_thrust_is_detected_from_begin_to_end() -> None:
    pulses = 1800 // CADENCE_S
    truth = with_pulses((0.0, 6e-5 * CADENCE_S, 0.0), pulses)
    orbit, updates = run(make_fixes(truth))
    found = changes(updates)
    assert found[0][0] is Change.THRUST_BEGIN
    assert BEFORE < found[0][1] < BEFORE + 24
    assert found[-1][0] is Change.THRUST_END
    assert not orbit.memory.in_thrust
    for each in updates[BEFORE:]:
        assert each.state is not None
        error_m = np.linalg.norm(each.state.x[:3] - truth.gcrf[truth.index(each.fix.gps_ms), :3])
        # 5.0 before velocities could be distrusted, which delays the detection by four fixes.
        assert error_m < 5.5 * np.sqrt(np.trace(each.state.covariance[:3, :3]))


def with_errors() -> list[Fix]:
    fixes = make_fixes(NOMINAL)
    for row in range(60, len(fixes) - 17, 40):
        fixes[row] = displaced(fixes[row], np.array((0.0, 200.0, 0.0)))
        velocity_mps = fixes[row + 17].velocity_ecef_mps
        assert velocity_mps is not None
        fixes[row + 17] = replace(fixes[row + 17], velocity_ecef_mps=velocity_mps + np.array((0.1, 0.0, 0.0)))
    return fixes


def test_noise_and_outliers_are_no_manoeuvre() -> None:
    assert changes(run(make_fixes(NOMINAL))[1]) == []
    assert changes(run(with_errors())[1]) == []


def test_drag_during_an_outage_is_no_manoeuvre() -> None:
    truth = with_pulses((0.0, -0.03, 0.0))
    fixes = make_fixes(truth, seed=3)
    _, updates = run([*fixes[: BEFORE - 50], *fixes[BEFORE + 150 :]])
    assert changes(updates) == []


def test_a_step_of_the_times_that_only_the_velocities_show_is_not_confirmed() -> None:
    """Slow errors of the velocities move the orbit along its track."""
    orbit, updates = run(make_fixes(NOMINAL)[:30])
    before = updates[-1].state
    assert before is not None
    step = Candidate(Change.TIME_STEP, before.gps_ms, orbit.memory.hypotheses, before, lead=20.0, fixes=9)
    shown = replace(step, position_lead=5.0)
    assert confirmed([step]) is None
    assert confirmed([shown]) is shown


def test_detection_can_be_switched_off() -> None:
    settings = replace(OrbitSettings(), manoeuvre_detection=False)
    orbit, updates = run(make_fixes(with_pulses((0.0, 0.05, 0.0)))[: BEFORE + 20], settings)
    assert changes(updates) == []
    assert orbit.memory.candidates == []


def test_a_change_larger_than_expected_is_no_impulse() -> None:
    fixes = make_fixes(with_pulses((0.0, 0.05, 0.0)))[: BEFORE + 20]
    for largest_mps, expected in ((0.5, {Change.IMPULSE}), (0.02, set())):
        settings = OrbitSettings(manoeuvre=ManoeuvreSettings(delta_v_max_mps=largest_mps))
        assert {change for change, _ in changes(run(fixes, settings)[1])} & {Change.IMPULSE} == expected


def test_a_restored_filter_confirms_the_same_manoeuvre() -> None:
    fixes = make_fixes(with_pulses((0.0, 0.05, 0.0)))[: BEFORE + 30]
    whole = OrbitFilter(OrbitSettings(), ORIENTATION)
    saved = {}
    for row, fix in enumerate(fixes):
        whole.process(fix)
        saved[row] = encode(whole.memory)
    for cut in (BEFORE, BEFORE + 1, BEFORE + 2, BEFORE + 3):
        restored = OrbitFilter(OrbitSettings(), ORIENTATION, decode(saved[cut], FilterMemory))
        for fix in fixes[cut + 1 :]:
            restored.process(fix)
        assert encode(restored.memory) == saved[len(fixes) - 1]
