import numpy as np
import pytest

from pygnc_ground.scenario.imu_biases import gyro_bias_rad_s, mag_bias_ut
from pygnc_ground.scenario.sensor_settings import Imu

T_S = np.arange(0, 3600, 5)
SEEDS = range(400)


def test_given_biases_are_taken_as_they_are() -> None:
    imu = Imu(gyro_bias_deg_s=(-0.5, 0.05, 0.4), gyro_bias_stability_deg_h=0.0, mag_bias_ut=(1.0, 2.0, -3.0))
    np.testing.assert_array_equal(mag_bias_ut(imu, 7, seed=1), np.tile([1.0, 2.0, -3.0], (7, 1)))
    gyro = np.degrees(gyro_bias_rad_s(imu, T_S, seed=1))
    np.testing.assert_allclose(gyro, np.tile([-0.5, 0.05, 0.4], (len(T_S), 1)), rtol=1e-15)


def test_drawn_biases_fill_their_bounds_evenly() -> None:
    imu = Imu(gyro_bias_deg_s="drawn", gyro_bias_bound_deg_s=2.0, mag_bias_ut="drawn")
    start = np.array([0])
    for drawn, bound in (
        (np.array([np.degrees(gyro_bias_rad_s(imu, start, seed))[0] for seed in SEEDS]), 2.0),
        (np.array([mag_bias_ut(imu, 1, seed)[0] for seed in SEEDS]), 40.0),
    ):
        assert 0.97 * bound < np.abs(drawn).max() <= bound
        # A uniform distribution's standard deviation is its half width over the root of 3.
        np.testing.assert_allclose(drawn.std(axis=0), bound / np.sqrt(3.0), rtol=0.15)
        assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.2
        assert np.abs(drawn.mean(axis=0)).max() < 0.2 * bound


def test_the_gyros_bias_walks_with_the_square_root_of_the_time() -> None:
    imu = Imu(gyro_bias_stability_deg_h=3.0)
    at_s = np.array([0, 900, 3600])
    bias_deg_h = 3600.0 * np.degrees([gyro_bias_rad_s(imu, at_s, seed) for seed in SEEDS])
    walked = bias_deg_h - bias_deg_h[:, :1]
    assert walked[:, 1].std() == pytest.approx(1.5, rel=4.0 / np.sqrt(2 * 3 * len(SEEDS)))
    assert walked[:, 2].std() == pytest.approx(3.0, rel=4.0 / np.sqrt(2 * 3 * len(SEEDS)))
    # What was walked in the first quarter says nothing of the rest.
    early, late = walked[:, 1].ravel(), (walked[:, 2] - walked[:, 1]).ravel()
    assert abs(np.corrcoef(early, late)[0, 1]) < 4.0 / np.sqrt(early.size)


def test_the_walk_does_not_depend_on_when_it_is_asked() -> None:
    every_sample = gyro_bias_rad_s(Imu(), T_S, seed=1)
    np.testing.assert_array_equal(every_sample[::5], gyro_bias_rad_s(Imu(), T_S[::5], seed=1))
    np.testing.assert_array_equal(every_sample[:100], gyro_bias_rad_s(Imu(), T_S[:100], seed=1))
    assert len(gyro_bias_rad_s(Imu(), T_S[:0], seed=1)) == 0


def test_drawn_biases_and_walk_are_independent_streams_of_the_seed() -> None:
    given, drawn = Imu(gyro_bias_deg_s=(0.0, 0.0, 0.0)), Imu(gyro_bias_deg_s="drawn")
    walk, drawn_and_walked = gyro_bias_rad_s(given, T_S, seed=1), gyro_bias_rad_s(drawn, T_S, seed=1)
    np.testing.assert_allclose(drawn_and_walked - drawn_and_walked[0], walk, rtol=0, atol=1e-15)
    unlike = mag_bias_ut(Imu(mag_bias_ut="drawn"), 1, seed=1) - mag_bias_ut(Imu(mag_bias_ut="drawn"), 1, seed=2)
    assert np.all(unlike)
