import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.measurement_model import Accepted, ModelMemory, Prediction
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.search import sun_direction
from pygnc.estimators.attitude.sensor_health import SensorHealth
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.attitude.sun_sensors import IlluminanceObservation, SunSensors, light_sources
from pygnc.estimators.attitude.window import WindowSample
from tests.pygnc.estimators.attitude.test_propagation import STEPS, some_state
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, SUN_M, fly

MAGNETOMETER, SUN_SENSORS = Magnetometer(SETTINGS), SunSensors(SETTINGS)
AROUND = AttitudeEnvironment(np.array([10.0, -20.0, 30.0]), SUN_M, np.array([6.9e6, 0.3e6, 0.2e6]), 1.0, 0.7)
SKY = light_sources(AROUND, SETTINGS)


def body_from_gcrf(state: AttitudeState) -> Array:
    return quaternion.to_matrix(state.quaternion).T


def field_residual(state: AttitudeState) -> Array:
    return MAGNETOMETER.observation(state, body_from_gcrf(state), np.zeros(3), AROUND).residual


def light_residual(state: AttitudeState) -> Array:
    return SUN_SENSORS.observation(state, body_from_gcrf(state), np.zeros(6), SKY, 1.0).observation.residual


@pytest.mark.parametrize("seed", range(5))
def test_the_partials_are_the_derivatives_of_the_predictions(seed: int) -> None:
    state = some_state(seed)
    field = MAGNETOMETER.observation(state, body_from_gcrf(state), np.zeros(3), AROUND).partials
    light = SUN_SENSORS.observation(state, body_from_gcrf(state), np.zeros(6), SKY, 1.0).observation.partials
    for column in range(SIZE):
        error = np.zeros(SIZE)
        error[column] = STEPS[column]
        ends = [state.corrected(sign * error, state.sqrt_covariance) for sign in (1.0, -1.0)]
        for partials, residual in ((field, field_residual), (light, light_residual)):
            difference = (residual(ends[1]) - residual(ends[0])) / (2.0 * STEPS[column])
            np.testing.assert_allclose(partials[:, column], difference, atol=1e-6, rtol=1e-6)


def test_residuals_at_the_truth_are_noise() -> None:
    truth = fly(1, 30.0)
    slow = np.concatenate((truth.gyro_bias_rad_s, truth.mag_bias_ut, np.zeros(3), [0.3], np.zeros(30)))
    field, light = [], []
    for sample, around in zip(truth.samples, truth.environments, strict=True):
        state = AttitudeState(sample.gps_ms, truth.quaternion[sample.seq], slow, np.eye(SIZE))
        matrix = body_from_gcrf(state)
        field.append(MAGNETOMETER.observation(state, matrix, sample.mag_imu_ut, around).residual)
        seen = SUN_SENSORS.observation(state, matrix, sample.lux, light_sources(around, SETTINGS), 1.0)
        light += seen.observation.residual[seen.usable & ~seen.saturated].tolist()
    assert np.std(field) == pytest.approx(0.6, rel=0.05)
    assert np.std(light) == pytest.approx(0.01, rel=0.1)
    assert abs(np.mean(light)) < 0.001


