"""Arcs of simulated formations: accuracy against the bound, ambiguity, and missing observations."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pygnc.estimators.formation.arc_solver import FormationSolver, _mode_covariance
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.reference import PathStart, log_drag, state_indices
from pygnc.estimators.formation.relative_motion import orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.state import DRAG
from pygnc_ground.scenario.settings import Shape
from tests.pygnc.estimators.formation.simulated import Instruments
from tests.pygnc.estimators.formation.worlds import (
    CALIBRATED,
    FRAMES,
    MESH_ALL,
    MESH_ANCHOR,
    ORBIT,
    STAR_ANCHOR,
    bound_m,
    displaced_by_clock,
    elements_nees,
    errors,
    given,
    right,
    total,
    world,
    worst_sigmas,
)

pytestmark = pytest.mark.slow

PARTNERS = (75, 76, 77)


@cache
def mesh() -> FormationSolution:
    return given(world(5), MESH_ALL).solved()


def test_with_gps_on_all_errors_are_near_the_bound_and_unambiguous() -> None:
    true = world(5)
    solution = mesh()
    found = [errors(solution, true, partner) for partner in PARTNERS]
    assert total([one.rms_m for one in found]) < 2.0 * total(bound_m(true, MESH_ALL).tolist())
    assert total([one.sigma_m for one in found]) == pytest.approx(total(bound_m(true, MESH_ALL).tolist()), rel=0.2)
    assert not any(partner.ambiguous for partner in solution.partners.values())
    assert all(partner.chi_square_mirror > partner.chi_square_best + 100.0 for partner in solution.partners.values())


@pytest.mark.parametrize("shape", ["free", "bounded"])
def test_with_own_gps_only_the_truth_is_a_hypothesis_and_ambiguity_is_reported(shape: Shape) -> None:
    true = world(2, shape, satellites=3)
    solution = given(true, MESH_ANCHOR).solved()
    found = [right(solution, true, partner) for partner in PARTNERS[:2]]
    assert total([one.rms_m for one in found]) < 2.0 * total(bound_m(true, MESH_ANCHOR).tolist())
    assert all(solution.partners[partner].ambiguous for partner in PARTNERS[:2])


def test_a_star_is_ambiguous_and_contains_the_truth() -> None:
    true = world(2, "free", satellites=3)
    solution = given(true, STAR_ANCHOR).solved()
    assert solution.partners[75].ambiguous
    assert len(solution.hypotheses) >= 4
    assert right(solution, true, 75).rms_m < 2.0 * float(bound_m(true, STAR_ANCHOR)[0])


@pytest.mark.parametrize(("seed", "shape"), [(3, "bounded"), (5, "free")])
def test_every_partner_of_a_star_is_a_hypothesis_within_its_covariance(seed: int, shape: Shape) -> None:
    true = world(seed, shape)
    solution = given(true, STAR_ANCHOR).solved()
    for partner in PARTNERS:
        found = [elements_nees(solution, true, partner, number) for number in range(len(solution.hypotheses))]
        assert min(found) < 20.0
        assert solution.partners[partner].ambiguous


def test_finds_a_narrow_ridge_next_to_a_broad_one() -> None:
    true = world(266, "bounded", satellites=2)
    solution = given(true, STAR_ANCHOR).solved()
    found = [elements_nees(solution, true, 75, number) for number in range(len(solution.hypotheses))]
    assert min(found) < 20.0


def test_three_fixes_of_a_partner_exclude_its_mirror_image() -> None:
    true = world(5)
    measured = given(true, replace(MESH_ANCHOR, range_noise_m=10.0, fixed=2))
    of_partner = [entry for entry in measured.fixes if entry.satellite == 75][10:40:10]
    few = measured.without_fixes(75)._replace(fixes=[*measured.without_fixes(75).fixes, *of_partner])
    solution = few.solved()
    assert not solution.partners[75].ambiguous
    assert errors(solution, true, 75).nees < 20.0


def test_solves_a_late_partner_for_the_whole_arc() -> None:
    true = world(5)
    measured = given(true, MESH_ALL)
    late_ms = true.start_gps_ms + 40 * 60_000
    part = measured._replace(
        fixes=[entry for entry in measured.fixes if entry.satellite != 77 or entry.fix.gps_ms > late_ms],
        ranges=[seen for seen in measured.ranges if 77 not in seen.pair or seen.gps_ms > late_ms],
    )
    found = errors(part.solved(), true, 77)
    assert found.rms_m < 30.0
    assert found.nees < 20.0


def test_reports_a_partner_with_too_few_ranges_without_effect_on_others() -> None:
    measured = given(world(5), MESH_ALL)
    little = measured.without_fixes(77)
    ranges = [seen for seen in little.ranges if 77 not in seen.pair]
    few = [seen for seen in little.ranges if seen.pair == (74, 77)][:3]
    without, with_few = little._replace(ranges=ranges).solved(), little._replace(ranges=[*ranges, *few]).solved()
    assert "3 ranges" in (with_few.partners[77].unsolved or "")
    moment = without.reference.epoch_ms
    for partner in (75, 76):
        one, other = (solution.relative_at(moment, partner) for solution in (without, with_few))
        assert one.gcrf == pytest.approx(other.gcrf, abs=1e-6)
    with pytest.raises(ValueError, match="satellite 77 is not solved"):
        with_few.relative_at(moment, 77)


def test_with_few_own_fixes_the_orbit_estimate_is_the_prior() -> None:
    true = world(5)
    measured = given(true, MESH_ALL)
    own = [entry for entry in measured.fixes if entry.satellite == 74][:4]
    few = measured.without_fixes(74)
    solution = few._replace(fixes=[*few.fixes, *own]).solved()
    assert total([errors(solution, true, partner).nees for partner in PARTNERS]) < 30.0


def test_rejects_outliers_of_ranges_and_fixes() -> None:
    true = world(5)
    measured = given(true, MESH_ALL)
    draw = np.random.default_rng(3)
    ranges = [
        replace(seen, range_m=seen.range_m + 500.0 * float(draw.choice((-1.0, 1.0)))) if draw.random() < 0.05 else seen
        for seen in measured.ranges
    ]
    fixes = [
        SatelliteFix(entry.satellite, replace(entry.fix, position_ecef_m=entry.fix.position_ecef_m + 1e4))
        if draw.random() < 0.03
        else entry
        for entry in measured.fixes
    ]
    solution = measured._replace(ranges=ranges, fixes=fixes).solved()
    spoilt = {seen for seen, good in zip(ranges, measured.ranges, strict=True) if seen != good}
    left_out = {seen for seen, used in zip(solution.ranges, solution.used, strict=True) if not used}
    assert left_out == spoilt
    clean = total([errors(mesh(), true, partner).rms_m for partner in PARTNERS])
    assert total([errors(solution, true, partner).rms_m for partner in PARTNERS]) < 1.2 * clean


def test_estimates_noise_and_bias_of_each_pair() -> None:
    true = world(5)
    solution = mesh()
    bias_m = true.records(MESH_ALL).bias_m
    assert solution.noise_m == pytest.approx(np.full(6, 10.0), rel=0.25)
    for one, other in solution.pairs:
        found_m, sigma_m = solution.bias_of((one, other))
        assert abs(found_m - bias_m[one, other]) < 4.0 * sigma_m
        assert sigma_m < 6.0


def test_both_directions_of_a_pair_share_a_bias() -> None:
    measured = given(world(5), MESH_ALL)
    again = given(world(5), MESH_ALL, draw=1).ranges
    bias_m, other_m = (world(5).records(MESH_ALL, draw).bias_m for draw in (0, 1))
    back = [
        RangeObservation(seen.gps_ms, seen.other, seen.one, seen.range_m + bias_m[seen.pair] - other_m[seen.pair])
        for seen in again
    ]
    solution = measured._replace(ranges=[*measured.ranges, *back]).solved()
    assert len(solution.pairs) == 6
    assert len(solution.ranges) == 2 * len(mesh().ranges)


def test_order_and_duplicates_change_no_bit() -> None:
    measured = given(world(5), MESH_ALL)
    again = measured._replace(fixes=[*measured.fixes[::-1], *measured.fixes], ranges=measured.ranges[::-1]).solved()
    assert np.array_equal(again.hypotheses[0].parameters, mesh().hypotheses[0].parameters)


def test_a_density_variation_acts_on_all_satellites_in_proportion_to_their_drag() -> None:
    equations, parameters = mesh().equations, mesh().hypotheses[0].parameters.copy()
    parameters[state_indices(1)[DRAG]] += 2.0  # drag three times that of its reference
    ours, other = (math.exp(log_drag(equations.tracks[each], parameters, each)) for each in (0, 1))
    assert other / ours == pytest.approx(3.0, rel=0.2)
    covariance = _mode_covariance(equations, parameters, 0.1)
    assert covariance[0, 1] == pytest.approx(math.sqrt(covariance[0, 0] * covariance[1, 1]) / 1.01)
    scale = [math.exp(-track.reference.log_drag) for track in equations.tracks[:2]]
    assert np.sqrt(np.diagonal(covariance)[:2]) == pytest.approx(np.multiply((ours, other), scale) * math.hypot(1, 0.1))
    # Our satellite has the modes, too: without them, the orbits of all would bend towards its fixes.
    shift = np.zeros(equations.parameter_count)
    shift[equations.mode_indices(0)] = 0.1
    times = np.array([equations.dynamics.reference.span_ms[1]], dtype=np.float64)
    before, after = (equations.states_at(times, each, None)[0][:, 0, :3] for each in (parameters, parameters + shift))
    moved_m = np.linalg.norm(after - before, axis=1)
    assert moved_m[0] > 0.01
    assert moved_m[1:] == pytest.approx(0.0)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_the_stated_error_of_a_partners_clock_is_in_its_covariance(has_ranges: bool) -> None:  # noqa: FBT001 - a parameter
    """In a train, an unknown range bias explains nearly what a clock that is off by 10 ms displaces."""
    true = world(5, "train", satellites=3)
    measured = given(true, MESH_ALL)
    late = [displaced_by_clock(entry, true) if entry.satellite == 75 else entry for entry in measured.fixes]
    ranges = [seen for seen in measured.ranges if has_ranges or 75 not in seen.pair]
    solution = measured._replace(fixes=late, ranges=ranges).solved()
    assert not solution.partners[75].ambiguous
    assert worst_sigmas(solution, true, 75) < 3.0
    assert errors(solution, true, 76).sigma_m < 5.0


@pytest.mark.parametrize(
    ("wrong", "bias_sigma_m", "whose"), [(75, 20.0, {75: "its"}), (74, 5.0, {75: "our", 76: "our"})]
)
def test_a_clock_that_is_off_without_saying_so_contradicts_calibrated_ranges(
    wrong: int, bias_sigma_m: float, whose: dict[int, str]
) -> None:
    """In a train, only the biases of the radios tell it; elsewhere the ranges do (`docs/benchmarks/formation.md`)."""
    true = world(5, "train", satellites=3)
    calibrated = FormationSettings(range_bias_m=1060.0, range_bias_sigma_m=bias_sigma_m)
    measured = given(true, MESH_ALL)
    late = []
    for entry in measured.fixes:
        is_late = entry.satellite == wrong
        fix = replace(displaced_by_clock(entry, true).fix, time_sigma_s=0.0) if is_late else entry.fix
        late.append(SatelliteFix(entry.satellite, fix))
    right = measured.solved(calibrated).partners
    assert {partner: each.unsolved for partner, each in right.items()} == {75: None, 76: None}
    partners = measured._replace(fixes=late).solved(calibrated).partners
    assert {partner for partner, each in partners.items() if each.unsolved} == set(whose)
    for partner, word in whose.items():
        assert f"{word} fixes fit the ranges only with a clock that is off by " in (partners[partner].unsolved or "")


def test_a_reference_that_drifts_away_from_its_satellite_is_replaced() -> None:
    """A path of an earlier solution may pass the satellite at the epoch at another velocity."""
    true, observed = world(5), given(world(5), MESH_ALL)
    track = mesh().equations.tracks[1]
    state = track.reference.nodes.state[track.reference.epoch_node].copy()
    state[3:] *= 1.0 + 3.0 / np.linalg.norm(state[3:])
    start = PathStart(track.reference.epoch_ms, orbit_vector(np.append(state, track.reference.log_drag)))
    solver = FormationSolver(CALIBRATED, ORBIT, FRAMES)
    solver.resume({75: start}, None)
    solution = solver.solve(*observed)
    assert solution is not None
    found = errors(solution, true, 75)
    assert found.nees == pytest.approx(errors(mesh(), true, 75).nees, abs=0.5)
    assert found.rms_m == pytest.approx(errors(mesh(), true, 75).rms_m, abs=0.02)


def test_returns_none_without_observations() -> None:
    solver_given = given(world(5), MESH_ALL)._replace(fixes=[], ranges=[])
    with pytest.raises(AssertionError):
        solver_given.solved()


def test_returns_none_with_only_a_few_own_fixes() -> None:
    measured = given(world(5), MESH_ALL)
    own = [entry for entry in measured.fixes if entry.satellite == 74][:4]
    with pytest.raises(AssertionError):
        measured._replace(fixes=own, ranges=[]).solved()


def test_a_train_formation_has_no_wrong_and_certain_partner() -> None:
    true = world(3, "train", satellites=3)
    solution = given(true, Instruments("two", 1.0, mesh=True, fixed=2)).solved()
    for partner in (75, 76):
        assert solution.partners[partner].ambiguous or errors(solution, true, partner).nees < 40.0


def test_covariance_is_not_too_small_with_few_ranges() -> None:
    # In units of the noise that is found, squared errors are one in the mean: its own uncertainty counts.
    short = [given(world(5, minutes=16), MESH_ALL, draw).solved() for draw in range(16)]
    noise_m = np.array([solution.noise_m for solution in short])
    assert np.mean((MESH_ALL.range_noise_m / noise_m) ** 2) == pytest.approx(1.0, abs=0.1)


def test_estimated_noise_stays_within_its_limits() -> None:
    measured = given(world(5), MESH_ALL)
    careful = measured.solved(FormationSettings(range_noise_min_m=5.0))
    assert careful.noise_m.min() >= 5.0
