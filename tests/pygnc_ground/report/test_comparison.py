from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.orbit.solution import FloatArray, OrbitSolution
from pygnc_ground.report.comparison import estimates, filter_minus_smoother, smoother_minus_batch
from tests.pygnc_ground.report import samples


def moved(solution: OrbitSolution, rtn_m: FloatArray) -> OrbitSolution:
    """A solution displaced along its own radial, transverse and normal."""
    position = solution.position_ecef_m
    inertial = solution.velocity_ecef_mps + np.cross([0.0, 0.0, 7.292115e-5], position)
    radial = position / np.linalg.norm(position, axis=1)[:, None]
    normal = np.cross(position, inertial)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    axes = np.stack((radial, np.cross(normal, radial), normal), axis=1)
    return replace(solution, position_ecef_m=position + np.einsum("nij,i->nj", axes, rtn_m))


def test_all_estimates_there_are_stand_in_order() -> None:
    result = samples.clean(10)
    assert [one.name for one in estimates(result)] == ["filter", "smoother", "batch"]
    assert all(one.errors is not None for one in estimates(result))
    alone = replace(result, smoothed=None, truth=None)
    assert [(one.name, one.errors) for one in estimates(alone)] == [("filter", None), ("batch", None)]


def test_a_displacement_is_seen_along_its_axes() -> None:
    result = samples.clean(30)
    assert result.smoothed is not None
    away = np.array([3.0, -5.0, 7.0])
    series = smoother_minus_batch(replace(result, smoothed=moved(result.smoothed, away), batch=result.smoothed))
    assert series is not None
    assert series.position_m == pytest.approx(np.tile(away, (30, 1)), abs=1e-6)
    assert series.velocity_mps == pytest.approx(np.zeros((30, 3)), abs=1e-12)


def test_the_variance_of_filter_minus_smoother_is_the_difference_of_their_variances() -> None:
    result = samples.clean(40)
    series = filter_minus_smoother(result)
    assert series is not None
    sigma_m = 1.5 * (1.0 + 8.0 * np.exp(-np.arange(40) / 15.0))
    expected = np.sqrt(sigma_m**2 - 0.95**2)
    assert series.position_sigma_m == pytest.approx(np.tile(expected[:, None], (1, 3)))
    assert series.velocity_sigma_mps == pytest.approx(1e-3 * np.tile(expected[:, None], (1, 3)))


def test_a_smoother_less_sure_than_the_filter_gives_no_number_that_is_none() -> None:
    result = samples.clean(12)
    series = filter_minus_smoother(
        replace(result, smoothed=result.solution, solution=result.smoothed or result.solution)
    )
    assert series is not None
    assert (series.position_sigma_m == 0.0).all()


def test_rows_unknown_to_one_of_the_two_are_left_out() -> None:
    result = samples.clean(10)
    assert result.smoothed is not None
    result.smoothed.position_ecef_m[:3] = np.nan
    result.solution.position_ecef_m[5] = np.nan
    series = filter_minus_smoother(result)
    assert series is not None
    assert series.row.tolist() == [3, 4, 6, 7, 8, 9]


def test_nothing_to_compare_gives_nothing() -> None:
    alone = replace(samples.clean(5), smoothed=None)
    assert filter_minus_smoother(alone) is None
    assert smoother_minus_batch(alone) is None


def test_solutions_with_other_rows_are_refused() -> None:
    result = samples.clean(5)
    with pytest.raises(ValueError, match="a row for each record"):
        filter_minus_smoother(replace(result, smoothed=samples.clean(6).smoothed))
