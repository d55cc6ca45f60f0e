import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.measurement import ExpectedLight, Light, Observation
from pygnc.estimators.attitude.sensor_health import FaceHealth

COSINE = np.array([0.8, 0.5, 0.1, -0.8, -0.5, -0.1])
SHARES = np.array([0.6, 0.5, 0.1, 0.0, 0.05, 0.0])


def seen(share: Array) -> Light:
    nothing = np.zeros(6, np.bool_)
    expected = ExpectedLight(COSINE, SHARES, np.zeros(6), np.zeros((6, 22)))
    return Light(share, expected, nothing, nothing, Observation(np.zeros(6), np.zeros((6, 22)), np.ones(6)))


def after(share: Array, times: int, health: FaceHealth | None = None) -> FaceHealth:
    health = health or FaceHealth.unknown()
    for _ in range(times):
        health = health.judged(seen(share), 0.03)
    return health


def altered(face: int, share: float) -> Array:
    changed = SHARES.copy()
    changed[face] = share
    return changed


def test_faces_that_do_as_expected_are_trusted() -> None:
    health = after(SHARES, 20)
    assert health.trusted.all()
    assert not health.dead.any()
    assert not health.mirrored.any()


def test_a_face_dark_in_clear_sunlight_is_distrusted_at_once_and_dead_after_four() -> None:
    dark = altered(1, 0.0)
    assert not after(dark, 1).trusted[1]
    assert not after(dark, 3).dead.any()
    assert after(dark, 4).dead.tolist() == [False, True, False, False, False, False]


def test_a_face_bright_with_the_sun_behind_is_mirrored() -> None:
    health = after(altered(3, 0.6), 4)
    assert health.mirrored.tolist() == [False, False, False, True, False, False]
    assert not health.trusted[3]


def test_a_dark_sky_says_nothing_of_the_faces() -> None:
    assert after(np.zeros(6), 10).trusted.all()


def test_a_face_is_trusted_again_when_it_was_right_as_often() -> None:
    health = after(altered(0, 0.0), 4)
    assert not after(SHARES, 3, health).trusted[0]
    assert after(SHARES, 4, health).trusted[0]


def test_a_grazing_face_is_not_judged() -> None:
    assert after(altered(2, 0.0), 20).trusted[2]
