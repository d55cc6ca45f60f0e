"""Orbit tracker: restarts change nothing, counters add up, damaged clocks are detected."""

import dataclasses
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pygnc.bus.messages import DEVICES, BatchEnd, GnssFix, Message, OrbitEstimate, vector3
from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_utc_iso, gps_ms_from_week, week_from_gps_ms
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.orbit.error_models import ErrorBank
from pygnc.estimators.orbit.manoeuvre import Change
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.formats import status
from pygnc.inputs.sense_file import SenseFile
from pygnc.navigation.orbit import PREDICTION_MAX_MS, OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc.tasks.orbit.task import manoeuvre_text

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "sense.bin"
RECORDS = 60
SETTINGS = OrbitSettings()
NONE = EarthOrientationTable.none()


@pytest.fixture(scope="module")
def inputs() -> list[Message]:
    """The first 25 minutes of the demonstration batch, fixes only, and the end of the batch."""
    file = SenseFile(DEMO, "sense.bin", Settings())
    for _ in file.scan():
        pass
    messages: list[Message] = [m for m in file.messages(np.arange(RECORDS), 1) if isinstance(m, GnssFix)]
    return [*messages, BatchEnd(seq=10_000, cause="")]


def run(tracker: OrbitTracker, messages: list[Message], first_seq: int = 1) -> list[OrbitEstimate]:
    estimates: list[OrbitEstimate] = []
    for message in messages:
        estimates += orbit_response(tracker, message, first_seq + len(estimates)).estimates
    return estimates


def test_every_fix_gives_an_estimate_with_its_input_number(inputs: list[Message]) -> None:
    estimates = run(OrbitTracker(SETTINGS, NONE), inputs)
    assert len(estimates) == RECORDS
    assert [e.seq for e in estimates] == list(range(1, RECORDS + 1))
    assert all(e.accepted for e in estimates)
    assert [e.gps_ms for e in estimates] == sorted(e.gps_ms for e in estimates)
    assert {e.last_input_seq for e in estimates} <= {m.seq for m in inputs if isinstance(m, GnssFix)}


