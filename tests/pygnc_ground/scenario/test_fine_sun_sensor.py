import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.optical_sensors import measured_directions
from pygnc_ground.scenario.sensor_settings import FineSunSensor

COUNT = 4000
SUN = 1.5e11 * Rotation.random(COUNT, rng=np.random.default_rng(2)).apply((0.0, 0.0, 1.0))
LIT = np.ones(COUNT)
TURN = Rotation.from_euler("xyz", [30.0, -40.0, 110.0], degrees=True)


def errors_deg(sensor: FineSunSensor) -> np.ndarray:
    """Angles between measured and true directions, of the readings that exist."""
    measured = measured_directions(sensor, SUN, LIT, 5)
    true = Rotation.from_matrix(np.array(sensor.sensor_from_body)).apply(SUN / 1.5e11)
    seen = np.isfinite(measured).all(axis=1)
    cosine = np.clip((measured[seen] * true[seen]).sum(axis=1), -1.0, 1.0)
    found: np.ndarray = np.degrees(np.arccos(cosine))
    return found


def test_noise_is_that_of_the_settings() -> None:
    mounting = tuple(map(tuple, TURN.as_matrix().tolist()))
    sensor = FineSunSensor(sensor_from_body=mounting, misalignment_deg=(0.0, 0.0, 0.0), distortion=0.0)  # type: ignore[arg-type]
    errors = errors_deg(sensor)
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2)), 0.1 * np.sqrt(2.0), rtol=0.05)


def test_distortion_and_misalignment_are_as_stated() -> None:
    distorted = FineSunSensor(noise_deg=0.0, misalignment_deg=(0.0, 0.0, 0.0), distortion=0.01)
    np.testing.assert_allclose(errors_deg(distorted).max(), 0.6, atol=0.02)
    turned = FineSunSensor(noise_deg=0.0, misalignment_deg=(0.3, 0.0, 0.0), distortion=0.0)
    np.testing.assert_allclose(errors_deg(turned).max(), 0.3, atol=0.01)


def test_it_sees_the_sun_in_its_field_of_view_only_and_not_in_the_shadow() -> None:
    measured = measured_directions(FineSunSensor(field_of_view_deg=50.0, misalignment_deg=(0.0, 0.0, 0.0)), SUN, LIT, 5)
    seen = np.isfinite(measured).all(axis=1)
    assert (seen == (SUN[:, 2] / 1.5e11 >= np.cos(np.radians(50.0)))).all()
    assert np.isnan(measured_directions(FineSunSensor(), SUN, 0.0 * LIT, 5)).all()
