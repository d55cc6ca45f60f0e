"""Fixes as arrays, against brahe's frames and motion.

Robust weights and the scale of the noise, on residuals whose distribution is known.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import MeasurementSettings, ScreeningSettings
from pygnc_ground.orbit.batch.observations import (
    huber,
    inertial,
    noise_scale,
    observe,
    redescending,
    usable,
)
from tests.pygnc.environment.authority import ecef_state
from tests.pygnc.estimators.orbit.truth import ORIENTATION, make_fixes, position_only, propagate, sun_synchronous

TRUTH = sun_synchronous()
FRAMES = EarthFrames(ORIENTATION)
LIMITS = MeasurementSettings()
LATENCY_MS = 250
NAN = np.array([np.nan, 0.0, 0.0])
POLE = np.array([0.0, 0.0, 1.0])


def late_fix() -> tuple[Fix, Array]:
    """A fix without noise whose velocity was valid earlier, and the state (6,) at that time in GCRF."""
    now_ms, then_ms = TRUTH.gps_ms[10], TRUTH.gps_ms[10] - LATENCY_MS
    then = propagate(TRUTH.gcrf[9], [TRUTH.gps_ms[9], then_ms], drag=True, radiation=True, tides=True)[1]
    fix = replace(
        make_fixes(TRUTH)[10],
        position_ecef_m=ecef_state(now_ms, TRUTH.gcrf[10])[:3],
        velocity_ecef_mps=ecef_state(then_ms, then)[3:],
        velocity_latency_s=1e-3 * LATENCY_MS,
    )
    return fix, then


def test_positions_and_velocities_are_seen_where_and_when_brahe_has_them() -> None:
    fix, then = late_fix()
    positions, velocities = observe([fix], FRAMES, LIMITS)
    np.testing.assert_allclose(positions.from_gcrf[0] @ TRUTH.gcrf[10], positions.measured[0], atol=0.02)
    np.testing.assert_allclose(velocities.from_gcrf[0] @ then, velocities.measured[0], atol=2e-5)
    assert (velocities.gps_ms + 1e3 * velocities.offset_s).tolist() == [fix.gps_ms - LATENCY_MS]


def test_inertial_velocities_are_brought_to_the_time_of_the_position() -> None:
    fix, _ = late_fix()
    position_m, velocity_mps = inertial(*observe([fix], FRAMES, LIMITS), POLE)
    np.testing.assert_allclose(position_m[0], TRUTH.gcrf[10, :3], atol=0.02)
    np.testing.assert_allclose(velocity_mps[0], TRUTH.gcrf[10, 3:], atol=0.02)


def test_fixes_without_velocity_have_a_position_only() -> None:
    fixes = make_fixes(TRUTH)[:3]
    fixes[1] = position_only(fixes[1])
    fixes[2] = replace(fixes[2], velocity_ecef_mps=NAN)
    fixes = usable(fixes, ScreeningSettings())
    positions, velocities = observe(fixes, FRAMES, LIMITS)
    assert positions.fix.tolist() == [0, 1, 2]
    assert velocities.fix.tolist() == [0]
    assert np.isnan(inertial(positions, velocities, POLE)[1][1:]).all()


@pytest.mark.parametrize(("claimed_m", "taken_m"), [(0.0, 10.0), (-3.0, 10.0), (0.2, 1.0), (7.0, 7.0)])
def test_unknown_sigmas_are_replaced_and_optimistic_ones_raised(claimed_m: float, taken_m: float) -> None:
    fix = replace(make_fixes(TRUTH)[0], position_sigma_m=np.full(3, claimed_m))
    assert observe([fix], FRAMES, LIMITS)[0].sigma.tolist() == [[taken_m] * 3]


@pytest.mark.parametrize(
    "impossible",
    [
        {"velocity_ecef_mps": NAN},
        {"velocity_ecef_mps": np.zeros(3)},
        {"velocity_ecef_mps": np.full(3, 1e200)},
        {"velocity_sigma_mps": NAN},
        {"velocity_sigma_mps": None},
        {"velocity_latency_s": float("nan")},
        {"velocity_latency_s": -1.0},
        {"velocity_latency_s": 100.0},
    ],
)
def test_an_impossible_velocity_leaves_the_position(impossible: dict[str, Any]) -> None:
    (fix,) = usable([replace(make_fixes(TRUTH)[0], **impossible)], ScreeningSettings())
    assert fix.velocity_ecef_mps is None
    assert fix.velocity_latency_s == 0.0


@pytest.mark.parametrize("position_m", [NAN, np.zeros(3), np.full(3, 1e200), np.full(3, 3e6), np.full(3, np.inf)])
def test_an_impossible_position_leaves_nothing(position_m: Array) -> None:
    assert not usable([replace(make_fixes(TRUTH)[0], position_ecef_m=position_m)], ScreeningSettings())


def test_usable_fixes_are_in_order_of_time_and_not_repeated() -> None:
    one, two, three = make_fixes(TRUTH)[:3]
    broken = replace(two, position_ecef_m=NAN)
    same_time = replace(one, position_ecef_m=one.position_ecef_m + 1.0)
    found = usable([three, broken, one, same_time, replace(one)], ScreeningSettings())
    assert [fix.gps_ms for fix in found] == [one.gps_ms, one.gps_ms, three.gps_ms]


GATE = 21.1
lengths = st.floats(0.0, 1e6)


def chi_squares(count: int, scale: float, wild_fraction: float = 0.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    random = np.random.default_rng(3)
    residual = scale * random.normal(size=(count, 3))
    residual[: round(wild_fraction * count)] += 1000.0
    return np.asarray((residual**2).sum(axis=1))


@given(lengths, lengths)
def test_a_longer_residual_never_weighs_more(one: float, other: float) -> None:
    short, long = sorted((one, other))
    for weight in (huber(np.array([short, long])), redescending(np.array([short, long]), GATE)):
        assert 1.0 >= weight[0] >= weight[1] >= 0.0


def test_small_residuals_weigh_fully_and_those_beyond_the_gate_nothing() -> None:
    length = np.sqrt(GATE) * np.array([0.0, 0.7, 0.999, 1.0, 1e6])
    weight = redescending(length, GATE)
    assert weight[:2].tolist() == [1.0, 1.0]
    assert 0.0 < weight[2] < 1e-4
    assert weight[3:].tolist() == [0.0, 0.0]


def test_the_pull_of_hubers_weights_is_bounded_but_never_lost() -> None:
    length = np.array([10.0, 1e3, 1e6])
    np.testing.assert_allclose(huber(length) * length, 2.5)


@pytest.mark.parametrize("scale", [0.6, 1.0, 5.0])
@pytest.mark.parametrize("wild_fraction", [0.0, 0.03, 0.3])
def test_the_noise_scale_is_found_among_wild_residuals(scale: float, wild_fraction: float) -> None:
    found = noise_scale(chi_squares(20_000, scale, wild_fraction), 0.0, GATE, 0.5)
    assert found == pytest.approx(scale, rel=0.03)


def test_noise_scale_accounts_for_the_fitted_fraction() -> None:
    assert noise_scale(chi_squares(20_000, 0.8), 1.0 - 0.8**2, GATE, 0.5) == pytest.approx(1.0, rel=0.03)


def test_few_residuals_hardly_move_the_receivers_claim_and_none_not_at_all() -> None:
    assert noise_scale(np.full(2, 0.01), 0.0, GATE, 0.5) > 0.9
    assert noise_scale(np.zeros(0), 0.0, GATE, 0.5) == 1.0


def test_the_noise_is_never_taken_for_less_than_the_setting() -> None:
    assert noise_scale(np.full(1000, 1e-6), 0.0, GATE, 0.5) == 0.5