@pytest.mark.parametrize("cut", [0, 2, 7, 31, RECORDS])
def test_a_restart_anywhere_changes_no_bit(inputs: list[Message], cut: int) -> None:
    undisturbed = run(OrbitTracker(SETTINGS, NONE), inputs)
    first = OrbitTracker(SETTINGS, NONE)
    estimates = run(first, inputs[:cut])
    packed = first.checkpoint()
    second = OrbitTracker(SETTINGS, NONE, packed)
    estimates += run(second, inputs[cut:], len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(undisturbed)
    assert second.counts["fixes_received"] == RECORDS


def test_a_receiver_whose_fixes_come_on_two_ways_counts_once(inputs: list[Message]) -> None:
    undisturbed = run(OrbitTracker(SETTINGS, NONE), inputs[:20])
    # The port of the computer is quicker than the packets of the host, which come a fix later.
    pairs = [(msgspec.structs.replace(m, source=DEVICES), inputs[max(k - 1, 0)]) for k, m in enumerate(inputs[:20])]
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = [each for each in run(tracker, [m for pair in pairs for m in pair]) if each.accepted]
    for estimate, alone in zip(estimates, undisturbed, strict=True):
        assert estimate.position_ecef_m == alone.position_ecef_m
        assert estimate.position_sigma_m == alone.position_sigma_m
    assert tracker.counts["rejected_not_later"] == 20


def test_a_prediction_does_not_change_the_estimates(inputs: list[Message]) -> None:
    undisturbed = run(OrbitTracker(SETTINGS, NONE), inputs)
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, inputs[:40])
    last = inputs[39]
    assert isinstance(last, GnssFix)
    assert last.t_spacecraft_s is not None
    more = True
    while more:
        predicted, more = tracker.predict_to(last.t_spacecraft_s + 5000)
    assert predicted is not None
    assert predicted.gps_ms - estimates[-1].gps_ms == pytest.approx(5_000_000, abs=2000)
    assert max(predicted.position_sigma_m) > max(estimates[-1].position_sigma_m)
    estimates += run(tracker, inputs[40:], len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(undisturbed)


def test_predicts_nothing_without_a_state() -> None:
    assert OrbitTracker(SETTINGS, NONE).predict_to(10**9) == (None, False)


def test_predicts_nothing_without_a_clock_map(inputs: list[Message]) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    run(tracker, [msgspec.structs.replace(m, t_spacecraft_s=None) if isinstance(m, GnssFix) else m for m in inputs])
    assert tracker.counts["fixes_accepted"] > 0
    assert tracker.predict_to(newest_spacecraft_s(inputs) + 60) == (None, False)


@pytest.mark.parametrize("ahead_s", [-60, 0, 1 + PREDICTION_MAX_MS // 1000])
def test_predicts_neither_the_past_nor_the_far_future(inputs: list[Message], ahead_s: int) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    run(tracker, inputs)
    assert tracker.predict_to(newest_spacecraft_s(inputs) + ahead_s) == (None, False)


def newest_spacecraft_s(inputs: list[Message]) -> int:
    return max(m.t_spacecraft_s for m in inputs if isinstance(m, GnssFix) and m.t_spacecraft_s is not None)


def test_a_damaged_week_is_rejected_by_the_spacecraft_clock(inputs: list[Message]) -> None:
    damaged = list(inputs)
    fix = damaged[30]
    assert isinstance(fix, GnssFix)
    assert fix.gps_ms is not None
    week, tow_ms = week_from_gps_ms(fix.gps_ms)
    damaged[30] = msgspec.structs.replace(fix, gps_ms=gps_ms_from_week(week ^ 64, tow_ms))
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, damaged)
    assert len(estimates) == RECORDS - 1
    assert tracker.counts["rejected_time_inconsistent"] == 1
    assert tracker.counts["fixes_received"] == tracker.counts["fixes_accepted"] + 1


def with_wrong_weeks(inputs: list[Message], first: int, number: int, weeks: int) -> list[Message]:
    """Return the inputs with the times of `number` fixes wrong by whole weeks."""
    return [
        msgspec.structs.replace(m, gps_ms=m.gps_ms + weeks * MS_PER_WEEK)
        if isinstance(m, GnssFix) and m.gps_ms and first <= k < first + number
        else m
        for k, m in enumerate(inputs)
    ]


@pytest.mark.parametrize("weeks", [-1, 1])
@pytest.mark.parametrize("number", [1, 3, 5, 8])
def test_an_orbit_from_first_fixes_of_a_wrong_week_is_discarded(inputs: list[Message], number: int, weeks: int) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, with_wrong_weeks(inputs, 0, number, weeks))
    expected = {estimate.gps_ms: estimate for estimate in run(OrbitTracker(SETTINGS, NONE), inputs)}
    last = estimates[-1]
    assert (last.gps_ms, last.fix_gps_ms) == (max(expected), max(expected))
    assert math.dist(last.position_ecef_m, expected[last.gps_ms].position_ecef_m) < 5.0
    later = [estimate for estimate in estimates if estimate.input_seq > inputs[2 * number + 1].seq]
    assert {estimate.gps_ms for estimate in later} <= expected.keys()
    predicted, _ = tracker.predict_to(newest_spacecraft_s(inputs) + 60)
    assert predicted is not None
    assert predicted.gps_ms - predicted.fix_gps_ms == pytest.approx(60_000, abs=2_000)
    rejected = sum(count for name, count in tracker.counts.items() if name.startswith("rejected_"))
    assert tracker.counts["fixes_received"] == tracker.counts["fixes_accepted"] + rejected


@pytest.mark.parametrize("weeks", [-1, 1, 64])
@pytest.mark.parametrize(("first", "number"), [(40, 3), (40, 10), (RECORDS - 5, 5)])
def test_fixes_of_a_wrong_week_in_flight_are_rejected(
    inputs: list[Message], first: int, number: int, weeks: int
) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, with_wrong_weeks(inputs, first, number, weeks))
    expected = {estimate.gps_ms for estimate in run(OrbitTracker(SETTINGS, NONE), inputs)}
    assert len(estimates) == RECORDS - number
    assert {estimate.gps_ms for estimate in estimates} < expected
    assert tracker.counts["rejected_time_inconsistent"] == number
    assert tracker.take_notices() == []


