"""The formation tracker on the files of three satellites, and with less."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import (
    BatchEnd,
    ClosestApproach,
    FormationEstimate,
    FormationMessage,
    GnssFix,
    InputMessage,
    OrbitMessage,
    RangeMeasurement,
)
from pygnc.navigation import formation as module
from pygnc.navigation.formation import SOLVED_AGAIN_MS, FormationTracker
from tests.pygnc.navigation import formation_batch as batch

pytestmark = pytest.mark.xdist_group("formation_batch")  # one worker makes the batch


def fly(
    tracker: FormationTracker, messages: Iterable[InputMessage], answers: dict[int, list[OrbitMessage]]
) -> list[FormationMessage]:
    """Give the tracker messages, and orbits as far as it waits for them."""
    return flown(tracker, messages, answers, None)[1]


def flown(
    tracker: FormationTracker,
    messages: Iterable[InputMessage],
    answers: dict[int, list[OrbitMessage]],
    before: list[InputMessage] | None,
) -> tuple[FormationTracker, list[FormationMessage]]:
    """Do the same; given the inputs so far, continue from a checkpoint after every seventh input and each solution."""
    said: list[FormationMessage] = []
    orbits: list[OrbitMessage] = []
    for message in messages:
        said += tracker.process(message)
        orbits += answers.get(message.seq, [])
        while tracker.problem is not None or (tracker.awaits_orbit and orbits):
            if tracker.problem is None:
                tracker.take_orbit(orbits.pop(0))
            if before is not None and tracker.problem is not None:
                tracker = restarted(tracker, [*before, message])
            if tracker.problem is not None:
                said += solved(tracker)
        if before is not None:
            before.append(message)
            if len(before) % 7 == 0:
                tracker = restarted(tracker, before)
    return tracker, said


def restarted(tracker: FormationTracker, before: Sequence[InputMessage]) -> FormationTracker:
    """Return a tracker that continues from the checkpoint of another one."""
    again = FormationTracker(batch.SETTINGS, batch.orientation(), tracker.checkpoint())
    again.restore(before)
    return again


def solved(tracker: FormationTracker) -> list[FormationMessage]:
    """Solve the tracker's problem."""
    assert tracker.problem is not None
    return [message for messages in tracker.accept(tracker.problem()) for message in messages]


def estimates(said: Sequence[FormationMessage], partner: int) -> list[FormationEstimate]:
    return [one for one in said if isinstance(one, FormationEstimate) and one.partner_id == partner]


def sigma_m(estimate: FormationEstimate) -> float:
    assert estimate.covariance_rtn is not None
    return float(np.sqrt(sum(estimate.covariance_rtn[place] for place in (0, 2, 5))))


def fresh() -> FormationTracker:
    return FormationTracker(batch.SETTINGS, batch.orientation())


@pytest.fixture(scope="module")
def said() -> list[FormationMessage]:
    return fly(fresh(), batch.inputs(), batch.answers())


@pytest.mark.parametrize("partner", batch.PARTNERS)
def test_partners_are_near_the_truth_at_every_range(said: list[FormationMessage], partner: int) -> None:
    found = estimates(said, partner)
    own_ranges = [m for m in batch.inputs() if isinstance(m, RangeMeasurement) and m.satellite_id == 0]
    assert len(found) >= len([m for m in own_ranges if m.partner_id == partner]) == 50
    errors_m, sigmas_m = [], []
    # A range may follow the last of the samples that the table of truth is of.
    for one in [one for one in found if one.gps_ms in batch.truth(partner)]:
        assert one.position_gcrf_m is not None
        errors_m.append(np.linalg.norm(np.array(one.position_gcrf_m) - batch.true_place_m(one.gps_ms, partner)))
        sigmas_m.append(sigma_m(one))
    assert len(errors_m) >= 49
    assert np.sqrt(np.mean(np.square(errors_m))) < 3.0 * np.sqrt(np.mean(np.square(sigmas_m))) < 15.0


