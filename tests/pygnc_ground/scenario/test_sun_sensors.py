"""Sun sensors: light against the geometry and the configured errors; albedo against closed forms and a sum over the
whole sphere.
"""

import math

import brahe
import numpy as np
import pytest
from msgspec.structs import replace
from scipy.spatial.transform import Rotation

from pygnc.formats.sense import encode_lux, lux_from_words
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.clouds import Clouds
from pygnc_ground.scenario.sensor_settings import SunSensors
from pygnc_ground.scenario.sun_sensors import FACE_NORMALS_BODY, albedo_shares, face_lux, face_response
from tests.pygnc_ground.scenario.circular_orbit import CircularOrbit, FloatArray

AU_M = 149_597_870_700.0
COUNT = 4000
FULL_LUX = 133_378.0
BARE = SunSensors(earth_reflectivity=0.0, noise_fraction=0.0)
BELOW = np.array([[0.0, 0.0, 6.9e6]])
"""The Earth is on the face -Z."""


def four_standard_errors(count: int) -> float:
    return 4.0 / math.sqrt(count)


def test_light_follows_the_cosine_of_the_angle_to_each_face() -> None:
    direction = np.array([[0.6, 0.0, -0.8], [0.0, -1.0, 0.0]])
    lux = face_lux(BARE, AU_M * direction, np.tile(BELOW, (2, 1)), np.ones(2), seed=1)
    np.testing.assert_allclose(lux, FULL_LUX * np.array([[0.6, 0, 0, 0, 0, 0.8], [0, 0, 0, 0, 1.0, 0]]), rtol=1e-12)


@pytest.mark.parametrize("sunlit", [0.0, 0.3])
def test_direct_light_fades_with_the_visible_part_of_the_sun(sunlit: float) -> None:
    lux = face_lux(BARE, np.array([[AU_M, 0.0, 0.0]]), BELOW, np.array([sunlit]), seed=1)
    np.testing.assert_allclose(lux, [[sunlit * FULL_LUX, 0.0, 0.0, 0.0, 0.0, 0.0]])


def test_light_falls_with_the_square_of_the_distance() -> None:
    sun_m, with_earth = np.array([[0.0, 0.0, AU_M]]), replace(BARE, earth_reflectivity=0.3)
    near = face_lux(with_earth, sun_m, BELOW, np.ones(1), seed=1)
    far = face_lux(with_earth, 1.02 * sun_m, BELOW, np.ones(1), seed=1)
    np.testing.assert_allclose(far, near / 1.02**2, rtol=1e-9)
    assert far[0, 2] == pytest.approx(FULL_LUX / 1.02**2)


def test_the_earth_shines_on_the_faces_turned_to_it() -> None:
    lux = face_lux(replace(BARE, earth_reflectivity=0.3), np.array([[0.0, 0.0, AU_M]]), BELOW, np.ones(1), seed=1)
    # Slightly less than for an Earth that is fully lit as below: the view factor is 0.854 at 522 km.
    assert 0.88 * 0.854 * 0.3 < lux[0, 5] / FULL_LUX < 0.854 * 0.3
    sideways = lux[0, [0, 1, 3, 4]]
    np.testing.assert_allclose(sideways, sideways[0], rtol=1e-3)
    assert 0.2 < sideways[0] / lux[0, 5] < 0.35
    half = face_lux(replace(BARE, earth_reflectivity=0.15), np.array([[0.0, 0.0, AU_M]]), BELOW, np.ones(1), seed=1)
    np.testing.assert_allclose(half[0, 5], 0.5 * lux[0, 5])


def test_gain_errors_scale_all_light_of_a_face() -> None:
    direction = AU_M * np.array([[0.6, 0.0, 0.8], [-0.6, 0.8, 0.0]])
    position_m = np.tile(BELOW, (2, 1))
    true = replace(BARE, earth_reflectivity=0.3)
    wrong = replace(true, gain_errors=(0.1, -0.05, 0.0, 0.02, 0.0, -1.0))
    before, after = (face_lux(sensors, direction, position_m, np.ones(2), seed=1) for sensors in (true, wrong))
    np.testing.assert_allclose(after, before * [1.1, 0.95, 1.0, 1.02, 1.0, 0.0], rtol=1e-12)