def at_rest(cosine: float) -> AttitudeState:
    """The Sun's cosine on +X is given, its other component is along +Y."""
    across = np.cross(SKY.sun_gcrf, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    sine = np.sqrt(1.0 - cosine * cosine)
    x, y = cosine * SKY.sun_gcrf + sine * across, sine * SKY.sun_gcrf - cosine * across
    slow = np.zeros(SIZE - 3)
    slow[ERRORS.in_slow(ERRORS.reflectivity).start] = 0.3
    gcrf_from_body = np.stack((x, y, np.cross(x, y)), axis=1)
    return AttitudeState(0, quaternion.from_matrix(gcrf_from_body), slow, np.eye(SIZE))


def at_full_scale(cosine: float, gain_sigma: float) -> tuple[IlluminanceObservation, Accepted | None]:
    """Only +X has a reading, at full scale, and only the gain of this face is uncertain."""
    known = at_rest(cosine)
    sigma = np.full(SIZE, 1e-6)
    sigma[ERRORS.face_gains.start] = gain_sigma
    state = AttitudeState(0, known.quaternion, known.slow, np.diag(sigma))
    lux = np.array([SETTINGS.sun_sensors.saturation_lux, *[-1.0] * 5])
    step = AttitudeStep(state, np.eye(SIZE), np.zeros(SIZE), np.zeros(3), np.zeros(3))
    prediction = Prediction(step, body_from_gcrf(state), AROUND, SensorHealth.unknown(6), 0.0, 100)
    tested = SUN_SENSORS.test(ModelMemory(), AttitudeSample(0, np.zeros(3), np.zeros(3), lux), prediction)
    assert tested is not None
    return SUN_SENSORS.observation(state, body_from_gcrf(state), lux, SKY, 1.0), tested.accepted


@pytest.mark.parametrize("cosine", [0.45, 0.55, 0.62, 0.7])
def test_a_reading_at_full_scale_cuts_off_the_light_below(cosine: float) -> None:
    gain_sigma = 0.1
    seen, accepted = at_full_scale(cosine, gain_sigma)
    # Bayes' rule on a grid of gains and noise.
    gain, deviation = np.linspace(-8.0, 8.0, 40_001) * gain_sigma, np.linspace(-4.0, 4.0, 41)[:, None]
    light = seen.expected_share[0] * (1.0 + gain) + deviation * seen.observation.sigma[0]
    density = np.exp(-0.5 * (gain / gain_sigma) ** 2) * np.exp(-0.5 * deviation**2)
    density = (density * (light >= seen.share[0])).sum(axis=0)
    mean = (gain * density).sum() / density.sum()
    spread = np.sqrt(((gain - mean) ** 2 * density).sum() / density.sum())

    assert accepted is not None
    residual, projected, error_sigma, _ = accepted
    variance = float(projected[0].dot(projected[0]) + error_sigma[0] ** 2)
    along = gain_sigma * projected[0, ERRORS.face_gains.start]
    assert along * residual[0] / variance == pytest.approx(mean, abs=0.01 * gain_sigma)
    assert np.sqrt(gain_sigma**2 - along**2 / variance) == pytest.approx(spread, rel=0.01)


def test_a_reading_at_full_scale_says_nothing_if_much_more_light_is_expected() -> None:
    assert at_full_scale(0.9, 0.1)[1] is None


@pytest.mark.parametrize(("cosine", "usable"), [(0.1, False), (0.2, True), (-0.5, False)])
def test_grazing_and_dark_faces_are_left_out(cosine: float, *, usable: bool) -> None:
    state = at_rest(cosine)
    assert SUN_SENSORS.observation(state, body_from_gcrf(state), np.full(6, 1e4), SKY, 1.0).usable[0] == usable


def test_albedo_increases_the_sigma_of_a_face() -> None:
    state = at_rest(0.9)
    seen = SUN_SENSORS.observation(state, body_from_gcrf(state), np.zeros(6), SKY, 1.0)
    assert seen.observation.sigma.max() > seen.observation.sigma.min()
    assert seen.observation.sigma.min() >= SETTINGS.sun_sensors.noise_share


@pytest.mark.parametrize(("height_m", "is_used"), [(80e3, True), (50e3, False), (-1e3, False)])
def test_light_that_has_grazed_the_air_is_not_used(height_m: float, *, is_used: bool) -> None:
    state, to_sun = at_rest(0.4), SUN_M / np.linalg.norm(SUN_M)
    across = np.cross(to_sun, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    # The ray passes the Earth at the equator in this height; the satellite is behind the terminator.
    position_m = (6_378_137.0 + height_m) * across - 2.5e6 * to_sun
    around = AttitudeEnvironment(AROUND.field_gcrf_ut, SUN_M, position_m, float(height_m > 0.0), 0.7)
    step = AttitudeStep(state, np.eye(SIZE), np.zeros(SIZE), np.zeros(3), np.zeros(3))
    prediction = Prediction(step, body_from_gcrf(state), around, SensorHealth.unknown(6), 0.0, 100)
    sample = AttitudeSample(0, np.zeros(3), np.zeros(3), np.array([5e4, *[1e3] * 5]))
    assert (SUN_SENSORS.test(ModelMemory(), sample, prediction) is not None) == is_used
    window = WindowSample(sample, around, light_sources(around, SETTINGS))
    assert (sun_direction(window, SETTINGS, None) is not None) == is_used
