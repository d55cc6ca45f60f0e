from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc_ground.orbit.solution import FloatArray, OrbitSolution
from pygnc_ground.replay.result import FormationResult, orbit_name
from pygnc_ground.report.comparison import (
    any_truth,
    attitude_filter_minus_smoother,
    compared_attitudes,
    compared_orbits,
    compared_partners,
    filter_minus_smoother,
    running_mean,
    smoother_minus_batch,
)
from tests.pygnc_ground.report import attitude_samples, formation_samples, samples
from tests.pygnc_ground.report.samples import BEGIN_MS


def moved(solution: OrbitSolution, rtn_m: FloatArray) -> OrbitSolution:
    """Return a solution displaced along its own radial, transverse and normal."""
    position = solution.position_ecef_m
    inertial = solution.velocity_ecef_mps + np.cross([0.0, 0.0, 7.292115e-5], position)
    radial = position / np.linalg.norm(position, axis=1)[:, None]
    normal = np.cross(position, inertial)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    axes = np.stack((radial, np.cross(normal, radial), normal), axis=1)
    return replace(solution, position_ecef_m=position + np.einsum("nij,i->nj", axes, rtn_m))


def test_estimates_are_in_order() -> None:
    result = samples.clean(10)
    assert [one.name for one in compared_orbits(result)] == ["filter", "smoother", "batch"]
    assert all(one.errors is not None for one in compared_orbits(result))
    alone = replace(result, smoothed=None, truth=None)
    assert [(one.name, one.errors) for one in compared_orbits(alone)] == [("filter", None), ("batch", None)]


def test_a_displacement_is_seen_along_its_axes() -> None:
    result = samples.clean(30)
    assert result.smoothed is not None
    away = np.array([3.0, -5.0, 7.0])
    series = smoother_minus_batch(replace(result, smoothed=moved(result.smoothed, away), batch=result.smoothed))
    assert series is not None
    assert series.position_rtn_m == pytest.approx(np.tile(away, (30, 1)), abs=1e-6)
    assert series.velocity_rtn_mps == pytest.approx(np.zeros((30, 3)), abs=1e-12)


def test_the_variance_of_filter_minus_smoother_is_the_difference_of_their_variances() -> None:
    result = samples.clean(40)
    series = filter_minus_smoother(result)
    assert series is not None
    sigma_m = 1.5 * (1.0 + 8.0 * np.exp(-np.arange(40) / 15.0))
    expected = np.sqrt(sigma_m**2 - 0.95**2)
    assert series.position_sigma_rtn_m == pytest.approx(np.tile(expected[:, None], (1, 3)))
    assert series.velocity_sigma_rtn_mps == pytest.approx(1e-3 * np.tile(expected[:, None], (1, 3)))


def test_a_smoother_sigma_above_the_filters_gives_zero_not_nan() -> None:
    result = samples.clean(12)
    series = filter_minus_smoother(
        replace(result, smoothed=result.solution, solution=result.smoothed or result.solution)
    )
    assert series is not None
    assert (series.position_sigma_rtn_m == 0.0).all()


def test_rows_unknown_to_either_are_omitted() -> None:
    result = samples.clean(10)
    assert result.smoothed is not None
    result.smoothed.position_ecef_m[:3] = np.nan
    result.solution.position_ecef_m[5] = np.nan
    series = filter_minus_smoother(result)
    assert series is not None
    assert series.row.tolist() == [3, 4, 6, 7, 8, 9]


def test_no_comparison_without_a_second_solution() -> None:
    alone = replace(samples.clean(5), smoothed=None)
    assert filter_minus_smoother(alone) is None
    assert smoother_minus_batch(alone) is None


def test_solutions_with_other_rows_are_rejected() -> None:
    result = samples.clean(5)
    with pytest.raises(ValueError, match="same rows"):
        filter_minus_smoother(replace(result, smoothed=samples.clean(6).smoothed))


RESULT = attitude_samples.clean(400, begin_ms=samples.BEGIN_MS)


def test_both_estimates_have_their_errors_bounds_and_accuracy() -> None:
    filtered, smoothed = compared_attitudes(RESULT)
    assert (filtered.name, smoothed.name) == ("filter", "smoother")
    assert RESULT.bound is not None
    assert filtered.bound_rad is RESULT.bound.filter_rad
    assert smoothed.bound_rad is RESULT.bound.smoother_rad
    assert smoothed.accuracy.overall.error_deg == pytest.approx(0.3 * 3**0.5, rel=0.1)
    assert filtered.accuracy.nees_mean == pytest.approx(3.0, abs=0.5)


def test_without_a_truth_there_are_no_errors() -> None:
    filtered, smoothed = compared_attitudes(replace(RESULT, truth=None, bound=None))
    assert len(filtered.errors) == len(smoothed.errors) == 0
    assert np.isnan(filtered.bound_rad).all()
    assert np.isnan(smoothed.accuracy.overall.error_deg)


def test_the_difference_is_the_rotation_from_smoothed_to_filtered_attitude() -> None:
    _, turn_rad, _ = attitude_filter_minus_smoother(RESULT)
    turn = Rotation.from_rotvec(turn_rad)
    smoothed = Rotation.from_quat(RESULT.smoothed.quaternion, scalar_first=True)
    filtered = Rotation.from_quat(RESULT.solution.quaternion, scalar_first=True)
    assert ((smoothed * turn).inv() * filtered).magnitude().max() < 1e-9


