from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.bias_walks import NO_WALKS
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate
from pygnc.estimators.attitude.model_errors import NO_TIME_TAG_ERRORS, ErrorSize, ModelErrors
from pygnc.estimators.attitude.sample import AttitudeSample
from pygnc.estimators.attitude.search import Search
from pygnc.estimators.attitude.sensor_prior import SensorPrior
from pygnc_ground.attitude.bound import AttitudeBound, BoundSample, attitude_bound
from pygnc_ground.attitude.smoother import smooth
from pygnc_ground.truth.attitude_truth import TrueAttitude
from tests.pygnc.estimators.attitude.truth import SETTINGS, Truth, errors_deg, fly

SETTLED = 120
pytestmark = pytest.mark.xdist_group("attitude_bound")  # one worker flies


@cache
def flown() -> Truth:
    return fly(3, 30.0)


@cache
def updates() -> list[AttitudeUpdate]:
    """Return the updates of a filter that knows that its sensor models have no errors."""
    attitude, small = AttitudeFilter(SETTINGS), ErrorSize.SMALL
    errors = ModelErrors(small, small, small, small, NO_TIME_TAG_ERRORS, NO_WALKS)
    attitude.memory.errors = errors
    attitude.memory.search = Search(SETTINGS, SensorPrior.initial(SETTINGS, errors), errors)
    return [attitude.process(*pair) for pair in zip(flown().samples, flown().environments, strict=True)]


def true(flight: Truth) -> TrueAttitude:
    count = len(flight.samples)
    constant = (flight.rate_body_rad_s, flight.gyro_bias_rad_s, flight.mag_bias_ut)
    return TrueAttitude(flight.quaternion.copy(), *(np.tile(vector, (count, 1)) for vector in constant))


def bound(flight: Truth, change: Callable[[AttitudeSample], AttitudeSample] = lambda sample: sample) -> AttitudeBound:
    seen = [
        BoundSample(row, change(sample), around)
        for row, (sample, around) in enumerate(zip(flight.samples, flight.environments, strict=True))
    ]
    return attitude_bound(seen, true(flight), SETTINGS)


@cache
def flown_bound() -> AttitudeBound:
    return bound(flown())


def rms_deg(angles_rad: Array) -> float:
    return float(np.degrees(np.sqrt(np.mean(np.square(angles_rad)))))


def test_the_filters_covariance_comes_near_it_once_it_has_settled() -> None:
    formal = np.array([update.state.attitude_sigma_rad for update in updates()[SETTLED:] if update.state is not None])
    assert rms_deg(formal) == pytest.approx(rms_deg(flown_bound().filter_rad[SETTLED:]), rel=0.05)
    smoothed = [state.attitude_sigma_rad for state in smooth(updates())[SETTLED:] if state is not None]
    assert rms_deg(np.array(smoothed)) == pytest.approx(rms_deg(flown_bound().smoother_rad[SETTLED:]), rel=0.05)


def test_the_filters_errors_are_of_its_size() -> None:
    error = float(np.sqrt(np.nanmean(np.square(errors_deg(flown(), updates())[SETTLED:]))))
    assert 0.6 < error / rms_deg(flown_bound().filter_rad[SETTLED:]) < 1.3


def test_all_samples_give_lower_bounds_than_samples_so_far() -> None:
    assert (flown_bound().smoother_rad <= flown_bound().filter_rad * (1.0 + 1e-9)).all()
    assert flown_bound().smoother_rad[-1] == flown_bound().filter_rad[-1]
    assert flown_bound().smoother_rad[0] < 0.05 * flown_bound().filter_rad[0]


def test_a_static_body_under_one_vector_has_the_bound_of_the_closed_form() -> None:
    """Eclipse, no gyro noise, biases known: after n samples the two angles across the field have sigma / (B sqrt n)."""
    settings = replace(
        SETTINGS,
        gyro=replace(
            SETTINGS.gyro, noise_rad_s=1e-12, bias_sigma_rad_s=1e-12, bias_walk_rad_s=1e-15, scale_sigma=1e-12
        ),
        magnetometer=replace(SETTINGS.magnetometer, bias_sigma_ut=1e-6, bias_walk_ut=1e-9, field_error_ut=1e-6),
    )
    count, field_ut = 26, np.array([0.0, 0.0, 40.0])
    truth = TrueAttitude(np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)), *(np.zeros((count, 3)) for _ in range(3)))
    dark = replace(flown().environments[0], field_gcrf_ut=field_ut, sunlit_fraction=0.0)
    reading = np.array(SETTINGS.mounting.imu_from_body) @ field_ut
    seen = [
        BoundSample(row, AttitudeSample(1000 + 5000 * row, reading, np.zeros(3), np.zeros(6)), dark)
        for row in range(count)
    ]
    found = attitude_bound(seen, truth, settings).filter_rad
    # The first sample only begins; about the field itself nothing is learnt.
    across = 1.0 / (1.0 + np.arange(count) * (40.0 / settings.magnetometer.noise_ut) ** 2)
    assert found == pytest.approx(np.sqrt(1.0 + 2.0 * across), rel=1e-4)


def test_noise_of_the_readings_hardly_changes_it() -> None:
    rng = np.random.default_rng(8)

    def noisier(sample: AttitudeSample) -> AttitudeSample:
        return replace(sample, gyro_imu_rad_s=sample.gyro_imu_rad_s + np.radians(rng.normal(0.0, 0.025, 3)))

    other = bound(flown(), noisier)
    assert rms_deg(other.filter_rad[SETTLED:]) == pytest.approx(rms_deg(flown_bound().filter_rad[SETTLED:]), rel=0.01)


def test_rows_of_the_truth_may_be_half_a_minute_apart() -> None:
    truth = true(flown())
    truth.quaternion[np.arange(len(truth.quaternion)) % 5 > 0] = np.nan
    seen = [BoundSample(row, *pair) for row, pair in enumerate(zip(flown().samples, flown().environments, strict=True))]
    sparse = attitude_bound(seen, truth, SETTINGS)
    assert rms_deg(sparse.filter_rad[SETTLED:500]) == pytest.approx(
        rms_deg(flown_bound().filter_rad[SETTLED:500]), rel=0.01
    )


def test_outside_the_truth_and_without_it_there_is_no_bound() -> None:
    truth = true(flown())
    truth.quaternion[:50] = truth.quaternion[200:] = np.nan
    seen = [BoundSample(row, *pair) for row, pair in enumerate(zip(flown().samples, flown().environments, strict=True))]
    part = attitude_bound(seen, truth, SETTINGS)
    assert (np.flatnonzero(np.isfinite(part.filter_rad)) == np.arange(50, 200)).all()
    truth.quaternion[:] = np.nan
    assert np.isnan(attitude_bound(seen, truth, SETTINGS).smoother_rad).all()
    assert np.isnan(attitude_bound([], truth, SETTINGS).filter_rad).all()
