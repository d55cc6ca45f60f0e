"""Light on the faces against the geometry, the Earth's light and the declared errors."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.formats.sense import encode_lux, lux_from_words
from pygnc_ground.scenario.albedo import albedo_shares
from pygnc_ground.scenario.sensor_settings import SunSensors
from pygnc_ground.scenario.sun_sensors import FACE_NORMALS_BODY, face_lux

AU_M = 149_597_870_700.0
COUNT = 4000
FULL_LUX = 133_378.0
BARE = SunSensors(earth_reflectivity=0.0, noise_fraction=0.0)
BELOW = np.array([[0.0, 0.0, 6.9e6]])
"""The Earth on the face -Z."""


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
    # A little less than if it were lit all over as it is below: the view factor is 0.854 at 522 km.
    assert 0.88 * 0.854 * 0.3 < lux[0, 5] / FULL_LUX < 0.854 * 0.3
    sideways = lux[0, [0, 1, 3, 4]]
    np.testing.assert_allclose(sideways, sideways[0], rtol=1e-3)
    assert 0.2 < sideways[0] / lux[0, 5] < 0.35
    half = face_lux(replace(BARE, earth_reflectivity=0.15), np.array([[0.0, 0.0, AU_M]]), BELOW, np.ones(1), seed=1)
    np.testing.assert_allclose(half[0, 5], 0.5 * lux[0, 5])


def test_gain_errors_are_of_all_the_light_of_a_face() -> None:
    direction = AU_M * np.array([[0.6, 0.0, 0.8], [-0.6, 0.8, 0.0]])
    position_m = np.tile(BELOW, (2, 1))
    true = replace(BARE, earth_reflectivity=0.3)
    wrong = replace(true, gain_errors=(0.1, -0.05, 0.0, 0.02, 0.0, -1.0))
    before, after = (face_lux(sensors, direction, position_m, np.ones(2), seed=1) for sensors in (true, wrong))
    np.testing.assert_allclose(after, before * [1.1, 0.95, 1.0, 1.02, 1.0, 0.0], rtol=1e-12)


def test_noise_is_the_declared_share_of_full_sunlight_on_every_face() -> None:
    sensors = SunSensors(noise_fraction=0.01, earth_reflectivity=0.0)
    toward_sun = 1.02 * AU_M * np.tile([0.6, 0.8, 0.0], (COUNT, 1))
    lux = face_lux(sensors, toward_sun, np.tile(BELOW, (COUNT, 1)), np.ones(COUNT), seed=1) / (FULL_LUX / 1.02**2)
    for face, cosine in ((0, 0.6), (1, 0.8)):
        error = (lux[:, face] - cosine) / 0.01
        assert abs(error.mean()) < four_standard_errors(COUNT)
        assert abs(error.std() - 1.0) < four_standard_errors(2 * COUNT)
    # Half of a dark face's noise is below zero, where no reading is.
    dark = lux[:, 2:] / 0.01
    assert np.all(dark >= 0.0)
    assert np.mean(dark == 0.0) == pytest.approx(0.5, abs=four_standard_errors(4 * COUNT))
    assert dark.mean() == pytest.approx(1.0 / math.sqrt(2.0 * math.pi), abs=four_standard_errors(4 * COUNT))


def test_in_the_umbra_all_is_dark() -> None:
    below_m = np.array([[6.9e6, 0.0, 0.0]])
    assert not face_lux(SunSensors(), np.array([[-AU_M, 1e9, 0.0]]), below_m, np.zeros(1), seed=1).any()


def test_noise_fades_in_the_penumbra() -> None:
    toward_sun, position_m = np.tile([AU_M, 0.0, 0.0], (COUNT, 1)), np.tile(BELOW, (COUNT, 1))
    sensors = SunSensors(earth_reflectivity=0.0)
    lux = face_lux(sensors, toward_sun, position_m, np.full(COUNT, 0.25), seed=1)
    assert lux[:, 0].std() == pytest.approx(0.25 * 0.01 * FULL_LUX, rel=four_standard_errors(2 * COUNT))


def test_the_format_ends_where_the_sensor_does() -> None:
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