@pytest.mark.slow
@pytest.mark.parametrize("error_ms", [1_000, 300])
def test_own_fixes_are_used_at_the_times_that_the_orbit_filter_found(error_ms: int) -> None:
    own = [message for message in batch.inputs() if isinstance(message, GnssFix) and message.is_own]
    since_ms = own[len(own) // 3].gps_ms or 0

    def wrong(message: InputMessage) -> InputMessage:
        if not isinstance(message, GnssFix) or not message.is_own or (message.gps_ms or 0) < since_ms:
            return message
        return msgspec.structs.replace(message, gps_ms=(message.gps_ms or 0) + error_ms)

    messages = [wrong(message) for message in batch.inputs()]
    said = fly(fresh(), messages, batch.answers_to(messages))
    for partner in batch.PARTNERS:
        last = [one for one in estimates(said, partner) if one.gps_ms in batch.truth(partner)][-1]
        assert last.position_gcrf_m is not None
        error_m = np.linalg.norm(np.array(last.position_gcrf_m) - batch.true_place_m(last.gps_ms, partner))
        assert error_m < 4.0 * sigma_m(last) < 40.0


def test_messages_are_numbered_from_one_and_in_order_of_time(said: list[FormationMessage]) -> None:
    assert [one.seq for one in said] == list(range(1, len(said) + 1))
    times = [one.gps_ms for one in said if isinstance(one, FormationEstimate)]
    assert times == sorted(times)


def test_length_and_axes_agree_between_both_frames(said: list[FormationMessage]) -> None:
    for one in estimates(said, 75):
        assert one.position_rtn_m is not None
        assert one.position_gcrf_m is not None
        assert np.linalg.norm(one.position_rtn_m) == pytest.approx(np.linalg.norm(one.position_gcrf_m), abs=1e-6)


def test_residuals_are_those_of_our_own_ranges(said: list[FormationMessage]) -> None:
    found = [one for one in estimates(said, 75) if one.range_residual_m is not None]
    assert len(found) == 50
    residual = np.array([one.range_residual_m for one in found])
    assert 7.0 < residual.std() < 13.0
    for one in found:
        assert one.position_rtn_m is not None
        assert one.range_bias_m is not None
        assert one.range_bias_m == pytest.approx(1052.0, abs=6.0)


def test_with_fixes_of_the_partners_nothing_is_ambiguous(said: list[FormationMessage]) -> None:
    found = [one for one in said if isinstance(one, FormationEstimate)]
    assert not any(one.ambiguous or one.cause for one in found)
    assert all(one.chi2_best is not None and one.chi2_mirror is not None for one in found)
    assert all(one.chi2_mirror > one.chi2_best + 30.0 for one in found if one.chi2_mirror and one.chi2_best)


def test_ranges_alone_are_ambiguous_and_the_mirror_is_reported() -> None:
    own = [m for m in batch.inputs() if not (isinstance(m, GnssFix | RangeMeasurement) and m.satellite_id)]
    # Ranges of 10 m over 50 min leave sigmas about as large as the distances.
    formation = replace(batch.SETTINGS.formation, solved_sigma_ratio=5.0)
    tracker = FormationTracker(replace(batch.SETTINGS, formation=formation), batch.orientation())
    said = fly(tracker, own, batch.answers())
    solved = [one for one in said if isinstance(one, FormationEstimate) and not one.cause]
    assert solved
    assert all(one.ambiguous for one in solved)
    assert any(one.mirror_rtn_m is not None for one in solved)


def test_gives_the_same_messages_again(said: list[FormationMessage]) -> None:
    assert fly(fresh(), batch.inputs(), batch.answers()) == said


def test_range_counters_add_up() -> None:
    tracker = fresh()
    fly(tracker, batch.inputs(), batch.answers())
    counts = tracker.counts
    assert counts["ranges_received"] == sum(isinstance(m, RangeMeasurement) for m in batch.inputs()) == 300
    assert counts["ranges_held"] == counts["ranges_no_time"] == 0
    assert counts["ranges_used"] + counts["ranges_rejected"] == 300
    assert counts["ranges_unsolved"] == counts["ranges_old"] == counts["ranges_repeated"] == 0
    assert counts["fixes_of_partners"] == 100


def test_reports_the_cause_for_each_partner_without_an_orbit() -> None:
    tracker = fresh()
    for message in batch.inputs():
        tracker.process(message)
    assert tracker.awaits_orbit
    tracker.give_up_orbit()
    named = [(one.partner_id, one.cause) for one in solved(tracker) if isinstance(one, FormationEstimate)]
    assert sorted(named) == [(partner, "our own orbit is unknown") for partner in batch.PARTNERS]


def test_a_long_arc_gives_a_preliminary_result_of_its_end_first(
    said: list[FormationMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONG_ARC_MS", 1_200_000)
    monkeypatch.setattr(module, "LAST_HOUR_MS", 900_000)
    found = fly(fresh(), batch.inputs(), batch.answers())
    early = fly(fresh(), batch.inputs(), {})
    assert early == found[: len(batch.PARTNERS)]  # it does not await the orbit task
    first, rest = found[: len(batch.PARTNERS)], found[len(batch.PARTNERS) :]
    assert [msgspec.structs.replace(one, seq=0) for one in rest] == [
        msgspec.structs.replace(one, seq=0) for one in said
    ]
    for partner in batch.PARTNERS:
        (preliminary,) = estimates(first, partner)
        final = max(estimates(said, partner), key=lambda estimate: estimate.gps_ms)
        assert preliminary.gps_ms == final.gps_ms
        assert preliminary.position_rtn_m is not None
        assert final.position_rtn_m is not None
        away_m = np.subtract(preliminary.position_rtn_m, final.position_rtn_m)
        assert np.linalg.norm(away_m) < 5.0 * sigma_m(preliminary)
        assert sigma_m(preliminary) > sigma_m(final)


def test_poses_no_problem_before_the_end_of_the_batch_or_without_a_partner() -> None:
    tracker = fresh()
    *messages, end = batch.inputs()
    for message in messages:
        tracker.process(message)
        assert tracker.problem is None
        assert not tracker.awaits_orbit
    alone = fresh()
    for message in [m for m in messages if isinstance(m, GnssFix) and m.is_own]:
        alone.process(message)
    alone.process(end)
    assert alone.problem is None
    assert not alone.awaits_orbit


def fly_in_two(
    before: list[InputMessage] | None = None, late_error_m: float = 0.0
) -> tuple[FormationTracker, list[FormationMessage], list[FormationMessage]]:
    """Return messages before and after the end of a batch of thirty minutes; later inputs are processed one by one.

    Later ranges are too long by `late_error_m`.
    """
    *messages, end = batch.inputs()
    ranges = [number for number, message in enumerate(messages) if isinstance(message, RangeMeasurement)]
    early = messages[: ranges[180]]
    late = [
        msgspec.structs.replace(message, range_m=message.range_m + late_error_m)
        if isinstance(message, RangeMeasurement)
        else message
        for message in messages[ranges[180] :]
    ]
    # Its number is not taken from another input: answers go by numbers.
    batch_end = BatchEnd(seq=early[-1].seq, cause="")
    answers = {seq: answer for seq, answer in batch.answers().items() if seq < end.seq}
    mark = msgspec.structs.replace(batch.answers()[end.seq][-1], last_input_seq=batch_end.seq, seq=1)
    of_batch = answers | {batch_end.seq: [*answers.get(batch_end.seq, []), mark]}
    tracker, said = flown(fresh(), [*early, batch_end], of_batch, before)
    tracker, later = flown(tracker, late, answers, before)
    return tracker, said, later


@pytest.fixture(scope="module")
def in_two() -> tuple[FormationTracker, list[FormationMessage], list[FormationMessage]]:
    return fly_in_two()


@pytest.mark.slow
def test_estimates_observations_after_the_batch_at_once(
    in_two: tuple[FormationTracker, list[FormationMessage], list[FormationMessage]],
) -> None:
    _, said, later = in_two
    newest_ms = max(one.gps_ms for one in said if isinstance(one, FormationEstimate))
    for partner in batch.PARTNERS:
        found = [one for one in estimates(later, partner) if one.gps_ms in batch.truth(partner)]
        assert len({one.gps_ms for one in found}) >= 18
        assert min(one.gps_ms for one in found) > newest_ms
        for one in found:
            assert one.position_gcrf_m is not None
            assert np.linalg.norm(np.array(one.position_gcrf_m) - batch.true_place_m(one.gps_ms, partner)) < 15.0


@pytest.mark.slow
def test_partners_whose_later_ranges_do_not_fit_have_a_cause_and_no_state() -> None:
    _, said, later = fly_in_two(late_error_m=1_000.0)
    for partner in batch.PARTNERS:
        assert not estimates(said, partner)[-1].cause
        found = [one for one in estimates(later, partner) if one.cause]
        assert "do not fit" in found[0].cause
        assert found[0].position_rtn_m is None
        assert found[0].gps_ms - estimates(said, partner)[-1].gps_ms <= 9 * 60_000


def test_solves_the_whole_arc_again_later(
    in_two: tuple[FormationTracker, list[FormationMessage], list[FormationMessage]],
) -> None:
    tracker, said, later = in_two
    first = next(place for place, one in enumerate(later) if isinstance(one, ClosestApproach))
    last_ms = max(one.gps_ms for one in later[:first] if isinstance(one, FormationEstimate))
    assert tracker.counts["ranges_used"] > 180
    assert _sums_up(tracker)
    newest_ms = max(one.gps_ms for one in said if isinstance(one, FormationEstimate))
    assert last_ms - newest_ms >= SOLVED_AGAIN_MS - 60_000
    assert [one.seq for one in [*said, *later]] == list(range(1, len(said) + len(later) + 1))


def test_reports_closest_approaches_of_every_partner_and_hypothesis(said: list[FormationMessage]) -> None:
    approaches = [one for one in said if isinstance(one, ClosestApproach)]
    assert {one.partner_id for one in approaches} == set(batch.PARTNERS)
    newest_ms = max(one.gps_ms for one in said if isinstance(one, FormationEstimate))
    for one in approaches:
        assert 0 <= one.gps_ms - newest_ms <= 86_400_000 + 60_000
        assert one.distance_m > 0.0
        assert one.sigma_m > 0.0
        assert one.least_m <= one.distance_m


def test_complete_stages_are_not_computed_again(said: list[FormationMessage], monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = fresh()
    before = fly(tracker, batch.inputs()[:-1], batch.answers())
    tracker.process(batch.inputs()[-1])
    for message in [each for answer in batch.answers().values() for each in answer]:
        if tracker.awaits_orbit:
            tracker.take_orbit(message)
    assert tracker.stage == ("arc", 0)
    assert tracker.problem is not None
    tracker.problem()
    posed, stages = tracker.stage
    assert posed == "arc"
    assert stages >= 4
    monkeypatch.setattr("pygnc.estimators.formation.arc_solver.minimise", None)
    monkeypatch.setattr("pygnc.estimators.formation.search.FormationSearch.candidates", None)
    again = restarted(tracker, batch.inputs())
    assert again.stage == (posed, stages)
    assert [*before, *solved(again)] == said


@pytest.mark.slow
def test_restarts_change_no_bit_of_solution_and_filter(
    in_two: tuple[FormationTracker, list[FormationMessage], list[FormationMessage]],
) -> None:
    tracker, said, later = in_two
    again, *found = fly_in_two([])
    assert again.counts == tracker.counts
    assert found == [said, later]


def test_a_restart_after_a_solution_counts_the_old_ranges_again() -> None:
    settings = replace(batch.SETTINGS, formation=replace(batch.SETTINGS.formation, arc_max_s=600.0))
    tracker = FormationTracker(settings, batch.orientation())
    for message in batch.inputs():
        tracker.process(message)
    tracker.give_up_orbit()
    tracker.problem, tracker._memory.posed = None, ""  # as after the solution
    assert tracker.counts["ranges_old"] > 0
    again = FormationTracker(settings, batch.orientation(), tracker.checkpoint())
    again.restore(batch.inputs())
    assert again.counts == tracker.counts


def _sums_up(tracker: FormationTracker) -> bool:
    counts = tracker.counts
    return counts["ranges_received"] == sum(
        counts[f"ranges_{name}"] for name in ("held", "no_time", "used", "rejected", "repeated", "old", "unsolved")
    )


def test_counts_a_repeated_range_once() -> None:
    messages = batch.inputs()[:200]
    ranges = [message for message in messages if isinstance(message, RangeMeasurement)]
    once, twice = fresh(), fresh()
    fly(once, messages, batch.answers())
    fly(twice, [again for message in messages for again in (message, message)], batch.answers())
    assert twice.counts["ranges_received"] == 2 * len(ranges)
    assert twice.counts["ranges_held"] == once.counts["ranges_held"]
    assert len(twice._arc.ranges) == len(once._arc.ranges) == len(ranges) - once.counts["ranges_held"]
    assert twice.counts["ranges_repeated"] == len(once._arc.ranges)
    assert all(_sums_up(tracker) for tracker in (once, twice))
