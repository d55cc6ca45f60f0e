import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus.messages import GnssFix
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.estimators.orbit.settings import OrbitSettings, ScreeningSettings
from pygnc.formats.gps_packet import solution_name
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc.navigation.screening import fix_from, screen, screen_velocity

SETTINGS = ScreeningSettings()
GPS_MS = 2300 * 604_800_000


GOOD = GnssFix(
    seq=7,
    source="sense.bin",
    offset=0,
    t_spacecraft_s=1000,
    kind="sense_gps",
    gps_ms=2300 * 604_800_000 + 259_200_000,
    time_sigma_s=1e-6,
    position_solution="computed",
    position_ecef_m=(6_878_000.0, 1_000.0, -2_000.0),
    position_sigma_m=(3.0, 4.0, 5.0),
    velocity_solution="computed",
    velocity_ecef_mps=(-10.0, 1_200.0, 7_400.0),
    velocity_sigma_mps=(0.1, 0.2, 0.3),
    velocity_latency_s=0.15,
    differential_age_s=0.0,
    solution_age_s=0.0,
    satellites_tracked=8,
    satellites_used=8,
    raw=b"",
)


def changed(**changes: Any) -> GnssFix:  # noqa: ANN401 - fields of several types
    return msgspec.structs.replace(GOOD, **changes)


def test_makes_a_fix_of_a_good_packet() -> None:
    assert screen(GOOD, SETTINGS) is None
    assert screen_velocity(GOOD, SETTINGS) is None
    fix = fix_from(GOOD, SETTINGS)
    assert (fix.gps_ms, fix.seq, fix.velocity_latency_s) == (2300 * 604_800_000 + 259_200_000, 7, 0.15)
    assert tuple(fix.position_ecef_m) == GOOD.position_ecef_m
    assert fix.velocity_ecef_mps is not None
    assert tuple(fix.velocity_ecef_mps) == GOOD.velocity_ecef_mps


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"gps_ms": None}, RejectCause.NO_TIME),
        ({"time_sigma_s": math.inf}, RejectCause.TIME_STATUS),
        ({"time_sigma_s": 0.1}, RejectCause.TIME_STATUS),
        ({"position_solution": "insufficient_observations"}, RejectCause.POSITION_STATUS),
        ({"satellites_used": 0}, RejectCause.NO_SATELLITES),
        ({"position_ecef_m": (math.nan, 0.0, 0.0)}, RejectCause.NOT_FINITE),
        ({"position_sigma_m": (1.0, math.inf, 1.0)}, RejectCause.NOT_FINITE),
        ({"position_ecef_m": (0.0, 0.0, 0.0)}, RejectCause.ZERO_POSITION),
        ({"position_ecef_m": (-2_707_000.0, -4_261_000.0, 3_885_000.0)}, RejectCause.RADIUS),
        ({"position_ecef_m": (1e300, 1e300, 1e300)}, RejectCause.RADIUS),
    ],
)
def test_rejects_implausible_packets_with_their_cause(changes: dict[str, Any], cause: RejectCause) -> None:
    assert screen(changed(**changes), SETTINGS) is cause


def test_the_event_about_fixes_beyond_the_radii_names_the_settings_and_their_limits_once() -> None:
    tracker = OrbitTracker(OrbitSettings(), EarthOrientationTable.none())
    for number in range(12):
        far = changed(seq=number, gps_ms=GPS_MS + 25_000 * number, position_ecef_m=(26_560_000.0, 0.0, 0.0))
        orbit_response(tracker, far, 1)
    ((severity, name, text),) = tracker.take_notices()
    assert (severity, name) == ("warning", "fixes_beyond_radius")
    assert "[orbit.screening] radius_min_m 6478000 and radius_max_m 9000000" in text
    assert "26560000 m" in text
    assert text.endswith("from 6200000 to 50000000")


def test_damaged_radii_among_used_fixes_raise_no_event() -> None:
    tracker = OrbitTracker(OrbitSettings(), EarthOrientationTable.none())
    orbit_response(tracker, GOOD, 1)
    for number in range(12):
        orbit_response(tracker, changed(seq=8 + number, position_ecef_m=(26_560_000.0, 0.0, 0.0)), 1)
    assert tracker.take_notices() == []


@pytest.mark.parametrize("time_sigma_s", [None, 0.0, 1e-8, 1e-2])
def test_a_time_that_is_accurate_enough_or_not_rated_passes(time_sigma_s: float | None) -> None:
    assert screen(changed(time_sigma_s=time_sigma_s), SETTINGS) is None


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"velocity_solution": "insufficient_observations"}, RejectCause.VELOCITY_STATUS),
        ({"velocity_ecef_mps": (math.inf, 0.0, 0.0)}, RejectCause.VELOCITY_NOT_FINITE),
        ({"velocity_ecef_mps": (0.0, 0.0, 0.0)}, RejectCause.SPEED),
        ({"velocity_ecef_mps": (0.0, 12_000.0, 0.0)}, RejectCause.SPEED),
        ({"velocity_latency_s": -0.1}, RejectCause.LATENCY),
        ({"velocity_latency_s": math.nan}, RejectCause.LATENCY),
        ({"velocity_latency_s": 30.0}, RejectCause.LATENCY),
    ],
)
def test_a_bad_velocity_leaves_a_position_only_fix(changes: dict[str, Any], cause: RejectCause) -> None:
    packet = changed(**changes)
    assert screen(packet, SETTINGS) is None
    assert screen_velocity(packet, SETTINGS) is cause
    fix = fix_from(packet, SETTINGS)
    assert fix.velocity_ecef_mps is None
    assert fix.velocity_sigma_mps is None
    assert fix.velocity_latency_s == 0.0


def test_accepts_the_simulators_status_only_with_the_option() -> None:
    simulated = changed(position_solution=solution_name(1), velocity_solution=solution_name(1))
    assert screen(simulated, SETTINGS) is RejectCause.POSITION_STATUS
    asked = ScreeningSettings(accept_position_status=(0, 1))
    assert screen(simulated, asked) is None
    assert fix_from(simulated, asked).velocity_ecef_mps is not None


def test_rejects_a_packet_without_time() -> None:
    with pytest.raises(ValueError, match="no time"):
        fix_from(changed(gps_ms=None), SETTINGS)


anything = st.floats(allow_nan=True, allow_infinity=True)
vectors = st.tuples(anything, anything, anything)
bytes_ = st.integers(0, 255)
solutions = bytes_.map(solution_name)


@given(
    st.fixed_dictionaries(
        {
            "gps_ms": st.none() | st.integers(0, 2**45),
            "time_sigma_s": st.none() | anything,
            "position_solution": solutions,
            "satellites_used": bytes_,
            "position_ecef_m": vectors,
            "position_sigma_m": vectors,
            "velocity_solution": solutions,
            "velocity_ecef_mps": vectors,
            "velocity_sigma_mps": vectors,
            "velocity_latency_s": anything,
        }
    )
)
def test_random_packets_are_rejected_or_give_finite_fixes(changes: dict[str, Any]) -> None:
    packet = changed(**changes)
    if screen(packet, SETTINGS) is None:
        fix = fix_from(packet, SETTINGS)
        assert np.isfinite(fix.position_ecef_m).all()
        assert fix.velocity_ecef_mps is None or np.isfinite(fix.velocity_ecef_mps).all()