def test_the_discarded_orbit_is_reported(inputs: list[Message]) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    run(tracker, with_wrong_weeks(inputs, 0, 5, 1))
    ((severity, name, text),) = tracker.take_notices()
    assert (severity, name) == ("warning", "fix_times")
    assert "discarded" in text


def test_counters_add_up_whatever_is_wrong_with_the_fixes(inputs: list[Message]) -> None:
    faults: list[dict[str, object]] = [
        {"gps_ms": None},
        {"position_solution": "none"},
        {"satellites_used": 0},
        {"position_ecef_m": (0.0, 0.0, 0.0)},
        {"position_ecef_m": (float("nan"), 0.0, 0.0)},
        {"position_ecef_m": (7e6, 7e6, 0.0)},
        {"time_sigma_s": math.inf},
        {"velocity_solution": "none"},
    ]
    spoilt = list(inputs)
    for k, fault in enumerate(faults):
        spoilt[7 * k + 3] = msgspec.structs.replace(spoilt[7 * k + 3], **fault)
    tracker = OrbitTracker(SETTINGS, NONE)
    run(tracker, spoilt)
    counts = tracker.counts
    rejected = sum(count for name, count in counts.items() if name.startswith("rejected_"))
    assert counts["fixes_received"] == counts["fixes_accepted"] + counts["fixes_waiting"] + rejected == RECORDS
    assert rejected == 7
    assert counts["velocities_rejected"] == 1


@pytest.mark.parametrize(
    ("wrong", "change", "cause"),
    [
        *((range(k, k + 1), np.diag([-1.0, -1.0, -1.0]), "start") for k in range(5)),
        (range(40, 41), np.diag([-1.0, 1.0, 1.0]), "gate"),
        (range(40, 43), 1.0003 * np.eye(3), "gate"),
    ],
)
def test_a_fix_of_which_only_the_velocity_is_used_counts_as_rejected(
    inputs: list[Message], wrong: range, change: NDArray[np.float64], cause: str
) -> None:
    spoilt = list(inputs)
    for k in wrong:
        fix = inputs[k]
        assert isinstance(fix, GnssFix)
        spoilt[k] = msgspec.structs.replace(fix, position_ecef_m=vector3(change @ np.array(fix.position_ecef_m)))
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, spoilt)
    assert all(estimate.accepted for estimate in estimates)
    expected = {"fixes_received": RECORDS, "fixes_accepted": RECORDS - len(wrong), "fixes_waiting": 0}
    assert tracker.counts == expected | {f"rejected_{cause}": len(wrong)}


def test_another_gravity_degree_gives_another_orbit(inputs: list[Message]) -> None:
    coarse = run(OrbitTracker(dataclasses.replace(SETTINGS, gravity_degree=4), NONE), inputs)
    fine = run(OrbitTracker(SETTINGS, NONE), inputs)
    assert coarse[-1].position_ecef_m != fine[-1].position_ecef_m


def test_partners_packets_are_neither_answered_nor_counted(inputs: list[Message]) -> None:
    alone, among = OrbitTracker(SETTINGS, NONE), OrbitTracker(SETTINGS, NONE)
    theirs = [msgspec.structs.replace(m, satellite_id=75) for m in inputs[:8] if isinstance(m, GnssFix)]
    mixed = [message for pair in zip(inputs[:8], theirs, strict=True) for message in pair]
    assert run(among, mixed) == run(alone, inputs[:8])
    assert among.counts == alone.counts
    assert not any(orbit_response(among, message, 1).messages for message in theirs)


def test_fixes_after_the_end_of_the_batch_continue_the_orbit(inputs: list[Message]) -> None:
    tracker = OrbitTracker(SETTINGS, NONE)
    run(tracker, [*inputs[:20], inputs[-1]])
    late = run(tracker, inputs[20:30])
    assert len(late) == 10
    assert all(estimate.accepted for estimate in late)


