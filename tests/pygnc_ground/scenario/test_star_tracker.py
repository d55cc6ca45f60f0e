import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.optical_sensors import measured_quaternions
from pygnc_ground.scenario.sensor_settings import StarTracker

COUNT = 4000
TURN = Rotation.from_euler("xyz", [10.0, 50.0, -80.0], degrees=True)
ATTITUDES = Rotation.random(COUNT, rng=np.random.default_rng(1))
SLOW = np.zeros((COUNT, 3))
AWAY = np.tile((0.0, 0.0, -1.5e11), (COUNT, 1))


def errors_arcsec(sensor: StarTracker) -> np.ndarray:
    measured = measured_quaternions(sensor, ATTITUDES.as_quat(scalar_first=True), SLOW, AWAY, 3)
    seen = np.isfinite(measured).all(axis=1)
    true = ATTITUDES[seen] * Rotation.from_matrix(np.array(sensor.sensor_from_body).T)
    found = Rotation.from_quat(measured[seen], scalar_first=True)
    errors: np.ndarray = 3600.0 * np.degrees((true.inv() * found).as_rotvec())
    return errors


def test_noise_and_misalignment_are_about_the_axes_of_the_sensor() -> None:
    mounting = tuple(map(tuple, TURN.as_matrix().tolist()))
    errors = errors_arcsec(StarTracker(sensor_from_body=mounting))  # type: ignore[arg-type]
    np.testing.assert_allclose(errors.std(axis=0), [15.0, 15.0, 90.0], rtol=0.05)
    np.testing.assert_allclose(errors.mean(axis=0), [10.0, -10.0, 30.0], atol=5.0)
    assert abs(len(errors) / COUNT - 0.95) < 0.02


def test_it_is_blind_near_the_sun_and_during_fast_rotation() -> None:
    sensor = StarTracker(lost_fraction=0.0)
    quaternions = ATTITUDES.as_quat(scalar_first=True)
    angle = np.radians(np.linspace(0.0, 180.0, COUNT))
    sun = 1.5e11 * np.column_stack((np.sin(angle), np.zeros(COUNT), np.cos(angle)))
    blind = np.isnan(measured_quaternions(sensor, quaternions, SLOW, sun, 1)).all(axis=1)
    assert (blind == (angle < np.radians(40.0))).all()
    rates = np.radians(np.linspace(0.0, 4.0, COUNT))[:, None] * np.array((0.6, 0.0, 0.8))
    fast = np.isnan(measured_quaternions(sensor, quaternions, rates, AWAY, 1)).all(axis=1)
    assert (fast == (np.linalg.norm(rates, axis=1) > np.radians(2.0))).all()
