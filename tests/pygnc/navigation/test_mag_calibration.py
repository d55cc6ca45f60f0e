"""The magnetometer's calibration in flight: when it solves, what counts, what is news; restarts change nothing."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.attitude.calibration_samples import CalibrationSamples
from pygnc.estimators.attitude.magnetometer_calibration import Calibration, CalibrationError, calibrate
from pygnc.estimators.attitude.settings import MagnetometerSettings
from pygnc.estimators.checkpoint import decode, encode
from pygnc.navigation.mag_calibration import AcceptedCalibration, MagCalibration
from tests.pygnc.estimators.attitude.tumbling import SKEWED, Flight, fly

PLAIN = MagnetometerSettings()
TUMBLE = fly(1, 1.0)


def take_all(calibration: MagCalibration, flight: Flight, first: int = 0) -> list[AcceptedCalibration | None]:
    return [calibration.process(*row, PLAIN) for row in flight.rows(first)]


def solutions(solved: list[AcceptedCalibration | None]) -> list[AcceptedCalibration]:
    return [one for one in solved if one is not None]


def test_the_bias_is_found_within_its_sigma() -> None:
    calibration = MagCalibration()
    found = solutions(take_all(calibration, TUMBLE))
    assert calibration.known == found[-1].total
    for one in found:
        error_ut = np.abs(np.array(one.total.bias_ut) - TUMBLE.bias_ut)
        assert (error_ut < 3.0 * np.array(one.total.sigma_ut)).all()
        assert one.residual.mean[:3] == pytest.approx(one.total.bias_ut)
        assert (one.residual.bias_sigma_ut >= PLAIN.noise_ut).all()
    assert calibration.counts == {"mag_calibration_seen": 720, "mag_calibration_kept": 720}


def test_attempts_become_rare_and_depend_on_the_count_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refuse(samples: CalibrationSamples, settings: MagnetometerSettings) -> Calibration:
        tried.append(samples.seen)
        raise CalibrationError(f"not with {settings}")

    monkeypatch.setattr(CalibrationSamples, "solve", refuse)
    calibration = MagCalibration()
    for _ in range(8640):
        assert calibration.process(np.ones(3), np.ones(3), 1.0, PLAIN) is None
    assert tried[:6] == [120, 240, 360, 540, 810, 1215]
    assert np.diff(tried).max() == 720
    assert len(tried) < 20
    assert calibration.known is None


@pytest.mark.parametrize("cut", [0, 1, 119, 120, 240, 361, 719])
def test_a_restart_anywhere_changes_no_bit(cut: int) -> None:
    whole = MagCalibration()
    undisturbed = take_all(whole, TUMBLE)
    first = MagCalibration()
    solved = [first.process(*row, PLAIN) for row in TUMBLE.rows(0, cut)]
    second = decode(encode(first), MagCalibration)
    solved += take_all(second, TUMBLE, cut)
    assert [one and (one.total, one.is_new) for one in solved] == [
        one and (one.total, one.is_new) for one in undisturbed
    ]
    assert encode(second) == encode(whole)


def test_separates_the_residual_bias_from_the_total_bias() -> None:
    """The settings know an older bias, and axes that are not equal."""
    flight = fly(2, 1.0, sensor=SKEWED, bias_ut=np.array([20.0, 10.0, -25.0]))
    x, y, z = ((row[0], row[1], row[2]) for row in flight.matrix.tolist())
    settings = MagnetometerSettings(bias_ut=(17.0, 12.0, -24.0), matrix=(x, y, z))
    calibration = MagCalibration()
    solved = None
    for mag_ut, field_ut in zip(flight.mag_ut, flight.field_ut, strict=True):
        corrected_ut = flight.matrix @ (mag_ut - settings.bias_ut)
        solved = calibration.process(corrected_ut, field_ut, 0.5, settings) or solved
    assert solved is not None
    assert np.array(solved.total.bias_ut) == pytest.approx(flight.bias_ut, abs=0.4)
    assert solved.residual.mean[:3] == pytest.approx(flight.matrix @ [3.0, -2.0, -1.0], abs=0.4)


def test_accepts_a_solution_that_agrees_with_the_previous_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = calibrate(*TUMBLE.readings, PLAIN)
    said_ut = [0.0, 30.0, 30.1, 55.0, 30.2, 30.0, 30.1]
    queue = iter(said_ut)

    def say(*_: object) -> Calibration:
        return replace(real, bias_ut=np.array([next(queue), 1.0, 2.0]))

    monkeypatch.setattr(CalibrationSamples, "solve", say)
    calibration = MagCalibration()
    solved = [calibration.process(np.ones(3), np.ones(3), 1.0, PLAIN) for _ in range(2000)]
    assert [one.total.bias_ut[0] for one in solutions(solved)] == [30.1, 30.0, 30.1]


def test_follows_a_bias_that_changes() -> None:
    moving = fly(1, 6.0)
    moving.mag_ut[1000:] += [0.0, 20.0, 0.0]
    for k, one in enumerate(take_all(MagCalibration(), moving)):
        if one is not None:
            change_ut = np.array([0.0, 20.0 if k >= 1120 else 0.0, 0.0])
            assert np.array(one.total.bias_ut) - moving.bias_ut == pytest.approx(change_ut, abs=0.5)


def test_the_first_solution_and_changed_ones_are_new() -> None:
    still = solutions(take_all(MagCalibration(), TUMBLE))
    assert [one.is_new for one in still] == [True, *[False] * (len(still) - 1)]
    moving = fly(1, 6.0)
    moving.mag_ut[1000:] += [0.0, 20.0, 0.0]
    told = [one.total for one in solutions(take_all(MagCalibration(), moving)) if one.is_new]
    assert [one.bias_ut[1] - moving.bias_ut[1] for one in told] == pytest.approx([0.0, 20.0], abs=0.5)


def test_gives_no_bias_if_the_body_hardly_rotates() -> None:
    calibration = MagCalibration()
    assert solutions(take_all(calibration, fly(3, 0.5, rate_deg_s=0.01))) == []
    assert calibration.known is None


def test_the_bias_is_printed_with_units() -> None:
    calibration = MagCalibration()
    take_all(calibration, TUMBLE)
    assert calibration.known is not None
    x, y, z = calibration.known.bias_ut
    assert str(calibration.known).startswith(f"bias {x:.2f}, {y:.2f}, {z:.2f} uT, sigma 0.")