def test_the_counts_contain_the_manoeuvres(inputs: list[Message]) -> None:
    change_mps = np.array([0.3, 0.0, 0.0])
    moved: list[Message] = []
    for number, message in enumerate(inputs):
        if isinstance(message, GnssFix) and number >= 30:
            # At 25 s between fixes; the curvature of the relative motion is small in a quarter of an hour.
            position_m = np.array(message.position_ecef_m) + 25.0 * (number - 29.5) * change_mps
            velocity_mps = np.array(message.velocity_ecef_mps) + change_mps
            moved.append(
                msgspec.structs.replace(
                    message, position_ecef_m=vector3(position_m), velocity_ecef_mps=vector3(velocity_mps)
                )
            )
        else:
            moved.append(message)
    tracker = OrbitTracker(SETTINGS, NONE)
    found = [estimate for estimate in run(tracker, moved[:42]) if estimate.manoeuvre]
    assert len(found) == tracker.counts["manoeuvres"] == 1
    assert tracker.counts.keys() <= {field.name for field in status.FIELDS}


def test_the_event_of_a_manoeuvre_gives_time_and_change_of_the_velocity(inputs: list[Message]) -> None:
    estimate = run(OrbitTracker(SETTINGS, NONE), inputs[:10])[-1]
    assert estimate.manoeuvre == ""
    moved = msgspec.structs.replace(
        estimate,
        manoeuvre=str(Change.IMPULSE),
        manoeuvre_gps_ms=gps_ms_from_utc_iso("2025-03-20T01:30:00Z"),
        delta_v_rtn_mps=(0.001, 0.05, -0.002),
        delta_v_sigma_rtn_mps=(0.006, 0.005, 0.005),
    )
    assert manoeuvre_text(moved) == (
        "impulse before 2025-03-20T01:30:00.000Z; change of the velocity so far in mm/s: R 1 +- 6, T 50 +- 5, N -2 +- 5"
    )
    for change in set(Change) - {Change.TIME_STEP}:
        assert manoeuvre_text(msgspec.structs.replace(moved, manoeuvre=str(change)))


@pytest.mark.parametrize("error_s", [-18, -1, 1, 18])
def test_whole_seconds_by_which_times_become_wrong_and_right_again_are_corrected_and_reported(
    inputs: list[Message], error_s: int
) -> None:
    wrong = [
        msgspec.structs.replace(m, gps_ms=m.gps_ms + 1000 * error_s)
        if isinstance(m, GnssFix) and m.gps_ms and 20 <= k < 45
        else m
        for k, m in enumerate(inputs)
    ]
    tracker, undisturbed = OrbitTracker(SETTINGS, NONE), OrbitTracker(SETTINGS, NONE)
    estimates, expected = run(tracker, wrong), run(undisturbed, inputs)
    assert tracker.counts == undisturbed.counts
    for estimate, right in zip(estimates, expected, strict=True):
        assert (estimate.gps_ms, estimate.position_gcrf_m) == (right.gps_ms, right.position_gcrf_m)
        assert estimate.time_error_s == (error_s if 20 <= estimate.seq - 1 < 45 else 0)
        assert estimate.spacecraft_to_gps_ms == pytest.approx(right.spacecraft_to_gps_ms or 0, abs=1000)
    begin, end = tracker.take_notices()
    assert begin[:2] == end[:2] == ("warning", "fix_times")
    assert f"wrong by {error_s:+d} s" in begin[2]
    assert "without a correction" in end[2]


def test_a_step_of_the_time_by_a_part_of_a_second_is_reported(inputs: list[Message]) -> None:
    def wrong(message: Message) -> Message:
        if not isinstance(message, GnssFix) or message.gps_ms is None:
            return message
        return msgspec.structs.replace(message, gps_ms=message.gps_ms + 300)

    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, [*inputs[:20], *map(wrong, inputs[20:])])
    assert estimates[-1].time_error_s == pytest.approx(0.3, abs=0.003)
    (notice,) = tracker.take_notices()
    assert notice[:2] == ("warning", "fix_times")
    assert f"wrong by {estimates[-1].time_error_s:+g} s" in notice[2]


