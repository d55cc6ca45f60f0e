"""Sequential filter: accuracy, consistency, ambiguity, gaps and rejected observations."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation.filter import FormationFilter, FormationRejectCause
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.solution import FormationSolution
from tests.pygnc.estimators.formation.joint_world import (
    ARC_MIN,
    GPS_ON_ALL,
    GPS_ON_OURS,
    error_m,
    nees,
    process_all,
    solved,
    truth_gcrf,
    world,
)
from tests.pygnc.estimators.formation.worlds import displaced_by_clock

DRAWS = 20
PARTNER = 75


def state_arrays(filtering: FormationFilter) -> list[Array]:
    """Return all arrays of the state."""
    return [part for group in filtering.memory.banks for each in group.hypotheses for part in (each.x, each.root)]


def hypothesis_count(filtering: FormationFilter, partner: int) -> int:
    return next(len(group.hypotheses) for group in filtering.memory.banks if partner in group.satellites)


def partners_fixes(since_ms: int, minutes: int) -> list[SatelliteFix]:
    fixes = world().records(GPS_ON_ALL).fixes
    return [seen for seen in fixes if seen.satellite == PARTNER and 0 < seen.fix.gps_ms - since_ms <= 60_000 * minutes]


def swapped_solution(solution: FormationSolution) -> FormationSolution:
    """Return the solution with the chi-squares of its first two hypotheses exchanged."""
    best, second, *others = solution.hypotheses
    swapped = (replace(second, chi_square=best.chi_square), replace(best, chi_square=second.chi_square), *others)
    return replace(solution, hypotheses=swapped)


@pytest.mark.slow
def test_initial_state_equals_the_batch() -> None:
    batch_case = solved()
    filtering = batch_case.filter()
    relative = filtering.relative(PARTNER)
    expected = batch_case.solution.relative_at(filtering.gps_ms, PARTNER)
    np.testing.assert_allclose(relative.rtn, expected.rtn, rtol=1e-9)
    np.testing.assert_allclose(relative.covariance_rtn, expected.covariance_rtn, rtol=1e-4, atol=1e-9)
    assert filtering.bias_of((74, PARTNER)) == pytest.approx(batch_case.solution.bias_of((74, PARTNER)), rel=1e-6)
    assert filtering.partners[PARTNER].chi_square_best == batch_case.solution.partners[PARTNER].chi_square_best


@pytest.mark.slow
def test_errors_and_innovations_are_consistent_over_many_draws() -> None:
    squares, innovations = [], []
    for draw in range(DRAWS):
        batch_case = solved(GPS_ON_ALL, draw, minutes=64, arc_minutes=34)
        filtering = batch_case.filter()
        verdicts = process_all(filtering, batch_case.until(30))
        truth = truth_gcrf(filtering.gps_ms, PARTNER, minutes=64)
        squares.append(nees(filtering.relative(PARTNER), *truth))
        innovations += [verdict.nis for verdict in verdicts if verdict.cause is None]
    # 95 % bands of chi-square with 120 and 600 degrees of freedom.
    assert len(innovations) == 30 * DRAWS
    assert 4.57 < np.mean(squares) < 7.61
    assert 0.89 < np.mean(innovations) < 1.12


@pytest.mark.slow
def test_the_clock_error_of_later_fixes_does_not_move_a_partner_along_its_track() -> None:
    filtering = solved().filter()
    for _, fixes in solved().until(30):
        for seen in fixes:
            late = displaced_by_clock(seen, world()) if seen.satellite == PARTNER else seen
            assert filtering.process_fix(late).moved
    sigma_m = np.sqrt(np.trace(filtering.relative(PARTNER).covariance_gcrf[:3, :3]))
    assert error_m(filtering, PARTNER) < 3.0 * sigma_m < 30.0


@pytest.mark.slow
def test_agrees_with_a_batch_of_the_whole_arc_after_an_hour() -> None:
    batch_case = solved()
    filtering = batch_case.filter()
    before = filtering.relative(PARTNER)
    process_all(filtering, batch_case.until(60))
    after = filtering.relative(PARTNER)
    batch = solved(arc_minutes=ARC_MIN + 60).solution.relative_at(filtering.gps_ms, PARTNER)
    sigma_m = [math.sqrt(np.trace(each.covariance_rtn[:3, :3])) for each in (before, after, batch)]
    assert sigma_m[1] < 0.8 * sigma_m[0]
    assert sigma_m[1] == pytest.approx(sigma_m[2], rel=0.15)
    assert np.linalg.norm(after.rtn[:3] - batch.rtn[:3]) < sigma_m[2]


@pytest.mark.slow
def test_partner_fixes_resolve_the_ambiguity_even_if_the_batch_chose_wrong() -> None:
    batch_case = solved(GPS_ON_OURS, draw=1)
    assert error_m(batch_case.filter(), PARTNER) < 50.0
    wrong = swapped_solution(batch_case.solution)
    filtering = batch_case.filter(wrong)
    partner = filtering.partners[PARTNER]
    assert partner.ambiguous
    assert partner.chi_square_best < partner.chi_square_mirror < math.inf
    assert error_m(filtering, PARTNER) > 50.0
    for seen in partners_fixes(filtering.gps_ms, 20):
        filtering.process_fix(seen)
    assert hypothesis_count(filtering, PARTNER) == 1
    partner = filtering.partners[PARTNER]
    assert not partner.ambiguous
    assert partner.chi_square_mirror - partner.chi_square_best > batch_case.settings.certain_chi_square
    assert nees(filtering.relative(PARTNER), *truth_gcrf(filtering.gps_ms, PARTNER)) < 20.0


@pytest.mark.slow
def test_ambiguity_remains_without_observations() -> None:
    batch_case = solved(GPS_ON_OURS)
    filtering = batch_case.filter()
    count = hypothesis_count(filtering, PARTNER)
    process_all(filtering, batch_case.until(10))
    assert 1 < hypothesis_count(filtering, PARTNER) <= count
    assert filtering.partners[PARTNER].ambiguous


@pytest.mark.slow
def test_unconnected_partners_have_separate_hypotheses() -> None:
    batch_case = solved(GPS_ON_OURS, satellites=3, minutes=75)
    filtering = batch_case.filter()
    assert [group.satellites for group in filtering.memory.banks] == [(74, 75), (74, 76)]
    assert hypothesis_count(filtering, 75) + hypothesis_count(filtering, 76) <= len(batch_case.solution.hypotheses) + 1
    process_all(filtering, batch_case.until(10))
    with pytest.raises(ValueError, match="satellite 99 is not solved"):
        filtering.relative(99)


@pytest.mark.slow
def test_bridges_a_gap_of_three_hours_with_a_larger_covariance() -> None:
    batch_case = solved()
    filtering = batch_case.filter()
    before = math.sqrt(np.trace(filtering.relative(PARTNER).covariance_gcrf[:3, :3]))
    last_ms = max(batch_case.later)
    (verdict,) = process_all(filtering, [batch_case.later[last_ms]])
    assert verdict.cause is None
    assert filtering.gps_ms == last_ms > world().start_gps_ms + 60_000 * (ARC_MIN + 180)
    relative = filtering.relative(PARTNER)
    after = math.sqrt(np.trace(relative.covariance_gcrf[:3, :3]))
    assert after > 2.0 * before
    assert error_m(filtering, PARTNER) < 3.0 * after
    assert nees(relative, *truth_gcrf(last_ms, PARTNER)) < 20.0


def test_process_noise_enlarges_the_covariance() -> None:
    batch_case = solved()
    quiet = replace(
        batch_case, settings=replace(batch_case.settings, log_drag_sigma=1e-6, differential_log_drag_sigma=1e-6)
    )
    last_ms = max(batch_case.later)
    drag_sigma = []
    for filtering in (batch_case.filter(), quiet.filter()):
        process_all(filtering, [batch_case.later[last_ms]])
        covariance = filtering.memory.banks[0].hypotheses[0].covariance
        drag_sigma.append(math.sqrt(covariance[6, 6] + covariance[13, 13] - 2.0 * covariance[6, 13]))
    assert drag_sigma[0] > 1.01 * drag_sigma[1]


def test_repeated_runs_give_the_same_bits() -> None:
    batch_case = solved()
    first, second = batch_case.filter(), batch_case.filter()
    for filtering in (first, second):
        process_all(filtering, batch_case.until(120)[::60])
    for a, b in zip(state_arrays(first), state_arrays(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_rejects_late_duplicate_and_unknown_observations_with_a_cause() -> None:
    batch_case = solved()
    filtering = batch_case.filter()
    (_, (own_fix, *_)), ((seen,), _) = batch_case.until(1)
    last = max(batch_case.solution.ranges, key=lambda each: each.gps_ms)
    assert filtering.process_range(last).cause is FormationRejectCause.DUPLICATE
    assert filtering.process_range(seen).moved
    before = state_arrays(filtering)
    expected = {
        seen: FormationRejectCause.DUPLICATE,
        replace(seen, other=99): FormationRejectCause.SATELLITE,
        replace(seen, one=75, other=74, range_m=math.nan): FormationRejectCause.NOT_FINITE,
        replace(seen, gps_ms=seen.gps_ms + 13 * 3_600_000): FormationRejectCause.GAP,
    }
    for rejected, cause in expected.items():
        verdict = filtering.process_range(rejected)
        assert verdict.cause is cause
        assert not verdict.moved
    late = filtering.process_fix(own_fix)
    assert late.cause is FormationRejectCause.NOT_LATER
    assert not late.moved
    for a, b in zip(before, state_arrays(filtering), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_outlier_moves_neither_state_nor_time() -> None:
    batch_case = solved()
    filtering = batch_case.filter()
    begin_ms = filtering.gps_ms
    (seen,) = batch_case.until(1)[1][0]
    verdict = filtering.process_range(replace(seen, gps_ms=seen.gps_ms + 3_600_000, range_m=seen.range_m + 1_000.0))
    assert verdict.cause is FormationRejectCause.GATE
    assert verdict.residual_m == pytest.approx(1_000.0, abs=500.0)
    assert not verdict.moved
    assert filtering.gps_ms == begin_ms
    assert filtering.process_range(seen).cause is None


def test_uses_both_directions_of_a_pair_once() -> None:
    batch_case = solved()
    (seen,) = batch_case.until(1)[1][0]
    back = RangeObservation(seen.gps_ms, seen.other, seen.one, seen.range_m)
    filtering = batch_case.filter()
    verdicts = [filtering.process_range(each) for each in (seen, back, seen)]
    assert [verdict.cause for verdict in verdicts] == [None, None, FormationRejectCause.DUPLICATE]


def test_rejects_ranges_to_a_partner_with_an_uncertain_position() -> None:
    batch_case = solved()
    best = batch_case.solution.hypotheses[0]
    vague = replace(best, covariance=best.covariance * 1e6)
    filtering = batch_case.filter(replace(batch_case.solution, hypotheses=(vague,)))
    verdict = filtering.process_range(batch_case.until(1)[1][0][0])
    assert verdict.cause is FormationRejectCause.VAGUE
    assert filtering.partners[PARTNER].unsolved is not None
