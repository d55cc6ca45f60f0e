"""Errors of fixes against the statistics their settings declare."""

import numpy as np
import pytest

from pygnc_ground.scenario.gps_errors import FixErrors
from pygnc_ground.scenario.gps_settings import Gps

T_S = np.arange(0, 200_000, 25)
COUNT = T_S.size


def test_coloured_noise_is_stationary_and_fades_with_its_correlation_time() -> None:
    receiver = Gps(position_noise_m=0.0, coloured_position_noise_m=7.0, coloured_noise_time_s=100.0)
    error_m = FixErrors.of_position(receiver).draw(T_S, seed=1, log="sense") / 7.0
    # 2000 correlation times are in the series, on each of three axes.
    assert np.abs(error_m.mean()) < 4 * np.sqrt(2 / 6000)
    assert error_m.std() == pytest.approx(1.0, abs=4 / np.sqrt(6000))
    for lag in (1, 2, 4, 12):
        kept = np.mean(error_m[lag:] * error_m[:-lag])
        assert kept == pytest.approx(np.exp(-25.0 * lag / 100.0), abs=4 / np.sqrt(6000))
    assert np.abs(np.corrcoef(error_m.T) - np.eye(3)).max() < 4 / np.sqrt(2000)
    starts = [FixErrors.of_position(receiver).draw(T_S[:1], seed, "sense") for seed in range(200)]
    assert np.std(starts) == pytest.approx(7.0, rel=4 / np.sqrt(1200))


def test_coloured_noise_is_common_to_both_logs_and_white_noise_is_not() -> None:
    coloured = FixErrors.of_velocity(Gps(velocity_noise_mps=0.0, coloured_velocity_noise_mps=0.02))
    np.testing.assert_array_equal(coloured.draw(T_S, 1, "sense"), coloured.draw(T_S, 1, "range"))
    # A longer scenario begins like the shorter one.
    np.testing.assert_array_equal(coloured.draw(T_S[:100], 1, "sense"), coloured.draw(T_S, 1, "sense")[:100])
    white = FixErrors.of_velocity(Gps())
    assert np.abs(np.corrcoef(white.draw(T_S, 1, "sense").T, white.draw(T_S, 1, "range").T)[:3, 3:]).max() < 0.05


def test_white_and_coloured_noise_add_as_squares() -> None:
    errors = FixErrors.of_position(Gps(position_noise_m=4.0, coloured_position_noise_m=3.0))
    assert errors.sigma == pytest.approx(5.0)
    # The coloured half has 333 independent values per axis.
    assert errors.draw(T_S, 1, "sense").std() == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize("log", ["sense", "range"])
def test_outliers_have_the_stated_size_and_any_direction(log: str) -> None:
    receiver = Gps(position_noise_m=0.0, position_outlier_rate=0.25, position_outlier_m=800.0)
    error_m = FixErrors.of_position(receiver).draw(T_S, seed=2, log=log)
    size_m = np.linalg.norm(error_m, axis=1)
    hit = size_m > 0.0
    assert abs(np.count_nonzero(hit) - COUNT / 4) < 4 * np.sqrt(COUNT * 0.25 * 0.75)
    np.testing.assert_allclose(size_m[hit], 800.0)
    direction = error_m[hit] / 800.0
    # Isotropic: no mean, and a third of the square on each axis.
    assert np.abs(direction.mean(axis=0)).max() < 4 / np.sqrt(3 * hit.sum())
    assert np.abs((direction**2).mean(axis=0) - 1 / 3).max() < 4 * np.sqrt(4 / 45 / hit.sum())


def test_velocity_outliers_are_set_apart_from_those_of_the_position() -> None:
    receiver = Gps(velocity_noise_mps=0.0, velocity_outlier_rate=0.1, velocity_outlier_mps=5.0)
    assert not FixErrors.of_position(Gps(position_noise_m=0.0)).draw(T_S, 1, "sense").any()
    size_mps = np.linalg.norm(FixErrors.of_velocity(receiver).draw(T_S, 1, "sense"), axis=1)
    assert {*np.round(size_mps, 9).tolist()} == {0.0, 5.0}


def test_outliers_leave_the_noise_of_the_other_fixes_as_it_was() -> None:
    plain = FixErrors.of_position(Gps()).draw(T_S, 1, "sense")
    hit = FixErrors.of_position(Gps(position_outlier_rate=0.5)).draw(T_S, 1, "sense")
    apart_m = np.linalg.norm(hit - plain, axis=1)
    assert np.all((apart_m == 0.0) | (np.abs(apart_m - 1000.0) < 1e-6))