@pytest.mark.parametrize(
    ("wrong", "error_ms"),
    [(1, 1000), (2, -18_000), (3, -1000), (4, 18_000), (5, 300), (7, -300), (9, 300), (5, -1000), (7, 18_000)],
)
def test_a_step_of_the_time_among_the_first_fixes_is_reported(inputs: list[Message], wrong: int, error_ms: int) -> None:
    fixes = [m for m in inputs[:25] if isinstance(m, GnssFix)]
    moved: list[Message] = [
        msgspec.structs.replace(m, gps_ms=(m.gps_ms or 0) + (error_ms if k < wrong else 0)) for k, m in enumerate(fixes)
    ]
    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, moved)
    (notice,) = tracker.take_notices()
    assert notice[:2] == ("warning", "fix_times")
    # Before there is an orbit, or without whole seconds, the later fixes give it; otherwise the first ones.
    is_new = wrong < SETTINGS.start.fixes or error_ms % 1000
    assert estimates[-1].time_error_s == (0.0 if is_new else -error_ms / 1000)
    seconds = float(notice[2].split("wrong by ")[1].split(" s")[0])
    assert seconds == pytest.approx((error_ms if is_new else -error_ms) / 1000, abs=0.005)


def test_a_single_time_that_is_wrong_by_seconds_costs_no_fix(inputs: list[Message]) -> None:
    damaged = list(inputs)
    fix = damaged[30]
    assert isinstance(fix, GnssFix)
    assert fix.gps_ms is not None
    damaged[30] = msgspec.structs.replace(fix, gps_ms=fix.gps_ms + 10_000)
    estimates = run(OrbitTracker(SETTINGS, NONE), damaged)
    assert [e.time_error_s for e in estimates if e.time_error_s] == [10]
    assert all(e.accepted for e in estimates)


def test_velocities_that_the_positions_contradict_are_reported_once(inputs: list[Message]) -> None:
    def wrong(message: Message) -> Message:
        if not isinstance(message, GnssFix):
            return message
        return msgspec.structs.replace(
            message, velocity_ecef_mps=vector3(np.add(message.velocity_ecef_mps, (0.1, -0.1, 0.1)))
        )

    tracker = OrbitTracker(SETTINGS, NONE)
    run(tracker, [wrong(message) for message in inputs])
    ((severity, name, text),) = tracker.take_notices()
    assert (severity, name) == ("warning", "fix_velocities")
    assert "contradict" in text
    assert "manoeuvre" not in text
    undisturbed = OrbitTracker(SETTINGS, NONE)
    run(undisturbed, inputs)
    assert undisturbed.take_notices() == []


@pytest.mark.parametrize("is_doubted", [True, False])
def test_a_step_of_the_velocities_is_no_manoeuvre_and_one_that_was_reported_is_named(
    inputs: list[Message],
    is_doubted: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not is_doubted:
        monkeypatch.setattr(ErrorBank, "doubted", lambda _, hypotheses: hypotheses)

    def stepped(message: Message) -> Message:
        if not isinstance(message, GnssFix) or message.seq < inputs[len(inputs) // 2].seq:
            return message
        return msgspec.structs.replace(
            message, velocity_ecef_mps=vector3(np.add(message.velocity_ecef_mps, (0.05, -0.05, 0.05)))
        )

    tracker = OrbitTracker(SETTINGS, NONE)
    estimates = run(tracker, [stepped(message) for message in inputs])
    reported_ms = {each.manoeuvre_gps_ms for each in estimates if each.manoeuvre}
    ((_, name, text),) = tracker.take_notices()
    assert name == "fix_velocities"
    assert len(reported_ms) == (not is_doubted)
    for each_ms in reported_ms:
        assert f"the manoeuvre before GPS {each_ms} ms was probably an error of these velocities" in text


def test_the_time_status_of_the_receiver_is_in_the_sigma(inputs: list[Message]) -> None:
    coarse = [msgspec.structs.replace(m, time_sigma_s=0.01) if isinstance(m, GnssFix) else m for m in inputs]
    sigma_m = [math.hypot(*run(OrbitTracker(SETTINGS, NONE), fixes)[-1].position_sigma_m) for fixes in (inputs, coarse)]
    assert sigma_m[0] < 10.0
    assert 60.0 < sigma_m[1] < 90.0
