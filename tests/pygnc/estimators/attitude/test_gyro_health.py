import numpy as np

from pygnc.estimators.attitude.sensor_health import GyroHealth
from pygnc.estimators.attitude.settings import GyroSettings

LIMITS = GyroSettings()
COUNT = np.radians(1.0 / 65.6)


def readings(number: int) -> list[list[float]]:
    """Of a gyro at rest, whole counts."""
    noise = np.radians(0.025) * np.random.default_rng(1).normal(size=(number, 3))
    return [list(reading) for reading in COUNT * np.rint(noise / COUNT)]


def test_noise_in_whole_counts_is_not_stuck() -> None:
    health = GyroHealth.unknown()
    flagged = 0
    for reading in readings(5000):
        health = health.judged(np.array(reading), LIMITS)
        flagged += int(health.stuck.any())
    assert flagged == 0


def test_an_axis_that_repeats_itself_is_stuck_until_it_moves() -> None:
    health = GyroHealth.unknown()
    for number, reading in enumerate(readings(LIMITS.stuck_samples + 1)):
        assert not health.stuck.any(), number
        health = health.judged(np.array([reading[0], 0.0, reading[2]]), LIMITS)
    assert health.stuck.tolist() == [False, True, False]
    assert not health.judged(np.array([0.0, 1e-3, 0.0]), LIMITS).stuck.any()


def test_samples_that_repeat_as_a_whole_are_not_held_against_an_axis() -> None:
    health = GyroHealth.unknown()
    for _ in range(50):
        health = health.judged(np.zeros(3), LIMITS)
    assert not health.stuck.any()


def test_a_reading_at_the_end_of_the_range_is_told() -> None:
    for sign in (1.0, -1.0):
        health = GyroHealth.unknown().judged(np.array([0.0, sign * np.radians(499.5), 0.0]), LIMITS)
        assert health.beyond_range.tolist() == [False, True, False]
