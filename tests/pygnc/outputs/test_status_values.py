"""Values of the status record, and partners in the info line."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus import control
from pygnc.bus.messages import AttitudeEstimate, ClosestApproach, FormationEstimate, Message, OrbitEstimate
from pygnc.common.clock import week_from_gps_ms
from pygnc.formats import info, status
from pygnc.formats.causes import find_causes
from pygnc.outputs.status_values import NewestEstimates, run_values

GPS_MS = 1_426_464_078_000


def estimate(partner_id: int, seq: int = 1, **changes: object) -> FormationEstimate:
    covariance = [0.0] * 21
    covariance[0], covariance[2], covariance[5] = 4.0, 9.0, 16.0
    values: dict[str, object] = {
        "seq": seq,
        "last_input_seq": 100,
        "input_seq": 90,
        "gps_ms": GPS_MS,
        "partner_id": partner_id,
        "cause": "",
        "position_rtn_m": (10.0, -500.0, 30.0),
        "velocity_rtn_mps": (0.1, 0.2, -0.3),
        "position_gcrf_m": (1.0, 2.0, 3.0),
        "velocity_gcrf_mps": (0.0, 0.0, 0.0),
        "covariance_rtn": tuple(covariance),
        "range_bias_m": 1051.0,
        "range_residual_m": -3.0,
        "chi2_best": 200.0,
        "chi2_mirror": 260.0,
    }
    return FormationEstimate(**(values | changes))  # type: ignore[arg-type]


def decoded(shown: NewestEstimates) -> dict[str, status.Value]:
    fields, dropped = status.fill(shown.values(0))
    assert dropped == {}
    return status.decode(status.encode(fields))


def test_reports_the_newest_state_of_each_partner_by_id() -> None:
    shown = NewestEstimates()
    shown.take(estimate(77))
    shown.take(estimate(75))
    shown.take(estimate(75, seq=2, position_rtn_m=(11.0, -501.0, 31.0), ambiguous=True))
    values = decoded(shown)
    assert [values[f"partner{k}_id"] for k in range(3)] == [75, 77, 0]
    assert [values[f"partner0_rtn_m_{axis}"] for axis in "xyz"] == [11.0, -501.0, 31.0]
    assert [values[f"partner0_sigma_m_{axis}"] for axis in "xyz"] == [2.0, 3.0, 4.0]
    assert [values["partner0_ambiguous"], values["partner1_ambiguous"]] == [1, 0]
    assert (values["partner0_gps_week"], values["partner0_gps_tow_ms"]) == week_from_gps_ms(GPS_MS)
    assert values["partner1_chi2_mirror"] == 260.0
    assert values["partner1_residual_m"] == -3.0


def test_a_partner_without_a_solution_has_an_id_and_no_numbers() -> None:
    shown = NewestEstimates()
    shown.take(
        FormationEstimate(seq=1, last_input_seq=9, input_seq=8, gps_ms=GPS_MS, partner_id=76, cause="too few ranges")
    )
    values = decoded(shown)
    assert values["partner0_id"] == 76
    assert math.isnan(float(values["partner0_rtn_m_x"]))
    assert b"P76 unknown\n" in info.compose(values)


def test_of_several_approaches_the_best_orbits_is_shown_and_newer_ones_replace_it() -> None:
    shown = NewestEstimates()
    shown.take(estimate(75))
    approach = {"seq": 2, "partner_id": 75, "gps_ms": GPS_MS + 3_600_000, "sigma_m": 5.0}
    shown.take(ClosestApproach(last_input_seq=100, chi2=200.0, distance_m=150.0, **approach))  # type: ignore[arg-type]
    shown.take(ClosestApproach(last_input_seq=100, chi2=260.0, distance_m=20.0, **approach))  # type: ignore[arg-type]
    assert decoded(shown)["partner0_closest_m"] == 150.0
    assert decoded(shown)["partner0_closest_in_s"] == 3600.0
    shown.take(ClosestApproach(last_input_seq=200, chi2=300.0, distance_m=90.0, **approach))  # type: ignore[arg-type]
    assert decoded(shown)["partner0_closest_m"] == 90.0


@pytest.mark.parametrize("ambiguous", [False, True])
def test_the_info_line_says_where_the_partner_is_and_whether_that_is_certain(*, ambiguous: bool) -> None:
    shown = NewestEstimates()
    shown.take(estimate(75, ambiguous=ambiguous))
    line = b"P75 10 -500 30 S4?\n" if ambiguous else b"P75 10 -500 30 S4\n"
    assert line in info.compose(decoded(shown))


def test_three_partners_and_the_counters_fit_into_the_info_line_beside_the_orbit() -> None:
    shown = NewestEstimates()
    for partner in (75, 76, 77):
        shown.take(estimate(partner, position_rtn_m=(-1234.0, 56789.0, -1234.0)))
    known: dict[str, status.Value] = {
        "orbit_mode": 1,
        "orbit_gps_week": 2358,
        "orbit_gps_tow_ms": 356_418_000,
        "orbit_age_s": 0.0,
    }
    known |= {f"position_ecef_m_{axis}": -6_871_234.0 for axis in "xyz"} | {"attitude_mode": 3, "in_sun": 1}
    known |= {f"position_sigma_m_{axis}": 1.0 for axis in "xyz"} | {f"quaternion_{part}": -0.5 for part in "wxyz"}
    text = info.compose(status.fill(shown.values(0) | known)[0])
    assert len(text) < 200
    assert text.count(b"\nP7") == 3
    assert b"\nFIX 0/0 DMG 0B\n" in text


# --- Values that other tasks should not send ----------------------------------------------------------------------

NUMBERS = st.floats() | st.integers(-(2**63), 2**63)
VECTORS = st.tuples(NUMBERS, NUMBERS, NUMBERS)


def run_state(counts: dict[str, object], *, task: str = "orbit", state: str = "up") -> control.RunState:
    tasks = (
        control.TaskState(task, state, 0, control.Progress(5, counts=counts)),
        control.TaskState("attitude", "up", 0, control.Progress(5, counts={"lost_messages": 2})),
    )
    return control.RunState("idle", tasks, events=4, not_recorded=1)


def test_counters_of_all_tasks_are_added() -> None:
    values, dropped = run_values(run_state({"lost_messages": 3, "fixes_accepted": 7, "not_recorded": 1}))
    expected = {"lost_messages": 5, "fixes_accepted": 7, "not_recorded": 2, "events": 4, "phase": status.Phase.IDLE}
    assert {name: values[name] for name in expected} == expected
    assert dropped == {}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("nonsense", 1),
        ("phase", 1),
        ("events", 1),
        ("task_status_state", 1),
        ("lost_messages", math.nan),
        ("lost_messages", 0.5),
        ("lost_messages", -1),
        ("lost_messages", "many"),
        ("lost_messages", None),
    ],
)
def test_a_counter_without_a_place_is_dropped_and_named_with_its_task(name: str, count: object) -> None:
    values, dropped = run_values(run_state({name: count}))
    assert list(dropped) == [f"counter {name} of task orbit"]
    assert values == run_values(run_state({}))[0]


def test_an_unknown_task_is_dropped_and_named() -> None:
    values, dropped = run_values(run_state({"fixes_accepted": 7}, task="stargazer"))
    assert list(dropped) == ["task stargazer"]
    assert status.fill(values)[1] == {}


def test_an_unknown_state_and_an_unknown_phase_are_dropped_and_named() -> None:
    state = msgspec.structs.replace(run_state({}, state="dreaming"), phase="dreaming")
    fields, dropped = status.fill(run_values(state)[0])
    assert dropped.keys() == {"phase", "task_orbit_state"}
    assert fields["task_orbit_through"] == 5


def attitude(**changes: object) -> AttitudeEstimate:
    values: dict[str, object] = {
        "seq": 1,
        "last_input_seq": 9,
        "input_seq": 9,
        "t_spacecraft_s": 0,
        "gps_ms": GPS_MS,
        "mode": "fine",
        "quaternion_gcrf_from_body": (1.0, 0.0, 0.0, 0.0),
        "rate_body_rad_s": (0.1, 0.2, 0.3),
        "mag_body_ut": (1.0, 2.0, 3.0),
        "gyro_bias_imu_rad_s": None,
        "mag_bias_imu_ut": None,
        "sigma_rad": None,
        "in_sun": True,
        "orbit_age_s": None,
        "orbit_late": False,
        "nis": 0.0,
        "dof": 0,
        "cause": "",
        "found": False,
    }
    return AttitudeEstimate(**(values | changes))  # type: ignore[arg-type]


def test_an_unknown_mode_is_dropped_and_named() -> None:
    shown = NewestEstimates()
    shown.take(attitude(mode="gliding"))
    fields, dropped = status.fill(shown.values(0))
    assert list(dropped) == ["attitude_mode"]
    assert fields["rate_body_rad_s_x"] == 0.1


@pytest.mark.parametrize("mode", ["", "searching", "coarse"])
def test_a_field_whose_condition_does_not_hold_has_no_value(mode: str) -> None:
    shown = NewestEstimates()
    shown.take(estimate(75))
    unknown = dict.fromkeys(("quaternion_gcrf_from_body", "gyro_bias_imu_rad_s", "sigma_rad"))
    if mode:
        shown.take(attitude(mode=mode, **unknown if mode == "searching" else {}))
    values = decoded(shown)
    invalid = [one for one in status.FIELDS if one.valid_if and int(values[one.valid_if[0]]) < one.valid_if[1]]
    assert {"partner1_rtn_m_x", "position_ecef_m_x"} <= {one.name for one in invalid}
    assert ("quaternion_w" in {one.name for one in invalid}) == (mode != "coarse")
    assert all(values[one.name] == one.default or math.isnan(one.default) for one in invalid)
    assert all(math.isnan(float(values[one.name])) for one in invalid if math.isnan(one.default))


def test_flags_without_a_bit_are_left_out() -> None:
    shown = NewestEstimates()
    shown.take(attitude(dead_faces=(-1, 0, 0, 2, 6, 7, 8, 10**9)))
    assert status.fill(shown.values(0))[0]["dead_faces"] == 0b101


@pytest.mark.parametrize(
    ("magnetometer", "gyro", "flags"),
    [("wrong", "right", 0b01000010), ("not_observable", "wrong", 0b10000010), ("unknown", "new word", 0b00000010)],
)
def test_refuted_axes_are_bits_beside_the_mirrored_faces(magnetometer: str, gyro: str, flags: int) -> None:
    shown = NewestEstimates()
    shown.take(attitude(mirrored_faces=(1, 6, 7), magnetometer_wiring=magnetometer, gyro_wiring=gyro))
    assert status.fill(shown.values(0))[0]["mirrored_faces"] == flags


@pytest.mark.parametrize("covariance", [(), (-1.0,) * 21, (math.nan,) * 21])
def test_a_covariance_that_is_none_gives_no_standard_deviation(covariance: tuple[float, ...]) -> None:
    shown = NewestEstimates()
    shown.take(estimate(75, covariance_rtn=covariance))
    assert math.isnan(float(decoded(shown)["partner0_sigma_m_x"]))
    assert decoded(shown)["partner0_rtn_m_x"] == 10.0


@st.composite
def estimates(draw: st.DrawFn) -> list[Message]:
    """Return one estimate of each kind, as the types of the messages allow them."""
    whole = st.integers(-(2**63), 2**63)
    orbit: dict[str, object] = dict.fromkeys(("gps_ms", "fix_gps_ms", "nis_count", "spacecraft_to_gps_ms"))
    orbit |= {name: draw(whole) for name in orbit}
    frames = ("ecef", "gcrf")
    vectors = [f"{name}_{frame}_{unit}" for frame in frames for name, unit in (("position", "m"), ("velocity", "mps"))]
    orbit |= {name: draw(VECTORS) for name in (*vectors, "position_sigma_m", "velocity_sigma_mps")}
    orbit |= {"nis_mean": draw(NUMBERS), "from_elements": draw(st.booleans())}
    orbit |= {"seq": 1, "last_input_seq": 1, "accepted": True, "cause": "", "nis": 0.0, "nis_dof": 0}
    faces = draw(st.lists(whole, max_size=4).map(tuple))
    attitudes = attitude(mode=draw(st.text()), gps_ms=draw(whole), dead_faces=faces, rate_body_rad_s=draw(VECTORS))
    partner = draw(whole)
    formation: dict[str, object] = {name: draw(st.none() | NUMBERS) for name in ("range_bias_m", "chi2_best")}
    formation |= {"covariance_rtn": draw(st.lists(NUMBERS, max_size=22).map(tuple)), "position_rtn_m": draw(VECTORS)}
    approach = ClosestApproach(1, 1, partner, draw(NUMBERS), draw(whole), draw(NUMBERS), draw(NUMBERS))
    newest = OrbitEstimate(**orbit)  # type: ignore[arg-type]
    return [newest, attitudes, msgspec.structs.replace(estimate(partner, gps_ms=draw(whole)), **formation), approach]


@given(estimates(), st.dictionaries(st.sampled_from(sorted(status.COUNTERS)) | st.text(), NUMBERS | st.text()))
def test_no_estimate_and_no_counter_costs_the_status(messages: list[Message], counts: dict[str, object]) -> None:
    shown = NewestEstimates()
    for message in messages:
        shown.take(message)
    fields, _ = status.fill(shown.values(0) | run_values(run_state(counts))[0])
    assert status.decode(status.encode(fields))["task_attitude_through"] == 5
    assert len(info.compose(fields, find_causes(fields, {}))) < 200