def test_its_variance_is_the_filters_minus_the_smoothers() -> None:
    _, _, sigma_rad = attitude_filter_minus_smoother(RESULT)
    expected = np.radians(np.sqrt((0.4 * (1.0 + 4.0 * np.exp(-np.arange(400) / 10.0))) ** 2 - 0.09))
    assert sigma_rad == pytest.approx(np.repeat(expected[:, None], 3, axis=1))


def test_only_samples_with_both_attitudes_are_compared() -> None:
    lost = attitude_samples.without_attitude(RESULT)
    assert not len(attitude_filter_minus_smoother(lost)[0])
    assert not len(attitude_filter_minus_smoother(replace(RESULT, smoothed=lost.smoothed))[0])


def states(result: FormationResult) -> list[str]:
    return [one.state for one in compared_partners(result)]


def test_each_partner_is_certain_ambiguous_or_not_known() -> None:
    assert states(formation_samples.clean(BEGIN_MS)) == ["certain"] * 3
    assert states(formation_samples.ambiguous(BEGIN_MS)) == ["ambiguous", "certain"]
    assert states(formation_samples.unsolved(BEGIN_MS)) == ["not known"] * 3
    assert compared_partners(None) == ()


def test_the_distance_of_the_mirror_is_reported() -> None:
    first, _ = compared_partners(formation_samples.ambiguous(BEGIN_MS, 96))
    assert first.mirror is not None
    # Twice a sine of amplitude MIRROR_M / sqrt(2) over whole periods, and the error of the best orbit.
    assert first.mirror.distance_m == pytest.approx(formation_samples.MIRROR_M, rel=0.02)
    assert first.mirror.above == pytest.approx(0.3)


def test_the_orbit_nearest_to_the_truth_is_found() -> None:
    right = compared_partners(formation_samples.ambiguous(BEGIN_MS))[0]
    assert right.nearest == 0
    assert right.accuracy.error_m == pytest.approx(formation_samples.ERROR_M)
    wrong = compared_partners(formation_samples.wrong(formation_samples.ambiguous(BEGIN_MS)))[0]
    assert wrong.nearest == 1
    assert wrong.orbits[1].accuracy.error_m == pytest.approx(0.0, abs=1e-9)
    assert wrong.accuracy.error_m > 100.0
    assert compared_partners(formation_samples.without_truth(formation_samples.ambiguous(BEGIN_MS)))[0].nearest is None


def test_a_truth_counts_where_there_is_one() -> None:
    assert any_truth(compared_partners(formation_samples.clean(BEGIN_MS)))
    assert not any_truth(compared_partners(formation_samples.without_truth(formation_samples.clean(BEGIN_MS))))
    assert not any_truth(compared_partners(formation_samples.unsolved(BEGIN_MS)))


def test_orbits_have_names_by_rank() -> None:
    assert [orbit_name(rank) for rank in range(4)] == ["best", "mirror", "no. 3", "no. 4"]


def test_the_orbits_of_conjunctions_are_named_by_their_hypotheses_after_best_and_mirror() -> None:
    result = formation_samples.ambiguous(BEGIN_MS)
    (partner, *others), at = result.partners, partial(formation_samples.conjunction, BEGIN_MS, distance_m=9.0)
    orbits = tuple(replace(partner.orbits[0], hypothesis=hypothesis) for hypothesis in (0, 2, 8))
    result = replace(result, partners=(replace(partner, orbits=orbits), *others))
    named = [result.name_of(at(hypothesis=hypothesis)) for hypothesis in (0, 2, 8, 4)]
    assert named == ["best orbit", "mirror orbit", "hypothesis 9", "hypothesis 5"]


def test_single_squares_have_the_tabled_band() -> None:
    mean = running_mean(np.array([6.0, 3.0]), np.array([6, 3]))
    assert mean.mean.tolist() == [1.0, 1.0]
    # Quantiles 0.025 and 0.975 of chi-square with 6 and 3 degrees of freedom, from printed tables.
    assert mean.low * [6, 3] == pytest.approx([1.237, 0.216], abs=5e-4)
    assert mean.high * [6, 3] == pytest.approx([14.449, 9.348], abs=5e-4)


def test_windows_take_a_tenth_and_weigh_by_degrees_of_freedom() -> None:
    squares, dof = np.arange(40.0), np.tile([6, 3], 20)
    mean = running_mean(squares, dof)
    assert len(mean.mean) == 37
    assert mean.mean[0] == pytest.approx((0 + 1 + 2 + 3) / 18)
    assert mean.mean[-1] == pytest.approx((36 + 37 + 38 + 39) / 18)
    assert (mean.middle[0], mean.middle[-1]) == (2, 38)
    assert (mean.low < 1.0).all()
    assert (mean.high > 1.0).all()


def test_windows_stop_growing_at_fifty() -> None:
    squares = np.random.default_rng(2).chisquare(6, 5000)
    mean = running_mean(squares, np.full(5000, 6))
    assert len(mean.mean) == 5000 - 49
    inside = (mean.mean >= mean.low) & (mean.mean <= mean.high)
    # Some 100 independent windows.
    assert inside.mean() == pytest.approx(0.95, abs=0.06)


def test_no_squares_give_no_means() -> None:
    assert len(running_mean(np.empty(0), np.empty(0, np.int64)).middle) == 0
