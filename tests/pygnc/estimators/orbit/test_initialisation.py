from dataclasses import replace

import numpy as np
import pytest

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.initialisation import InitialOrbit, OrbitInitialiser
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from tests.pygnc.estimators.orbit.truth import ORIENTATION, displaced, make_fixes, position_only, sun_synchronous

SETTINGS = OrbitSettings()
FRAMES = EarthFrames(ORIENTATION)
FINDER = OrbitInitialiser(OrbitDynamics(SETTINGS, FRAMES), SETTINGS)
TRUTH = sun_synchronous()
FIXES = make_fixes(TRUTH)


def find(fixes: list[Fix]) -> InitialOrbit:
    start = FINDER.find(fixes)
    assert start is not None
    return start


def error_m(start: InitialOrbit) -> float:
    index = TRUTH.index(start.fixes[0].fix.gps_ms)
    return float(np.linalg.norm(start.x[:3] - TRUTH.gcrf[index, :3]))


def test_good_fixes_agree() -> None:
    start = find(FIXES[:5])
    assert error_m(start) < 30.0
    assert start.agreeing == 5
    assert all(each.velocity_agrees for each in start.fixes)
    assert 0.3 < start.position_spread < 2.0
    assert 0.3 < start.velocity_spread < 2.0


def test_a_wide_limit_lets_an_outlier_agree() -> None:
    fixes = [*FIXES[:4], displaced(FIXES[4], np.array((0.0, 10_000.0, 0.0)))]
    settings = replace(SETTINGS, start=replace(SETTINGS.start, agreement_sigma=1e5))
    start = OrbitInitialiser(OrbitDynamics(settings, FRAMES), settings).find(fixes)
    assert start is not None
    assert start.agreeing == 5


@pytest.mark.parametrize("wild", range(5))
def test_detects_an_outlying_position_anywhere(wild: int) -> None:
    fixes = FIXES[:5]
    fixes[wild] = displaced(fixes[wild], np.array((0.0, 10_000.0, 0.0)))
    start = find(fixes)
    assert error_m(start) < 30.0
    assert [each.position_agrees for each in start.fixes] == [k != wild for k in range(5)]
    assert all(each.velocity_agrees for each in start.fixes)


def test_detects_an_outlying_velocity_and_keeps_its_position() -> None:
    fixes = FIXES[:5]
    velocity = fixes[2].velocity_ecef_mps
    assert velocity is not None
    fixes[2] = replace(fixes[2], velocity_ecef_mps=velocity + 50.0)
    start = find(fixes)
    assert error_m(start) < 30.0
    assert [each.velocity_agrees for each in start.fixes] == [True, True, False, True, True]
    assert start.agreeing == 5


def test_two_outliers_of_five_do_no_harm() -> None:
    fixes = [
        displaced(FIXES[0], np.array((1e4, 0.0, 0.0))),
        displaced(FIXES[1], np.array((-3e4, 0.0, 2e4))),
        *FIXES[2:5],
    ]
    start = find(fixes)
    assert start.agreeing == 3
    assert error_m(start) < 30.0


def test_applies_the_velocity_latency() -> None:
    late = [replace(fix, velocity_latency_s=0.25) for fix in FIXES[:5]]
    difference_mps = np.linalg.norm(find(late).x[3:6] - find(FIXES[:5]).x[3:6])
    assert difference_mps == pytest.approx(0.25 * 8.4, rel=0.1)


def test_positions_alone_make_an_orbit() -> None:
    start = find([position_only(fix) for fix in FIXES[:5]])
    assert error_m(start) < 60.0
    assert np.linalg.norm(start.x[3:6] - TRUTH.gcrf[0, 3:]) < 1.0
    assert start.agreeing == 5
    assert not any(each.velocity_agrees for each in start.fixes)


def test_one_position_alone_makes_none() -> None:
    assert FINDER.find([position_only(FIXES[0])]) is None


def test_fixes_an_orbit_apart_agree_too() -> None:
    """The allowance grows with the time that a velocity error has to act."""
    start = find(FIXES[: 5 * 57 : 57])
    assert start.agreeing == 5
    assert error_m(start) < 300.0


def test_order_and_repetition_do_not_matter() -> None:
    again = find([FIXES[3], FIXES[0], FIXES[4], FIXES[1], FIXES[0], FIXES[2]])
    assert again.x.tobytes() == find(FIXES[:5]).x.tobytes()
    assert [verdict.fix.seq for verdict in again.fixes] == [0, 1, 2, 3, 4]


def test_ignores_an_outlying_time() -> None:
    fixes = FIXES[:5]
    fixes[1] = replace(fixes[1], gps_ms=fixes[1].gps_ms + 10 * 604_800_000)
    assert [verdict.fix.seq for verdict in find(fixes).fixes] == [0, 2, 3, 4]
