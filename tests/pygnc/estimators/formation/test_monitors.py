"""Monitors of rejected observations, in solutions and in the filter."""

from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest

from pygnc.estimators.formation.monitors import REJECTED_MAX, contradictions, rejection_sum
from pygnc.estimators.formation.observations import RangeObservation
from pygnc.estimators.formation.reference import DRAG_MODES
from tests.pygnc.estimators.formation.joint_world import process_all, solved
from tests.pygnc.estimators.formation.worlds import MESH_ALL, given, world


def largest_sum(rejected: list[bool]) -> int:
    return max(accumulate(rejected, rejection_sum, initial=0))


def test_successive_rejections_reach_the_limit_and_outliers_do_not() -> None:
    assert largest_sum([False] * 100 + [True] * 7) < REJECTED_MAX
    assert largest_sum([False] * 100 + [True] * 8) >= REJECTED_MAX
    assert largest_sum([True, True, False] * 9) >= REJECTED_MAX
    outliers = np.random.default_rng(1).random((6, 720)) < 0.2
    assert max(largest_sum(pair.tolist()) for pair in outliers) < REJECTED_MAX


def displaced(seen: RangeObservation, since_ms: int, pair: tuple[int, int]) -> RangeObservation:
    return replace(seen, range_m=seen.range_m + 1_000.0) if seen.pair == pair and seen.gps_ms > since_ms else seen


@pytest.mark.slow
def test_a_solution_that_rejects_the_last_ranges_of_a_pair_is_not_solved() -> None:
    measured = given(world(5), MESH_ALL)
    since_ms = max(seen.gps_ms for seen in measured.ranges) - 15 * 60_000
    solution = measured._replace(ranges=[displaced(seen, since_ms, (75, 76)) for seen in measured.ranges]).solved()
    assert solution.partners[75].unsolved == "15 of 64 ranges to 76 do not fit"
    assert solution.partners[76].unsolved == "15 of 64 ranges to 75 do not fit"
    assert solution.partners[77].unsolved is None


def test_an_improbable_drag_contradicts_an_orbit() -> None:
    solution = solved().solution
    parameters = solution.hypotheses[0].parameters.copy()
    without_ranges = replace(solution.equations.with_drag_modes(np.eye(2), (1.0,) * DRAG_MODES), ranges=())
    assert contradictions(without_ranges, parameters) == {}
    parameters[without_ranges.mode_indices(1)[4]] = 10.0
    assert contradictions(without_ranges, parameters) == {1: "its drag would have to vary by 10 standard deviations"}


def test_the_filter_reports_a_partner_whose_ranges_it_rejects() -> None:
    case = solved()
    filtering, moments = case.filter(), case.until(REJECTED_MAX)
    wrong = [displaced(seen, 0, (74, 75)) for ranges, _ in moments for seen in ranges]
    for seen in wrong[: REJECTED_MAX - 1]:
        filtering.process_range(seen)
    assert filtering.partners[75].unsolved is None
    filtering.process_range(wrong[REJECTED_MAX - 1])
    assert filtering.partners[75].unsolved == "ranges to 74 do not fit"


def test_the_filter_does_not_make_a_partner_certain_that_did_not_fit() -> None:
    case = solved()
    unfit = replace(case.solution.partners[75], fits=False, ambiguous=True)
    filtering = case.filter(replace(case.solution, partners={75: unfit}))
    process_all(filtering, case.until(10))
    assert filtering.partners[75].ambiguous
    contradicted = replace(unfit, unsolved="its ranges do not fit")
    assert (
        case.filter(replace(case.solution, partners={75: contradicted})).partners[75].unsolved == contradicted.unsolved
    )


def test_of_hypotheses_dropped_at_once_the_best_is_the_nearest_competitor() -> None:
    bank = solved().filter().memory.banks[0]
    best = bank.hypotheses[0]
    bank.differing = np.ones((3, 3, 2), dtype=np.bool_)
    worse = [best._replace(number=number, chi_square=best.chi_square + 1e3 * number) for number in (1, 2)]
    bank.replace([best, *worse], 0, are_compared=True)
    assert bank.dropped_excess[1] == pytest.approx(1e3)
