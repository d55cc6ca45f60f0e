from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report.attitude_comparison import attitude_estimates
from pygnc_ground.report.attitude_statistics import innovations_of
from pygnc_ground.report.glance_attitude import attitude_findings
from tests.pygnc_ground.report import attitude_samples, samples

COUNT = 900


def clean() -> AttitudeResult:
    return attitude_samples.clean(COUNT, begin_ms=samples.BEGIN_MS)


def told(result: AttitudeResult) -> dict[str, bool]:
    """Whether each sentence is good, by its text."""
    found = attitude_findings(result, attitude_estimates(result), innovations_of(result), MountingSettings())
    return {finding.text: finding.good for finding in found}


def verdict(result: AttitudeResult, words: str) -> bool:
    """Of the one sentence with these words."""
    (good,) = [good for text, good in told(result).items() if words in text]
    return good


def test_an_undisturbed_flight_is_good_in_every_respect() -> None:
    sentences = told(clean())
    assert all(sentences.values())
    assert len(sentences) == 7


def test_without_an_attitude_that_is_all_there_is_to_say() -> None:
    assert told(attitude_samples.without_attitude(clean())) == {"There is no attitude.": False}
    nothing = told(attitude_samples.nothing())
    assert nothing == {"There is no sensor sample, so nothing is known of the attitude.": False}


def test_lost_attitudes_and_broken_sensors_are_named() -> None:
    result = attitude_samples.troubled(clean())
    assert not verdict(result, "lost and found again 1 time.")
    assert not verdict(result, "The sun sensor on face +Y is held for dead.")
    assert not verdict(result, "The sun sensor on face −X is held for mirrored.")
    assert not verdict(result, "The gyro's axis z is held for stuck.")


def test_a_share_below_95_percent_is_worth_a_look() -> None:
    result = clean()
    result.solution.quaternion[:50] = np.nan
    assert not verdict(result, "850 of 900 sensor samples have an attitude (94.4 %")


@pytest.mark.parametrize(("factor", "words"), [(1.5, "larger than"), (0.5, "smaller than")])
def test_innovations_of_the_wrong_size_are_told(factor: float, words: str) -> None:
    result = clean()
    result.samples.nis[:] *= factor
    assert not verdict(result, f"Innovations of the attitude are {words} their covariance says")


def test_errors_beyond_their_sigma_are_told() -> None:
    result = clean()
    wide = replace(result.smoothed, attitude_covariance=result.smoothed.attitude_covariance / 4.0)
    assert not verdict(replace(result, smoothed=wide), "The smoother's attitude is right to")
    assert verdict(replace(result, smoothed=wide), "The filter's attitude is right to")


def test_without_eclipse_and_orbit_the_error_is_that_of_all() -> None:
    result = clean()
    unknown = replace(result.samples, sunlit_fraction=np.full(COUNT, np.nan))
    (text,) = [text for text in told(replace(result, samples=unknown)) if text.startswith("The filter's attitude")]
    assert "° (three-axis RMS)" in text
    assert "sunlight" not in text


def test_a_late_start_and_a_wrong_lock_are_told() -> None:
    result = clean()
    turn = np.where(np.arange(COUNT) < 60, 1.0, 0.0)[:, None] * np.array([0.5, 0.0, 0.0])
    wrong = quaternion.multiply(result.solution.quaternion, quaternion.exponential(turn))
    late = replace(result, solution=replace(result.solution, quaternion=wrong))
    assert not verdict(late, "within 5° of the truth 300 s after the first sample with an orbit")
    assert not verdict(late, "off by more than 20° for up to 300 s in a row")


def test_biases_beyond_their_sigma_are_told() -> None:
    result = clean()
    off = replace(result.solution, mag_bias_imu_ut=result.solution.mag_bias_imu_ut + 1.0)
    assert not verdict(replace(result, solution=off), "The filter's biases are right to")
