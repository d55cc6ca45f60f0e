from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.orbit.solution import OrbitSolution
from pygnc_ground.report.comparison import RtnSeries, estimates
from pygnc_ground.report.statistics import difference_figures, estimate_figures, geodetic, last_estimate
from tests.pygnc_ground.report import samples


def off_by(position_m: float, velocity_mps: float, sigma_m: float, count: int = 90) -> OrbitSolution:
    """The true orbit displaced along one axis in the last two thirds, and wildly before."""
    solution = samples.solution(samples.clean(count).fixes.gps_ms, np.full(count, sigma_m), 1)
    truth = samples.CircularTruth().at(solution.gps_ms)
    along = np.where(np.arange(count) < count // 3, 1000.0, 1.0)[:, None] * np.array([0.0, 0.0, 1.0])
    return replace(
        solution,
        position_ecef_m=truth.position_ecef_m + position_m * along,
        velocity_ecef_mps=truth.velocity_ecef_mps + velocity_mps * along,
    )


def test_errors_and_sigmas_are_those_of_the_last_two_thirds() -> None:
    result = replace(samples.clean(90), solution=off_by(3.0, 0.002, 1.5))
    accuracy = estimate_figures(estimates(result)[0]).accuracy
    assert accuracy.position_error_m == pytest.approx(3.0, abs=1e-6)
    assert accuracy.velocity_error_mps == pytest.approx(0.002, abs=1e-9)
    assert accuracy.position_sigma_m == pytest.approx(1.5 * 3**0.5)
    assert accuracy.velocity_sigma_mps == pytest.approx(1.5e-3 * 3**0.5)
    assert accuracy.position_ratio == pytest.approx(2.0 / 3**0.5, abs=1e-6)
    # 3 m and 2 mm/s, each on one axis of 1.5 m and 1.5 mm/s, as one of six degrees of freedom.
    nees = estimate_figures(estimates(result)[0]).nees_mean_per_dof
    assert nees == pytest.approx((4.0 + 16.0 / 9.0) / 6.0, abs=1e-5)


def test_without_truth_the_sigmas_remain() -> None:
    result = replace(samples.clean(90), truth=None, solution=off_by(3.0, 0.002, 1.5))
    figures = estimate_figures(estimates(result)[0])
    assert figures.accuracy.position_sigma_m == pytest.approx(1.5 * 3**0.5)
    assert np.isnan(
        [figures.accuracy.position_error_m, figures.accuracy.velocity_ratio, figures.nees_mean_per_dof]
    ).all()


def test_without_states_nothing_is_claimed() -> None:
    for result in (samples.without_orbit(samples.clean(20)), samples.clean(0)):
        for truth in (result.truth, None):
            figures = estimate_figures(estimates(replace(result, truth=truth))[0])
            assert figures.states == figures.used == figures.nis.count == 0
            assert np.isnan([figures.accuracy.position_sigma_m, figures.nis.mean_per_dof]).all()


def test_unknown_nis_counts_for_nothing() -> None:
    result = samples.clean(30)
    result.solution.nis[:] = 12.0
    result.solution.nis[4:6] = np.nan
    figures = estimate_figures(estimates(result)[0])
    assert (figures.nis.count, figures.nis.mean_per_dof) == (28, 2.0)


def test_a_difference_is_summed_up() -> None:
    position = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 1.0]])
    sigma = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    series = RtnSeries(np.arange(2), position, sigma, 1e-3 * position, 1e-3 * sigma)
    figures = difference_figures(series)
    assert figures is not None
    assert figures.position_rms_m == pytest.approx(13.0**0.5)
    assert figures.position_max_m == 5.0
    assert figures.velocity_rms_mps == pytest.approx(1e-3 * 13.0**0.5)
    assert figures.within_3_sigma == 5.0 / 6.0
    empty = RtnSeries(np.arange(0), *[np.empty((0, 3))] * 4)
    assert difference_figures(empty) is None


def test_the_last_estimate_is_the_latest_known_one_in_time() -> None:
    result = samples.clean(10)
    gps_ms = result.solution.gps_ms.copy()
    gps_ms[[4, 9]] = gps_ms[[9, 4]]
    solution = replace(result.solution, gps_ms=gps_ms)
    last = last_estimate(solution)
    assert last is not None
    assert last.gps_ms == gps_ms[4]
    assert last.position_ecef_m == tuple(solution.position_ecef_m[4])
    solution.position_ecef_m[4] = np.nan
    last = last_estimate(solution)
    assert last is not None
    assert last.gps_ms == gps_ms[8]
    assert last.position_sigma_m == pytest.approx(3**0.5 * 1.5 * (1.0 + 8.0 * np.exp(-8 / 15.0)))
    assert last_estimate(samples.clean(0).solution) is None


def test_geodetic_coordinates_of_the_axes_of_the_ellipsoid() -> None:
    # WGS 84: 6 378 137 m, and the polar axis that its flattening of 1/298.257223563 gives.
    points = np.array([[6_378_137.0, 0.0, 0.0], [0.0, -6_378_237.0, 0.0], [0.0, 0.0, 6_356_752.314245 + 500e3]])
    expected = np.array([[0.0, 0.0, 0.0], [-90.0, 0.0, 100.0], [0.0, 90.0, 500e3]])
    assert geodetic(points) == pytest.approx(expected, abs=1e-5)
