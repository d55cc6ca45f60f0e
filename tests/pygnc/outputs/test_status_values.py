"""Partners in the status record and in the info line."""

import math

import pytest

from pygnc.bus import control
from pygnc.bus.messages import ClosestApproach, FormationEstimate
from pygnc.common.clock import week_from_gps_ms
from pygnc.formats import info, status
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
    assert not dropped
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
    text = info.compose(decoded(shown) | known)
    assert len(text) < 200
    assert text.count(b"\nP7") == 3
    assert b"\nFIX 0/0 DMG 0B\n" in text


@pytest.mark.parametrize(
    ("name", "counts", "dropped"),
    [
        ("orbit", {"fixes_received": 7, "surprises": 3}, "counter surprises of task orbit"),
        ("orbit", {"fixes_received": 7, "fixes_waiting": "many"}, "counter fixes_waiting of task orbit"),
        ("orbit", {"fixes_received": 7, "fixes_waiting": math.nan}, "counter fixes_waiting of task orbit"),
        ("star_gazer", {"fixes_received": 7}, "task star_gazer"),
    ],
)
def test_an_unknown_counter_or_task_is_dropped_and_named(name: str, counts: dict[str, object], dropped: str) -> None:
    task = control.TaskState(name, "up", 0, control.Progress(counts=counts))
    values, reasons = run_values(control.RunState("idle", "", (task,), 0))
    assert [*reasons] == [dropped]
    fields, invalid = status.fill(values)
    assert (fields["fixes_received"], invalid) == (7, {})


def test_unknown_words_leave_the_fields_at_their_defaults() -> None:
    task = control.TaskState("orbit", "levitating", 0, control.Progress())
    values, _ = run_values(control.RunState("party", "", (task,), 0))
    fields, invalid = status.fill(values)
    assert {*invalid} == {"phase", "task_orbit_state"}
    assert (fields["phase"], fields["task_orbit_state"]) == (0, 0)
