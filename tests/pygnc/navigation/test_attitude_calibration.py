"""Magnetometer calibration in flight: without an attitude, reported once, combined with the settings."""

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import AttitudeEstimate, GnssFix, InputMessage, OrbitMessage, OrbitWatermark, SensorSample
from pygnc.estimators.attitude.calibration_samples import CalibrationSamples
from pygnc.estimators.attitude.settings import AttitudeSettings, MagnetometerSettings
from pygnc.inputs.sense_file import SenseFile
from pygnc.navigation.attitude import AttitudeTracker
from tests.pygnc.navigation.attitude_batch import MODEL, SETTINGS, batch, orbits_of, process, run, samples_of, tracker

TRUE_MAG_BIAS_UT = (20.0, 10.0, -25.0)


@pytest.fixture(scope="module")
def dark(demo: SenseFile) -> list[InputMessage]:
    """The first half an hour with sun sensors that are all dead."""
    return [
        msgspec.structs.replace(message, lux=(0.0,) * 6) if isinstance(message, SensorSample) else message
        for message in batch(demo, 72)
    ]


@pytest.fixture(scope="module")
def orbits_in_the_dark(dark: list[InputMessage]) -> list[OrbitMessage]:
    return orbits_of(dark)


@pytest.fixture(scope="module")
def in_the_dark(dark: list[InputMessage], orbits_in_the_dark: list[OrbitMessage]) -> list[AttitudeEstimate]:
    return run(tracker(), dark, orbits_in_the_dark)


def test_reports_the_calibrated_bias_without_an_attitude(
    dark: list[InputMessage], in_the_dark: list[AttitudeEstimate]
) -> None:
    known = [k for k, estimate in enumerate(in_the_dark) if estimate.mag_calibration_sigma_ut is not None]
    assert known == list(range(known[0], len(in_the_dark)))
    assert all(estimate.mag_bias_imu_ut is None for estimate in in_the_dark[: known[0]])
    assert {estimate.mode for estimate in in_the_dark[: known[0] + 1]} == {"searching"}
    first = in_the_dark[known[0]]
    assert first.mag_bias_imu_ut == pytest.approx(TRUE_MAG_BIAS_UT, abs=1.0)
    assert max(first.mag_calibration_sigma_ut or ()) < 1.0
    imu_from_body = np.array(SETTINGS.mounting.imu_from_body)
    shown_ut = imu_from_body.dot(first.mag_body_ut) + first.mag_bias_imu_ut
    assert shown_ut == pytest.approx(np.array(samples_of(dark)[known[0]].mag_imu_ut), abs=1e-9)


def test_reports_a_calibration_once(dark: list[InputMessage], orbits_in_the_dark: list[OrbitMessage]) -> None:
    attitude, waiting = tracker(), list(orbits_in_the_dark)
    news = []
    for message in dark:
        while attitude.awaits_orbit:
            attitude.take_orbit(waiting.pop(0))
        news += [outcome.calibrated for outcome in attitude.outcomes(message) if outcome.calibrated_anew]
    assert len(news) == 1
    assert attitude.counts["mag_calibration_seen"] == attitude.counts["mag_calibration_kept"] == 360


def test_a_restart_around_a_calibration_changes_no_bit(
    dark: list[InputMessage], orbits_in_the_dark: list[OrbitMessage], in_the_dark: list[AttitudeEstimate]
) -> None:
    """One tracker after another, each from the checkpoint of the one before."""
    first = next(k for k, estimate in enumerate(in_the_dark) if estimate.mag_calibration_sigma_ut is not None)
    decisive = in_the_dark[first].input_seq - dark[0].seq
    waiting = list(orbits_in_the_dark)
    attitude, estimates = tracker(), list[AttitudeEstimate]()
    for k, message in enumerate(dark):
        if k in {100, *range(decisive - 2, decisive + 4), decisive + 50}:
            packed = attitude.checkpoint()
            attitude = tracker(packed)
        while attitude.awaits_orbit:
            attitude.take_orbit(waiting.pop(0))
        estimates += process(attitude, message, len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(in_the_dark)


def test_a_calibration_does_not_change_a_fine_attitude(
    demo: SenseFile, orbits_in_the_dark: list[OrbitMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    lit = batch(demo, 72)
    with_it = run(tracker(), lit, orbits_in_the_dark)
    assert with_it[-1].mag_calibration_sigma_ut is not None
    assert with_it[-1].mode == "fine"
    monkeypatch.setattr(CalibrationSamples, "add", lambda *_: None)
    without = run(tracker(), lit, orbits_in_the_dark)
    assert without[-1].mag_calibration_sigma_ut is None
    plain = [msgspec.structs.replace(estimate, mag_calibration_sigma_ut=None) for estimate in with_it]
    assert msgspec.msgpack.encode(plain) == msgspec.msgpack.encode(without)


def test_uses_a_calibration_in_the_settings_once_and_reports_the_total_bias(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    """A magnetometer with unequal axes gives, calibrated, what an ideal one gives."""
    matrix = ((0.95, -0.01, 0.005), (-0.01, 1.03, -0.015), (0.005, -0.015, 0.98))
    bias_ut = np.array([30.0, -20.0, 10.0])
    shown = [
        msgspec.structs.replace(m, mag_imu_ut=tuple((np.linalg.solve(matrix, m.mag_imu_ut) + bias_ut).tolist()))
        if isinstance(m, SensorSample)
        else m
        for m in inputs
    ]
    magnetometer = MagnetometerSettings(bias_ut=(30.0, -20.0, 10.0), matrix=matrix)
    estimates = run(AttitudeTracker(AttitudeSettings(magnetometer=magnetometer), MODEL), shown, orbits)
    for ours, ideal in zip(estimates, undisturbed, strict=True):
        assert (ours.mode, ours.found) == (ideal.mode, ideal.found)
        assert ours.mag_body_ut == pytest.approx(ideal.mag_body_ut, abs=1e-6)
        if ideal.mag_bias_imu_ut is not None:
            total_ut = bias_ut + np.linalg.solve(matrix, ideal.mag_bias_imu_ut)
            assert ours.mag_bias_imu_ut == pytest.approx(total_ut, abs=1e-6)
    assert estimates[-1].mode == "fine"


def test_reports_the_bias_of_the_settings_first(inputs: list[InputMessage]) -> None:
    marks = [OrbitWatermark(seq=k, last_input_seq=m.seq) for k, m in enumerate(inputs, 1) if isinstance(m, GnssFix)]
    magnetometer = MagnetometerSettings(bias_ut=(20.1, 9.9, -25.2), bias_sigma_ut=3.0)
    estimates = run(AttitudeTracker(AttitudeSettings(magnetometer=magnetometer), MODEL), inputs, marks)
    assert {e.mode for e in estimates} == {"searching"}
    assert {e.mag_bias_imu_ut for e in estimates} == {(20.1, 9.9, -25.2)}
    imu_from_body = np.array(SETTINGS.mounting.imu_from_body)
    shown_ut = [imu_from_body.dot(e.mag_body_ut) + e.mag_bias_imu_ut for e in estimates]
    assert np.array(shown_ut) == pytest.approx(np.array([sample.mag_imu_ut for sample in samples_of(inputs)]))
