"""The check of the wiring in simulated flights: right, wrong and unobservable axes; restarts and long flights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.attitude.net_light import NetLight
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.wiring import Verdict
from pygnc.estimators.checkpoint import decode, encode
from pygnc.navigation.wiring_check import WiringCheck
from tests.pygnc.estimators.attitude.truth import SETTINGS, Truth, fly

LIGHT = NetLight(SETTINGS)
FAST = fly(7, 55.0, rate_deg_s=6.0, nutation_deg_s=3.0, start_angle_deg=-90.0)
"""The sunlight of an orbit."""


def take(check: WiringCheck, truth: Truth, change: Callable[[AttitudeSample], AttitudeSample] | None = None) -> int:
    """All samples; return how often a verdict was news."""
    samples = truth.samples if change is None else [change(sample) for sample in truth.samples]
    pairs = zip(samples, truth.environments, strict=True)
    return sum(check.process(sample, environment, SETTINGS, LIGHT) for sample, environment in pairs)


def test_right_axes_are_confirmed_within_an_hour() -> None:
    check = WiringCheck()
    assert take(check, FAST) == 2
    assert [one.verdict for one in check.axes] == [Verdict.RIGHT, Verdict.RIGHT]


@pytest.mark.parametrize(
    ("axes", "permutation"),
    [
        ("+y +x +z", [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        ("+x +y -z", [[1, 0, 0], [0, 1, 0], [0, 0, -1]]),
        ("+y -x +z", [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
        ("-x -y -z", [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]),
        ("+z +x +y", [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
)
def test_wrong_axes_are_found_and_named(axes: str, permutation: list[list[int]]) -> None:
    back = np.array(permutation, float).T
    magnetometer, gyro = WiringCheck(), WiringCheck()
    take(magnetometer, FAST, lambda sample: replace(sample, mag_imu_ut=back.dot(sample.mag_imu_ut)))
    take(gyro, FAST, lambda sample: replace(sample, gyro_imu_rad_s=back.dot(sample.gyro_imu_rad_s)))
    assert (magnetometer.axes.magnetometer.verdict, magnetometer.axes.magnetometer.axes) == (Verdict.WRONG, axes)
    assert magnetometer.axes.gyro.verdict is Verdict.RIGHT
    assert (gyro.axes.gyro.verdict, gyro.axes.gyro.axes) == (Verdict.WRONG, axes)
    assert gyro.axes.magnetometer.verdict is Verdict.RIGHT
    assert gyro.axes.is_contradicted


def test_exchanged_opposite_faces_seem_to_reverse_the_magnetometer() -> None:
    check = WiringCheck()
    take(check, FAST, lambda sample: replace(sample, lux=np.roll(sample.lux, 3)))
    assert check.axes.magnetometer.verdict is Verdict.WRONG
    assert check.axes.magnetometer.axes == "-x -y -z"
    assert check.axes.gyro.verdict is Verdict.RIGHT


def test_a_body_at_rest_shows_nothing_of_its_gyro() -> None:
    check = WiringCheck()
    take(check, fly(3, 95.0, rate_deg_s=0.0, start_angle_deg=-90.0))
    assert check.axes.gyro.verdict is Verdict.NOT_OBSERVABLE
    assert check.axes.gyro.axes == "? ? ?"
    assert not check.axes.is_contradicted


@pytest.mark.parametrize("fault", ["dead", "mirrored"])
def test_a_faulty_face_is_not_mistaken_for_wrong_axes(fault: str) -> None:
    check = WiringCheck()
    face = {fault: 1}
    take(
        check, fly(5, 60.0, rate_deg_s=3.0, start_angle_deg=-90.0, dead=face.get("dead"), mirrored=face.get("mirrored"))
    )
    assert not check.axes.is_contradicted


def test_damaged_readings_are_not_mistaken_for_wrong_axes() -> None:
    rng = np.random.default_rng(11)

    def damaged(sample: AttitudeSample) -> AttitudeSample:
        if rng.random() > 0.02:
            return sample
        return replace(
            sample,
            mag_imu_ut=rng.uniform(-2000.0, 2000.0, 3),
            gyro_imu_rad_s=rng.uniform(-8.0, 8.0, 3),
            lux=rng.uniform(0.0, 8e4, 6),
        )

    check = WiringCheck()
    take(check, FAST, damaged)
    assert [one.verdict for one in check.axes] == [Verdict.RIGHT, Verdict.RIGHT]


def test_without_light_or_orbit_there_is_no_verdict() -> None:
    check = WiringCheck()
    for sample, environment in zip(FAST.samples, FAST.environments, strict=True):
        check.process(sample, None, SETTINGS, LIGHT)
        check.process(sample, replace(environment, sunlit_fraction=0.0), SETTINGS, LIGHT)
    assert [one.verdict for one in check.axes] == [Verdict.UNKNOWN, Verdict.UNKNOWN]


def test_a_gyro_that_cannot_be_used_leaves_the_magnetometer() -> None:
    check = WiringCheck()
    for sample, environment in zip(FAST.samples, FAST.environments, strict=True):
        check.process(sample, environment, SETTINGS, LIGHT, gyro_usable=False)
    assert check.axes.magnetometer.verdict is Verdict.RIGHT
    assert check.axes.gyro.axes == ""


@pytest.mark.parametrize("cut", [0, 1, 59, 60, 61, 333])
def test_a_restart_anywhere_changes_no_bit(cut: int) -> None:
    whole, first = WiringCheck(), WiringCheck()
    take(whole, FAST)
    pairs = list(zip(FAST.samples, FAST.environments, strict=True))
    for pair in pairs[:cut]:
        first.process(*pair, SETTINGS, LIGHT)
    second = decode(encode(first), WiringCheck)
    for pair in pairs[cut:]:
        second.process(*pair, SETTINGS, LIGHT)
    assert encode(second) == encode(whole)


def later(pair: tuple[AttitudeSample, AttitudeEnvironment], by_ms: int) -> tuple[AttitudeSample, AttitudeEnvironment]:
    return replace(pair[0], gps_ms=pair[0].gps_ms + by_ms), pair[1]


def test_memory_does_not_grow_with_time() -> None:
    """Each repetition follows after a gap."""
    check, sizes = WiringCheck(), []
    pairs = list(zip(FAST.samples, FAST.environments, strict=True))
    span_ms = pairs[-1][0].gps_ms - pairs[0][0].gps_ms + 60_000
    for repetition in range(5):
        for pair in pairs:
            check.process(*later(pair, repetition * span_ms), SETTINGS, LIGHT)
            sizes.append(len(encode(check)) if pair[0].seq % 50 == 0 else 0)
    assert max(sizes) < 20_000
    assert [one.verdict for one in check.axes] == [Verdict.RIGHT, Verdict.RIGHT]


def test_a_clock_that_was_set_back_begins_a_new_block() -> None:
    check = WiringCheck()
    take(check, FAST)
    first = FAST.samples[0]
    check.process(replace(first, gps_ms=first.gps_ms - 10_000), None, SETTINGS, LIGHT)
    assert (check.block_ms, check.fields, check.turns) == (first.gps_ms - 10_000, [], [])
    assert [one.verdict for one in check.axes] == [Verdict.RIGHT, Verdict.RIGHT]