def test_a_deviation_from_the_cosine_law_grows_with_the_square_of_the_sine() -> None:
    direction = AU_M * np.array([[1.0, 0.0, 0.0], [0.6, 0.0, 0.8]])
    sensors = replace(BARE, cosine_error=0.2)
    share = face_lux(sensors, direction, np.tile(BELOW, (2, 1)), np.ones(2), seed=1) / FULL_LUX
    np.testing.assert_allclose(share[0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(share[1], [0.6 * (1.0 - 0.2 * 0.64), 0.0, 0.8 * (1.0 - 0.2 * 0.36), 0.0, 0.0, 0.0])


def test_noise_is_the_declared_share_of_full_sunlight_on_every_face() -> None:
    sensors = SunSensors(noise_fraction=0.01, earth_reflectivity=0.0)
    toward_sun = 1.02 * AU_M * np.tile([0.6, 0.8, 0.0], (COUNT, 1))
    lux = face_lux(sensors, toward_sun, np.tile(BELOW, (COUNT, 1)), np.ones(COUNT), seed=1) / (FULL_LUX / 1.02**2)
    for face, cosine in ((0, 0.6), (1, 0.8)):
        error = (lux[:, face] - cosine) / 0.01
        assert abs(error.mean()) < four_standard_errors(COUNT)
        assert abs(error.std() - 1.0) < four_standard_errors(2 * COUNT)
    # Half of a dark face's noise is below zero, where readings are clipped.
    dark = lux[:, 2:] / 0.01
    assert np.all(dark >= 0.0)
    assert np.mean(dark == 0.0) == pytest.approx(0.5, abs=four_standard_errors(4 * COUNT))
    assert dark.mean() == pytest.approx(1.0 / math.sqrt(2.0 * math.pi), abs=four_standard_errors(4 * COUNT))


def test_the_response_of_a_face_follows_its_temperature() -> None:
    # The Sun appears on +X for 1000 s, then on +Y.
    t_s = np.arange(0.0, 2000.0, 5.0)
    sun = np.where((t_s < 1000.0)[:, np.newaxis], [1.0, 0.0, 0.0], [0.0, 0.6, 0.8])
    sensors = replace(BARE, gain_thermal=0.05, face_time_constant_s=500.0)
    response = face_response(sensors, t_s, AU_M * sun, np.ones(400))
    np.testing.assert_allclose(response[:200, 0], 1.05)
    since_s = t_s[200:] - 997.5
    np.testing.assert_allclose(response[200:, 0], 1.0 + 0.05 * np.exp(-since_s / 500.0), atol=1e-5)
    np.testing.assert_allclose(response[200:, 1], 1.0 + 0.03 * -np.expm1(-since_s / 500.0), atol=1e-5)
    np.testing.assert_array_equal(response[:, 3:], 1.0)


def test_contamination_dims_a_face_with_the_hours_of_its_sunlight() -> None:
    t_s = np.arange(0.0, 7201.0, 5.0)
    sensors = replace(BARE, contamination_per_h=(0.02, 0.03, 0.0, 0.5, 0.0, 0.0))
    sunlit = np.full(len(t_s), 0.5)
    response = face_response(sensors, t_s, AU_M * np.tile([0.6, 0.8, 0.0], (len(t_s), 1)), sunlit)
    expected = [np.exp(-0.02 * 0.6), np.exp(-0.03 * 0.8), 1.0, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(response[-1], expected, rtol=1e-9)
    lux = [
        face_lux(BARE, np.array([[AU_M, 0.0, 0.0]]), BELOW, np.ones(1), seed=1, response=of_face)[0, 0]
        for of_face in (1.0, np.array([[0.9, 1.0, 1.0, 1.0, 1.0, 1.0]]))
    ]
    assert lux[1] == pytest.approx(0.9 * lux[0])


def test_a_wrong_map_of_the_faces_shows_the_light_of_others() -> None:
    direction = AU_M * np.array([[0.48, 0.6, -0.64]])
    right = face_lux(SunSensors(), direction, BELOW, np.ones(1), seed=1)[0]
    swapped = face_lux(SunSensors(faces=(2, 1, 3, -2, -1, -3)), direction, BELOW, np.ones(1), seed=1)[0]
    np.testing.assert_array_equal(swapped, right[[1, 0, 2, 4, 3, 5]])
    mirrored = face_lux(SunSensors(faces=(-1, 2, 3, 1, -2, -3)), direction, BELOW, np.ones(1), seed=1)[0]
    np.testing.assert_array_equal(mirrored, right[[3, 1, 2, 0, 4, 5]])


def test_all_faces_are_dark_in_the_umbra() -> None:
    below_m = np.array([[6.9e6, 0.0, 0.0]])
    assert not face_lux(SunSensors(), np.array([[-AU_M, 1e9, 0.0]]), below_m, np.zeros(1), seed=1).any()


def test_noise_fades_in_the_penumbra() -> None:
    toward_sun, position_m = np.tile([AU_M, 0.0, 0.0], (COUNT, 1)), np.tile(BELOW, (COUNT, 1))
    sensors = SunSensors(earth_reflectivity=0.0)
    lux = face_lux(sensors, toward_sun, position_m, np.full(COUNT, 0.25), seed=1)
    assert lux[:, 0].std() == pytest.approx(0.25 * 0.01 * FULL_LUX, rel=four_standard_errors(2 * COUNT))


def test_format_and_sensor_have_the_same_range() -> None:
    lux = face_lux(SunSensors(), np.array([[AU_M, 0.0, 0.0]]), BELOW, np.ones(1), seed=1)
    assert lux[0, 0] > 120_000.0
    assert lux_from_words(encode_lux(lux)[0, 0]) == pytest.approx(83_865.60)


def test_noise_depends_on_the_seed_and_the_earths_light_does_not_change_it() -> None:
    toward_sun = AU_M * np.tile([0.6, 0.8, 0.0], (50, 1))
    position_m = np.tile([-6.9e6, 0.0, 0.0], (50, 1))
    one, again, other = (face_lux(SunSensors(), toward_sun, position_m, np.ones(50), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert np.any(one[:, :2] != other[:, :2])
    without = face_lux(SunSensors(earth_reflectivity=0.0), toward_sun, position_m, np.ones(50), seed=3)
    of_earth = 0.3 * FULL_LUX * albedo_shares(position_m, toward_sun, FACE_NORMALS_BODY)
    np.testing.assert_allclose((one - without)[:, :2], of_earth[:, :2], atol=1e-6)


FACES = np.vstack((np.eye(3), -np.eye(3)))


def spread_over_sphere(count: int) -> FloatArray:
    """Return unit vectors of equal areas (Fibonacci spiral)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(count)
    return np.column_stack((np.sqrt(1.0 - z**2) * np.cos(turn), np.sqrt(1.0 - z**2) * np.sin(turn), z))


def tilted_from_nadir(angle_deg: float) -> FloatArray:
    """Return the normal of a plate on a satellite over +Z."""
    angle = np.radians(angle_deg)
    return np.array([[np.sin(angle), 0.0, -np.cos(angle)]])


def mean_over_all_suns(altitude_m: float, normals: FloatArray) -> FloatArray:
    suns = spread_over_sphere(3000)
    above = np.tile([0.0, 0.0, brahe.R_EARTH + altitude_m], (len(suns), 1))
    mean: FloatArray = albedo_shares(above, suns, normals).mean(axis=0)
    return mean


# With the Sun at every place in turn each element is lit by a quarter on the average, so the mean is a quarter of the
# plate's view factor to a sphere that is lit all over.


@pytest.mark.parametrize("altitude_m", [400e3, 700e3, 5e6, 36e6])
@pytest.mark.parametrize("tilt", [0.0, 0.5, 1.0])
def test_a_plate_that_sees_the_whole_disc_has_the_view_factor_of_a_sphere(altitude_m: float, tilt: float) -> None:
    ratio = brahe.R_EARTH / (brahe.R_EARTH + altitude_m)
    angle_deg = tilt * np.degrees(np.arccos(ratio))
    (share,) = mean_over_all_suns(altitude_m, tilted_from_nadir(angle_deg))
    assert share == pytest.approx(0.25 * ratio**2 * np.cos(np.radians(angle_deg)), rel=1e-3)


@pytest.mark.parametrize("altitude_m", [400e3, 700e3, 5e6])
def test_a_plate_on_edge_has_the_view_factor_of_half_a_sphere(altitude_m: float) -> None:
    # Howell, Catalog of Radiation Heat Transfer Configuration Factors: sphere and element, normal across their line.
    ratio = brahe.R_EARTH / (brahe.R_EARTH + altitude_m)
    view_factor = (np.arcsin(ratio) - ratio * np.sqrt(1.0 - ratio**2)) / np.pi
    np.testing.assert_allclose(mean_over_all_suns(altitude_m, tilted_from_nadir(90.0)), 0.25 * view_factor, rtol=4e-3)


@pytest.mark.parametrize("phase_deg", [0.0, 40.0, 90.0, 140.0])
def test_from_afar_the_earth_has_the_phases_of_a_lambert_sphere(phase_deg: float) -> None:
    # Geometric albedo 2/3, phase function (sin a + (pi - a) cos a) / pi (Russell 1916).
    phase, far = np.radians(phase_deg), 1e4
    above = far * brahe.R_EARTH * np.array([[0.0, 0.0, 1.0]])
    sun = np.array([[np.sin(phase), 0.0, np.cos(phase)]])
    ((share,),) = albedo_shares(above, sun, tilted_from_nadir(0.0))
    expected = 2.0 / 3.0 * (np.sin(phase) + (np.pi - phase) * np.cos(phase)) / np.pi
    assert share * far**2 == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("variation", [0.0, 0.8])
def test_every_face_against_a_sum_over_the_whole_sphere(variation: float) -> None:
    rng = np.random.default_rng(1)
    place, sun = (Rotation.random(6, rng=rng).apply([1.0, 0.0, 0.0]) for _ in range(2))
    # Mostly by day; the last but one over the terminator.
    sun[:4] += place[:4]
    sun[4] -= (sun[4] @ place[4]) * place[4]
    position_m = 1e6 * np.array([[6.8], [6.9], [7.1], [7.5], [6.9], [6.9]]) * place
    cloudy = SunSensors(earth_reflectivity_variation=variation)
    itrf_from_body, times_s = Rotation.random(6, rng=rng).as_matrix(), 1000.0 * np.arange(6.0)
    clouds = Clouds.over(cloudy, times_s, itrf_from_body, seed=1)
    shares = albedo_shares(position_m, AU_M * sun, FACES, clouds)
    ground = spread_over_sphere(300_000)
    area = 4.0 * np.pi / len(ground)
    for row, (from_centre, to_sun, share) in enumerate(zip(position_m / brahe.R_EARTH, sun, shares, strict=True)):
        seen = ground[ground @ from_centre > 1.0]
        towards = seen - from_centre
        distance = np.linalg.norm(towards, axis=1)
        emission = -np.einsum("ni,ni->n", seen, towards) / distance
        light = np.maximum(seen @ to_sun / np.linalg.norm(to_sun), 0.0) * emission / (np.pi * distance**2) * area
        at_place = Clouds.over(cloudy, times_s[row : row + 1], np.eye(3)[np.newaxis], seed=1)
        light *= at_place.brightness(slice(None), np.eye(3)[np.newaxis], (seen @ itrf_from_body[row].T)[None])[0]
        expected = light @ np.maximum(towards @ FACES.T / distance[:, np.newaxis], 0.0)
        np.testing.assert_allclose(share, expected, rtol=0, atol=5e-4 if variation == 0.0 else 2e-3)
    assert shares.max() > 0.3


def test_the_axes_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    turned = Rotation.random(rng=rng)
    position_m, sun = 6.9e6 * spread_over_sphere(50), Rotation.random(50, rng=rng).apply([1.0, 0.0, 0.0])
    shares = albedo_shares(position_m, sun, FACES)
    again = albedo_shares(turned.apply(position_m), turned.apply(sun), turned.apply(FACES))
    np.testing.assert_allclose(again, shares, rtol=0, atol=1e-12)


@pytest.mark.parametrize("place", FACES.tolist())
def test_the_sun_may_stand_overhead_and_below(place: list[float]) -> None:
    position_m, faces = 6.9e6 * np.array([place]), np.array(place) * np.array([[1.0], [-1.0]])
    (away, towards), (dark, darker) = (albedo_shares(position_m, side * position_m, faces)[0] for side in (1.0, -1.0))
    assert (away, dark, darker) == (0.0, 0.0, 0.0)
    assert 0.75 < towards < (brahe.R_EARTH / 6.9e6) ** 2


def test_no_light_of_the_earth_reaches_the_umbra() -> None:
    position_m = CircularOrbit(inclination_rad=1.5).states_gcrf(np.arange(0.0, 5700.0, 1.0))[:, :3]
    sun_m = np.tile([AU_M, 0.0, 0.0], (len(position_m), 1))
    in_umbra = environment.sunlit_fraction(position_m, sun_m) == 0.0
    assert 0.3 < in_umbra.mean() < 0.4
    shares = albedo_shares(position_m, sun_m, FACES)
    assert not shares[in_umbra].any()
    assert shares[~in_umbra].max(axis=1).min() < 1e-4, "it fades before the umbra begins"
