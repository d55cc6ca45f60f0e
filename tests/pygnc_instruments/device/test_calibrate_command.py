"""`pygnc device calibrate-positions`: parameters and their uncertainty against a generated unit, and wrong input."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from pygnc_cli.exit_codes import ExitCode
from pygnc_instruments.device.calibration import (
    calibrate_accelerometer,
    calibrate_gyro_at_rest,
    gravity_mps2,
    still_parts,
)
from pygnc_instruments.device.sensor_log import MotionLog
from tests.pygnc_instruments.device.inertial_truth import EDGES, GRAVITY, HZ, LATITUDE_DEG, SIX, Unit
from tests.pygnc_instruments.device.running import run, run_json

PLACE = ("--gravity", GRAVITY, "--latitude", LATITUDE_DEG)


def motion_log(unit: Unit) -> MotionLog:
    rows = np.array(unit.rows)
    return MotionLog("run", {}, np.arange(len(rows)) / HZ, rows[:, 3:6], rows[:, :3], {"board": rows[:, 6]})


def test_uncertainty_of_positions_is_right() -> None:
    squares = []
    for seed in range(100, 140):
        unit = Unit(seed)
        unit.positions([*SIX, *EDGES], 5.0)
        parts = still_parts(motion_log(unit), 2.0)
        assert len(parts) == 12
        found = calibrate_accelerometer(parts, GRAVITY)
        truth = np.concatenate(
            [unit.accel_bias, np.diag(unit.accel_matrix) - 1.0, unit.accel_matrix[np.triu_indices(3, 1)]]
        )
        error = found.parameters - truth
        gyro = calibrate_gyro_at_rest(parts, found.matrix, found.bias, LATITUDE_DEG)
        truth = np.column_stack([unit.gyro_bias, unit.sensitivity]).ravel()
        gyro_error = gyro.parameters - truth
        squares.append(
            (
                error @ np.linalg.solve(found.covariance, error),
                gyro_error @ np.linalg.solve(gyro.covariance, gyro_error),
            )
        )
    nees = np.mean(squares, axis=0)
    # 95 % of the means of 40 chi-squares with 9 and 12 degrees of freedom.
    assert 7.7 < nees[0] < 10.4
    assert 10.5 < nees[1] < 13.6


def test_six_positions_calibrate_a_unit(tmp_path: Path) -> None:
    unit = Unit(3)
    unit.positions(SIX)
    out = tmp_path / "imu.toml"
    report = run_json("calibrate-positions", unit.write(tmp_path / "six.csv"), *PLACE, "--out", out)
    sensor = report["accelerometer"]
    error = np.abs(np.array(sensor["bias_mps2"]) - unit.accel_bias)
    assert (error < 3.5 * np.array(sensor["bias_sigma_mps2"])).all()
    assert error.max() < 0.01
    assert np.abs(np.array(sensor["matrix"]) - unit.accel_matrix)[np.diag_indices(3)].max() < 5e-4
    assert np.abs(np.array(report["gyro"]["bias_rad_s"]) - unit.gyro_bias).max() < 2e-4
    written = tomllib.loads(out.read_text())
    assert written == report
    assert written["calibration"]["serial_number"] == "0042"


def test_positions_of_several_logs_are_used_together(tmp_path: Path) -> None:
    unit = Unit(4)
    files = []
    for number, up in enumerate(SIX):
        unit.rest(up)
        files.append(unit.write(tmp_path / f"{number}.csv", columns=3 if number else 7))
    shown = run("calibrate-positions", *files, *PLACE)
    assert "accelerometer" in shown.stdout
    assert "6 positions" in shown.stderr


def test_wrong_input_is_explained(tmp_path: Path) -> None:
    unit = Unit(5)
    unit.positions(SIX[:5])
    five = unit.write(tmp_path / "five.csv")
    for directions, name in (([SIX[0]] * 7, "one"), ([*SIX], "range"), ([*SIX], "good")):
        unit.positions(directions)
        if name == "range":
            unit.rows = [np.minimum(row, [9.0] * 3 + [9.0] * 4) for row in unit.rows]
            unit.rows = [np.append(row[:6], 25.0) for row in unit.rows]
        unit.write(tmp_path / f"{name}.csv")
    unit.move(60.0)
    moving = unit.write(tmp_path / "moving.csv")
    unit.rest(SIX[0])
    partial = unit.write(tmp_path / "partial.csv", columns=2)
    unit.rest(SIX[0])
    other = unit.write(tmp_path / "other.csv", serial="7")
    good = tmp_path / "good.csv"
    cases = (
        ([five, *PLACE], "positions with z down are missing"),
        ([tmp_path / "one.csv", *PLACE], "x down, y up, y down, z up, z down"),
        ([tmp_path / "range.csv", *PLACE], "accelerometer x is saturated"),
        ([moving, *PLACE], "never rests"),
        ([partial, *PLACE], "contains only xAccel, yAccel"),
        ([good, other, *PLACE], "different units"),
        ([tmp_path / "absent.csv", *PLACE], "no such file"),
    )
    for arguments, text in cases:
        assert text in run("calibrate-positions", *arguments, code=ExitCode.INPUT).stderr
    assert "--latitude" in run("calibrate-positions", good, code=ExitCode.USAGE).stderr
    assert "not that of a place" in run("calibrate-positions", good, "--gravity", 1.0, code=ExitCode.USAGE).stderr


@pytest.mark.parametrize(
    ("latitude", "height", "gravity"), [(0.0, 0.0, 9.78033), (45.0, 1000.0, 9.80312), (90.0, 0.0, 9.83219)]
)
def test_gravity_is_that_of_the_ellipsoid(latitude: float, height: float, gravity: float) -> None:
    assert gravity_mps2(latitude, height) == pytest.approx(gravity, abs=1.1e-5)
