import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth
from pygnc.estimators.attitude.settings import GyroSettings, SunSensorSettings

COSINE = np.array([0.8, 0.5, 0.1, -0.8, -0.5, -0.1])
SHARES = np.array([0.6, 0.5, 0.1, 0.0, 0.05, 0.0])


def after(share: Array, times: int, health: FaceHealth | None = None) -> FaceHealth:
    health = health or FaceHealth.unknown(6)
    for _ in range(times):
        health = health.updated(share, COSINE, SHARES, SunSensorSettings())
    return health


def altered(face: int, share: float) -> Array:
    changed = SHARES.copy()
    changed[face] = share
    return changed


def test_trusts_faces_that_agree_with_the_model() -> None:
    health = after(SHARES, 20)
    assert health.trusted.all()
    assert not health.dead.any()
    assert not health.mirrored.any()


def test_a_face_dark_in_sunlight_is_suspect_at_once_and_dead_after_four_samples() -> None:
    dark = altered(1, 0.0)
    assert not after(dark, 1).trusted[1]
    assert not after(dark, 3).dead.any()
    assert after(dark, 4).dead.tolist() == [False, True, False, False, False, False]


def test_a_face_bright_with_the_sun_behind_is_mirrored() -> None:
    health = after(altered(3, 0.6), 4)
    assert health.mirrored.tolist() == [False, False, False, True, False, False]
    assert not health.trusted[3]


def test_darkness_does_not_change_the_face_counters() -> None:
    assert after(np.zeros(6), 10).trusted.all()


def test_a_face_is_trusted_again_after_as_many_right_readings() -> None:
    health = after(altered(0, 0.0), 4)
    assert not after(SHARES, 3, health).trusted[0]
    assert after(SHARES, 4, health).trusted[0]


def test_ignores_a_face_at_grazing_incidence() -> None:
    assert after(altered(2, 0.0), 20).trusted[2]


LIMITS = GyroSettings()
COUNT = np.radians(1.0 / 65.6)


def readings(number: int) -> list[list[float]]:
    """Return readings of a gyro at rest, in whole counts."""
    noise = np.radians(0.025) * np.random.default_rng(1).normal(size=(number, 3))
    return [list(reading) for reading in COUNT * np.rint(noise / COUNT)]


def test_noise_in_whole_counts_is_not_stuck() -> None:
    health = GyroHealth()
    flagged = 0
    for reading in readings(5000):
        health = health.updated(np.array(reading), LIMITS)
        flagged += int(health.stuck.any())
    assert flagged == 0


def test_an_axis_with_repeated_readings_is_stuck_until_it_changes() -> None:
    health = GyroHealth()
    for number, reading in enumerate(readings(LIMITS.stuck_samples + 1)):
        assert not health.stuck.any(), number
        health = health.updated(np.array([reading[0], 0.0, reading[2]]), LIMITS)
    assert health.stuck.tolist() == [False, True, False]
    assert not health.updated(np.array([0.0, 1e-3, 0.0]), LIMITS).stuck.any()


def test_samples_that_repeat_as_a_whole_are_not_held_against_an_axis() -> None:
    health = GyroHealth()
    for _ in range(50):
        health = health.updated(np.zeros(3), LIMITS)
    assert not health.stuck.any()


def test_flags_a_reading_at_the_end_of_the_range() -> None:
    for sign in (1.0, -1.0):
        health = GyroHealth().updated(np.array([0.0, sign * np.radians(499.5), 0.0]), LIMITS)
        assert health.beyond_range.tolist() == [False, True, False]
