"""Magnetometer and gyro against their configured errors, and their words in the sense file."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from msgspec.structs import replace

from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc_ground.scenario.environment import Conditions
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.imu import (
    axes_from_orthogonal,
    gyro_bias_change_rad_s,
    gyro_bias_rad_s,
    gyro_rad_s,
    mag_bias_ut,
    magnetometer_ut,
    payload_field_body_ut,
    satellite_field_body_ut,
    torquers_on,
)
from pygnc_ground.scenario.sensor_settings import Imu, Payload, SignedAxes, Torquers
from pygnc_ground.scenario.settings import Attitude, Forces, Settings

COUNT = 4000
UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
NOISELESS = Imu(imu_from_body=UPRIGHT, mag_noise_ut=0.0, gyro_noise_deg_s=0.0)
NO_BIAS = np.zeros(3)
MAG_COUNT_UT = 1.0 / 16.0
GYRO_COUNT_DEG_S = 1.0 / 65.6


def four_standard_errors(count: int) -> float:
    return 4.0 / math.sqrt(count)


def gyro_deg_s(imu: Imu, rate_deg_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.degrees(gyro_rad_s(imu, np.radians(np.atleast_2d(rate_deg_s)), NO_BIAS, seed=1))


def mag_ut(imu: Imu, field_ut: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return magnetometer_ut(imu, np.atleast_2d(np.asarray(field_ut, dtype=np.float64)), NO_BIAS, seed=1)


def test_magnetometer_bias_and_noise_are_the_declared_ones() -> None:
    field_ut, bias_ut = np.tile([30.0, -10.0, 5.0], (COUNT, 1)), np.tile([20.0, 10.0, -25.0], (COUNT, 1))
    measured = magnetometer_ut(Imu(mag_noise_ut=0.6), field_ut, bias_ut, seed=1)
    # The fleet's map: sensor X is -Y of the body, sensor Y is X, sensor Z is -Z.
    error = (measured - [10.0 + 20.0, 30.0 + 10.0, -5.0 - 25.0]) / 0.6
    assert np.abs(error.mean(axis=0)).max() < four_standard_errors(COUNT)
    assert np.abs(error.std(axis=0) - 1.0).max() < four_standard_errors(2 * COUNT)


def test_gyro_bias_and_noise_are_the_declared_ones() -> None:
    rate_deg_s, bias_deg_s = np.tile([1.0, 0.3, -2.0], (COUNT, 1)), np.tile([-0.5, 0.05, 0.4], (COUNT, 1))
    imu = Imu(gyro_noise_deg_s=0.025, imu_from_body=UPRIGHT)
    measured = np.degrees(gyro_rad_s(imu, np.radians(rate_deg_s), np.radians(bias_deg_s), seed=1))
    # The steps add their own variance, a twelfth of their square.
    error = (measured - [0.5, 0.35, -1.6]) / math.hypot(0.025, GYRO_COUNT_DEG_S / math.sqrt(12.0))
    assert np.abs(error.mean(axis=0)).max() < four_standard_errors(COUNT)
    assert np.abs(error.std(axis=0) - 1.0).max() < four_standard_errors(2 * COUNT)


def test_the_fleets_map_undoes_what_its_software_does() -> None:
    # Body X = sensor Y, body Y = -sensor X, body Z = -sensor Z.
    body_from_imu = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    np.testing.assert_array_equal(body_from_imu @ np.array(Imu().imu_from_body), np.eye(3))


def test_scale_errors_are_those_of_the_sensors_axes() -> None:
    imu = replace(NOISELESS, imu_from_body=Imu().imu_from_body, mag_scale_error=(0.1, 0.0, -0.2))
    np.testing.assert_array_equal(mag_ut(imu, [50.0, -20.0, 10.0]), [[22.0, 50.0, -8.0]])
    imu = replace(NOISELESS, imu_from_body=Imu().imu_from_body, gyro_scale_error=(0.0, 0.5, -0.5))
    expected = np.array([[120.0, 150.0, -100.0]])
    np.testing.assert_allclose(gyro_deg_s(imu, [100.0, -120.0, 200.0]), expected, rtol=0, atol=GYRO_COUNT_DEG_S / 2.0)


def test_tilted_axes_see_what_lies_along_them() -> None:
    imu = replace(NOISELESS, mag_nonorthogonality_deg=(2.0, -3.0, 1.5))
    axes = axes_from_orthogonal(imu)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1.0, rtol=1e-15)
    assert np.degrees(np.arccos(axes[1] @ axes[0])) == pytest.approx(90.0 - 2.0)
    assert np.degrees(np.arccos(axes[2] @ axes[0])) == pytest.approx(90.0 + 3.0)
    tilt_to_y = np.degrees(np.arctan2(axes[2, 1], axes[2, 2]))
    assert tilt_to_y == pytest.approx(1.5)
    measured = mag_ut(imu, 1000.0 * np.eye(3)).T
    np.testing.assert_allclose(measured, 1000.0 * axes, rtol=0, atol=MAG_COUNT_UT / 2.0)


def test_the_magnetometers_tilt_is_not_the_gyros() -> None:
    tilted = replace(NOISELESS, mag_nonorthogonality_deg=(2.0, -3.0, 1.5), mag_scale_error=(0.1, 0.1, 0.1))
    np.testing.assert_array_equal(gyro_deg_s(tilted, [1.0, 2.0, 3.0]), gyro_deg_s(NOISELESS, [1.0, 2.0, 3.0]))


def test_readings_are_clipped_to_the_range_and_the_word() -> None:
    # The format's words are 16 bits: at most 32767 counts up and 32768 down.
    np.testing.assert_array_equal(mag_ut(NOISELESS, [9e3, -9e3, 9e3]), [[1150.0, -1150.0, 32_767.0 / 16.0]])
    np.testing.assert_array_equal(mag_ut(NOISELESS, [1149.0, -1149.0, -9e3]), [[1149.0, -1149.0, -2048.0]])
    expected = np.array([[32_767.0, -32_768.0, 32_000.0]]) / 65.6
    np.testing.assert_allclose(gyro_deg_s(NOISELESS, [600.0, -600.0, 32_000.0 / 65.6]), expected, rtol=1e-14)


@pytest.mark.parametrize(("rounding", "mean_counts"), [("nearest", 0.0), ("floor", -0.5)])
def test_rounding_is_to_the_nearest_count_or_down(rounding: str, mean_counts: float) -> None:
    imu = replace(NOISELESS, rounding=rounding)
    rng = np.random.default_rng(1)
    field_ut, rate_deg_s = rng.uniform(-60.0, 60.0, (COUNT, 3)), rng.uniform(-9.0, 9.0, (COUNT, 3))
    for error in (
        (mag_ut(imu, field_ut) - field_ut) / MAG_COUNT_UT,
        (gyro_deg_s(imu, rate_deg_s) - rate_deg_s) / GYRO_COUNT_DEG_S,
    ):
        assert error.mean() == pytest.approx(mean_counts, abs=0.02)
        assert np.abs(error - mean_counts).max() <= 0.5 + 1e-5


@pytest.mark.parametrize("rounding", ["nearest", "floor"])
@pytest.mark.parametrize("rate_deg_s", [1.0, 700.0])
def test_decoded_readings_equal_the_sensor_readings(rounding: str, rate_deg_s: float) -> None:
    settings = Settings(
        duration_s=500,
        forces=Forces(gravity_degree=0, drag=False, radiation_pressure=False),
        attitude=Attitude(rate_body_deg_s=(rate_deg_s, 0.0, -rate_deg_s)),
        imu=replace(Imu(), rounding=rounding, mag_bias_ut=(1130.0, -3.0, 2040.0)),
    )
    made = generate(settings)
    truth, seed = made.truth, settings.seed
    words = decode_sensors(np.frombuffer(made.sense, SenseLayout().record))
    field_ut = magnetometer_ut(settings.imu, truth.field_body_ut, truth.mag_bias_imu_ut, seed)
    np.testing.assert_allclose(words.mag_imu_ut.reshape(-1, 3), field_ut, rtol=0, atol=1e-12)
    rate_rad_s = gyro_rad_s(settings.imu, truth.rate_body_rad_s, truth.gyro_bias_imu_rad_s, seed)
    np.testing.assert_allclose(words.gyro_imu_rad_s.reshape(-1, 3), rate_rad_s, rtol=0, atol=1e-12)


def test_noise_depends_on_the_seed_and_on_nothing_else() -> None:
    field_ut, rate_rad_s = np.tile([30.0, -10.0, 5.0], (COUNT, 1)), np.zeros((COUNT, 3))
    one, again = (magnetometer_ut(Imu(), field_ut, NO_BIAS, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    other_gyro = Imu(gyro_noise_deg_s=0.0, gyro_bias_deg_s="drawn", mag_bias_ut="drawn")
    np.testing.assert_array_equal(one, magnetometer_ut(other_gyro, field_ut, NO_BIAS, seed=3))
    assert np.any(one != magnetometer_ut(Imu(), field_ut, NO_BIAS, seed=4))
    gyro = gyro_rad_s(Imu(), rate_rad_s, NO_BIAS, seed=3)
    assert np.abs(np.corrcoef(one.T, gyro.T)[:3, 3:]).max() < four_standard_errors(COUNT)
    np.testing.assert_array_equal(gyro[:100], gyro_rad_s(Imu(), rate_rad_s[:100], NO_BIAS, seed=3))


PERIOD_S = 5640.0


def circular(t_s: npt.ArrayLike, sun_gcrf: npt.ArrayLike = (1.0, 0.0, 0.0)) -> Conditions:
    """Return conditions on an equatorial circular orbit that begins on the x axis; the Sun is in a given direction."""
    times_s = np.asarray(t_s, dtype=np.float64)
    angle = 2.0 * np.pi * times_s / PERIOD_S
    cosine, sine, zero = np.cos(angle), np.sin(angle), np.zeros(len(angle))
    states = np.column_stack((7e6 * cosine, 7e6 * sine, zero, -7.5e3 * sine, 7.5e3 * cosine, zero))
    sun_m = np.tile(1.5e11 * np.asarray(sun_gcrf), (len(angle), 1))
    return Conditions(
        t_s=times_s,
        states_gcrf=states,
        states_itrf=states,
        field_gcrf_ut=np.zeros((len(angle), 3)),
        sun_gcrf_m=sun_m,
        sunlit_fraction=np.ones(len(angle)),
    )


T_S = np.arange(0, 3600, 5)
HOUR = circular(T_S)
START = circular([0.0])
SEEDS = range(400)


def test_configured_biases_are_used_unchanged() -> None:
    imu = Imu(gyro_bias_deg_s=(-0.5, 0.05, 0.4), gyro_bias_stability_deg_h=0.0, mag_bias_ut=(1.0, 2.0, -3.0))
    np.testing.assert_array_equal(mag_bias_ut(imu, circular(T_S[:7]), seed=1), np.tile([1.0, 2.0, -3.0], (7, 1)))
    gyro = np.degrees(gyro_bias_rad_s(imu, HOUR, seed=1))
    np.testing.assert_allclose(gyro, np.tile([-0.5, 0.05, 0.4], (len(T_S), 1)), rtol=1e-15)


def test_drawn_biases_fill_their_bounds_evenly() -> None:
    imu = Imu(gyro_bias_deg_s="drawn", gyro_bias_bound_deg_s=2.0, mag_bias_ut="drawn")
    for drawn, bound in (
        (np.array([np.degrees(gyro_bias_rad_s(imu, START, seed))[0] for seed in SEEDS]), 2.0),
        (np.array([mag_bias_ut(imu, START, seed)[0] for seed in SEEDS]), 40.0),
    ):
        assert 0.97 * bound < np.abs(drawn).max() <= bound
        # A uniform distribution's standard deviation is its half width over the root of 3.
        np.testing.assert_allclose(drawn.std(axis=0), bound / np.sqrt(3.0), rtol=0.15)
        assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.2
        assert np.abs(drawn.mean(axis=0)).max() < 0.2 * bound


def test_the_gyros_bias_walks_with_the_square_root_of_the_time() -> None:
    imu = Imu(gyro_bias_stability_deg_h=3.0)
    conditions = circular([0.0, 900.0, 3600.0])
    bias_deg_h = 3600.0 * np.degrees([gyro_bias_rad_s(imu, conditions, seed) for seed in SEEDS])
    walked = bias_deg_h - bias_deg_h[:, :1]
    assert walked[:, 1].std() == pytest.approx(1.5, rel=4.0 / np.sqrt(2 * 3 * len(SEEDS)))
    assert walked[:, 2].std() == pytest.approx(3.0, rel=4.0 / np.sqrt(2 * 3 * len(SEEDS)))
    # The walk of the first quarter is independent of the rest.
    early, late = walked[:, 1].ravel(), (walked[:, 2] - walked[:, 1]).ravel()
    assert abs(np.corrcoef(early, late)[0, 1]) < 4.0 / np.sqrt(early.size)


def test_the_random_walk_does_not_depend_on_the_sampling() -> None:
    every_sample = gyro_bias_rad_s(Imu(), HOUR, seed=1)
    np.testing.assert_array_equal(every_sample[::5], gyro_bias_rad_s(Imu(), circular(T_S[::5]), seed=1))
    np.testing.assert_array_equal(every_sample[:100], gyro_bias_rad_s(Imu(), circular(T_S[:100]), seed=1))
    assert len(gyro_bias_rad_s(Imu(), circular(T_S[:0]), seed=1)) == 0


def test_drawn_biases_and_walk_are_independent_streams_of_the_seed() -> None:
    given, drawn = Imu(gyro_bias_deg_s=(0.0, 0.0, 0.0)), Imu(gyro_bias_deg_s="drawn")
    walk, drawn_and_walked = gyro_bias_rad_s(given, HOUR, seed=1), gyro_bias_rad_s(drawn, HOUR, seed=1)
    np.testing.assert_allclose(drawn_and_walked - drawn_and_walked[0], walk, rtol=0, atol=1e-15)
    unlike = mag_bias_ut(Imu(mag_bias_ut="drawn"), START, seed=1) - mag_bias_ut(Imu(mag_bias_ut="drawn"), START, seed=2)
    assert np.all(unlike)


def test_the_gyros_bias_changes_with_the_centripetal_force() -> None:
    sensitive = Imu(imu_from_body=UPRIGHT, gyro_g_sensitivity_deg_s_per_g=0.1, imu_place_body_m=(0.05, 0.0, 0.0))
    rate_rad_s = np.radians([[0.0, 10.0, 0.0], [10.0, 0.0, 0.0]])
    bias_deg_s = np.degrees(gyro_bias_change_rad_s(sensitive, np.zeros(2), rate_rad_s))
    force_g = math.radians(10.0) ** 2 * 0.05 / 9.80665
    np.testing.assert_allclose(bias_deg_s, [[-0.1 * force_g, 0.0, 0.0], [0.0, 0.0, 0.0]], rtol=1e-12, atol=1e-15)
    mounted = gyro_bias_change_rad_s(replace(sensitive, imu_from_body=Imu().imu_from_body), np.zeros(2), rate_rad_s)
    np.testing.assert_allclose(np.degrees(mounted[0]), [0.0, -0.1 * force_g, 0.0], rtol=1e-12, atol=1e-15)
    assert not gyro_bias_change_rad_s(Imu(), np.ones(2), rate_rad_s).any()


def test_wrong_wiring_permutes_and_reverses_the_axes_of_one_sensor() -> None:
    wired = replace(NOISELESS, mag_axes=(2, -1, 3))
    np.testing.assert_allclose(mag_ut(wired, [10.0, 20.0, 30.0]), [[20.0, -10.0, 30.0]])
    np.testing.assert_array_equal(gyro_deg_s(wired, [1.0, 2.0, 3.0]), gyro_deg_s(NOISELESS, [1.0, 2.0, 3.0]))
    reversed_z = replace(NOISELESS, gyro_axes=(1, 2, -3))
    np.testing.assert_allclose(gyro_deg_s(reversed_z, [1.0, 2.0, 3.0]), [[1.0, 2.0, -3.0]], atol=GYRO_COUNT_DEG_S)
    # Bias and scale belong to the axes of the sensor, as in the truth.
    scaled = replace(wired, mag_scale_error=(0.1, 0.0, 0.0))
    biased_ut = magnetometer_ut(scaled, np.array([[10.0, 20.0, 30.0]]), np.array([1.0, 2.0, 3.0]), seed=1)
    np.testing.assert_allclose(biased_ut, [[23.0, -8.0, 33.0]])


@pytest.mark.parametrize("axes", [(1, 1, 3), (-2, 2, 3)])
def test_an_axis_may_not_be_wired_twice(axes: SignedAxes) -> None:
    with pytest.raises(ValueError, match="gyro_axes must contain each of 1, 2 and 3 once"):
        Imu(gyro_axes=axes)


def test_torquers_are_on_for_whole_minutes_with_a_constant_field_of_the_declared_strength() -> None:
    torquers, t_s = Torquers(field_ut=20.0, duty=0.3), np.arange(0.0, 36_000.0, 5.0)
    field_ut = satellite_field_body_ut(Imu(), torquers, t_s, np.zeros(len(t_s)), seed=1).reshape(-1, 12, 3)
    np.testing.assert_array_equal(field_ut, np.repeat(field_ut[:, :1], 12, axis=1))
    strength_ut = np.linalg.norm(field_ut[:, 0], axis=1)
    on = torquers_on(torquers, t_s, seed=1)[::12]
    np.testing.assert_allclose(strength_ut, np.where(on, 20.0, 0.0), atol=1e-12)
    assert on.mean() == pytest.approx(0.3, abs=4.0 * math.sqrt(0.3 * 0.7 / len(on)))
    off = torquers_on(Torquers(), t_s, seed=1)
    assert not off.any()


def test_the_field_of_the_torquers_decays_after_they_are_switched_off() -> None:
    torquers, t_s = Torquers(field_ut=20.0, duty=0.3, decay_s=25.0), np.arange(0.0, 18_000.0, 5.0)
    decaying_ut = satellite_field_body_ut(Imu(), torquers, t_s, np.zeros(len(t_s)), seed=1)
    at_once_ut = satellite_field_body_ut(Imu(), replace(torquers, decay_s=0.0), t_s, np.zeros(len(t_s)), seed=1)
    on = torquers_on(torquers, t_s, seed=1)
    np.testing.assert_array_equal(decaying_ut[on], at_once_ut[on])
    # An independent computation: from sample to sample the field is that of the current, or decays.
    field_ut, last_on_s = np.zeros(3), 0.0
    for now_s, is_on, current_ut, shown_ut in zip(t_s, on, at_once_ut, decaying_ut, strict=True):
        if is_on:
            field_ut, last_on_s = current_ut, 60.0 * (now_s // 60.0) + 60.0
        expected_ut = field_ut if is_on else field_ut * math.exp(-(now_s - last_on_s) / 25.0)
        np.testing.assert_allclose(shown_ut, expected_ut, atol=1e-9)
    fast = replace(torquers, decay_s=1e-3)
    np.testing.assert_allclose(
        satellite_field_body_ut(Imu(), fast, t_s + 1.0, np.zeros(len(t_s)), seed=1),
        satellite_field_body_ut(Imu(), replace(torquers, decay_s=0.0), t_s + 1.0, np.zeros(len(t_s)), seed=1),
    )


def test_the_field_of_the_panels_follows_the_sunlight() -> None:
    imu, sunlit = Imu(panel_field_body_ut=(1.0, -2.0, 0.5)), np.array([0.0, 0.5, 1.0])
    field_ut = satellite_field_body_ut(imu, Torquers(), np.arange(3.0), sunlit, seed=1)
    np.testing.assert_allclose(field_ut, sunlit[:, None] * [1.0, -2.0, 0.5])


def test_the_payload_is_on_once_per_period_for_its_time_at_a_place_of_the_seed() -> None:
    payload, t_s = Payload(field_body_ut=(3.0, 0.0, -1.0), on_s=900.0, period_s=6000.0), np.arange(0.0, 60_000.0, 5.0)
    field_ut = payload_field_body_ut(payload, t_s, seed=1).reshape(10, 1200, 3)
    on = field_ut[..., 0] != 0.0
    np.testing.assert_array_equal(field_ut[on], np.tile([3.0, 0.0, -1.0], (int(on.sum()), 1)))
    np.testing.assert_allclose(on.sum(axis=1), 180, atol=1)
    changes = np.abs(np.diff(on.astype(int), axis=1)).sum(axis=1)
    assert changes.max() <= 2, "without a pause"
    assert np.unique(on.argmax(axis=1)).size > 5, "each period has a time of its own"
    np.testing.assert_array_equal(payload_field_body_ut(payload, t_s[:600], seed=1), field_ut.reshape(-1, 3)[:600])
    assert np.any(payload_field_body_ut(payload, t_s, seed=2).reshape(10, 1200, 3) != field_ut)
    assert not payload_field_body_ut(Payload(), t_s, seed=1).any()
    always = payload_field_body_ut(Payload(field_body_ut=(3.0, 0.0, -1.0), on_s=9000.0), t_s, seed=1)
    assert np.all(always[:, 0] == 3.0)
