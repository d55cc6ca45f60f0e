from functools import cache

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.albedo import earth_albedo
from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc_ground.attitude.face_illuminance import FaceIlluminance, face_illuminance
from tests.pygnc.estimators.attitude.truth import NORMALS, SETTINGS, SUN_M, Truth, fly, run

FULL_SUN_LUX = SETTINGS.sun_sensors.full_sun_lux


def compared(
    truth: Truth, updates: list[AttitudeUpdate], *, states: bool = True, places: bool = True
) -> FaceIlluminance:
    lux = np.array([sample.lux for sample in truth.samples])
    return face_illuminance(
        lux,
        [update.state if states else None for update in updates],
        [around if places else None for around in truth.environments],
        SETTINGS,
    )


pytestmark = pytest.mark.xdist_group("face_illuminance")  # one worker flies


@cache
def truth() -> Truth:
    return fly(5, 35.0, dead=3)


@cache
def updates() -> list[AttitudeUpdate]:
    return run(truth())[1]


@cache
def light() -> FaceIlluminance:
    return compared(truth(), updates())


def share(row: int) -> Array:
    """Return the readings of the faces at the true attitude, by its definition."""
    w, x, y, z = truth().quaternion[row]
    gcrf_from_body = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    around = truth().environments[row]
    to_sun = SUN_M - around.position_gcrf_m
    normals = NORMALS @ gcrf_from_body.T
    albedo = earth_albedo(around.position_gcrf_m, SUN_M)
    direct = np.maximum(normals @ to_sun, 0.0) / np.linalg.norm(to_sun) * around.sunlit_fraction
    total = direct + 0.3 * np.maximum(normals @ albedo.directions.T, 0.0) @ albedo.shares[0]
    return np.asarray(np.minimum(total, SETTINGS.sun_sensors.saturation_lux / FULL_SUN_LUX))


def test_a_good_attitude_predicts_the_true_illuminance() -> None:
    rows = np.arange(200, 240)
    expected = np.array([share(row) for row in rows.tolist()])
    assert np.abs(light().expected[rows] - expected).max() < 0.05
    assert np.abs(light().expected[rows] - expected).mean() < 0.01


def test_readings_are_shares_of_full_sunlight_and_full_scale_is_marked() -> None:
    lux = np.array([sample.lux for sample in truth().samples])
    assert light().measured == pytest.approx(lux / FULL_SUN_LUX, rel=1e-4)
    assert (light().saturated == (lux > 83_865.0)).all()
    assert light().saturated.any()
    assert np.nanmax(light().expected) <= light().full_scale.max()


def test_a_dead_face_is_dark_where_the_sun_is_before_it() -> None:
    assert light().dark[:, 3].sum() > 20
    assert not np.delete(light().dark, 3, axis=1).any()
    assert (light().expected[light().dark] > 0.1).all()


def test_nothing_is_dark_in_the_shadow() -> None:
    shadowed = np.array([around.sunlit_fraction == 0.0 for around in truth().environments])
    assert shadowed.sum() > 30
    assert not light().dark[shadowed].any()


def test_without_attitude_or_place_only_the_readings_are_there() -> None:
    for found in (compared(truth(), updates(), states=False), compared(truth(), updates(), places=False)):
        assert np.isnan(found.expected).all()
        assert np.isnan(found.sigma).all()
        assert not found.dark.any()
        assert np.isfinite(found.measured).all()
