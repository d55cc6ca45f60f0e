"""Calibration of inertial sensors: parameters and their uncertainty against a generated unit, and wrong input."""

import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize
from scipy.spatial.transform import Rotation

from pygnc_cli.exit_codes import ExitCode
from pygnc_instruments.device.calibration.fit import AXES, least_squares
from pygnc_instruments.device.calibration.parts import still_parts
from pygnc_instruments.device.calibration.positions import (
    calibrate_accelerometer,
    calibrate_gyro_at_rest,
    gravity_mps2,
    rotations_by,
)
from pygnc_instruments.device.calibration.rates import KnownRate, calibrate_gyro, turning_parts
from pygnc_instruments.device.calibration.temperature import calibrate_temperature
from pygnc_instruments.device.sensor_log import MotionLog
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.vectornav_unit import VectorNavSimulator
from tests.pygnc_instruments.device.inertial_truth import EDGES, GRAVITY, HZ, LATITUDE_DEG, SIX, Unit
from tests.pygnc_instruments.device.running import peak_kb, run, run_json

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


def test_turns_between_positions_calibrate_the_gyro(tmp_path: Path) -> None:
    unit = Unit(7, is_tilted=False)
    directions = [*SIX, *EDGES, *SIX[::-1]]
    unit.rest(directions[0], 5.0)
    for before, after in pairwise(directions):
        unit.rotate(before, after)
        unit.rest(after, 5.0)
    gyro = run_json("calibrate-positions", unit.write(tmp_path / "turns.csv"), *PLACE)["gyro"]
    error = np.array(gyro["matrix"]) @ unit.gyro_response - np.eye(3)
    assert np.abs(error).max() < 2e-3
    assert (np.abs(error) < 4.0 * np.array(gyro["matrix_sigma"])).all()


def test_least_squares_are_those_of_scipy() -> None:
    times_s = np.linspace(0.0, 3.0, 40)
    readings = 2.0 * np.exp(-1.3 * times_s) + 1e-4 * np.random.default_rng(2).normal(size=40)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        return np.asarray(parameters[0] * np.exp(-parameters[1] * times_s) + 1e-4 * parameters[2] - readings)

    found = least_squares(residuals, np.array([1.0, 0.1, 0.0]), np.array([1.0, 1.0, 1e4]))
    expected = optimize.least_squares(residuals, [1.0, 0.1, 0.0], x_scale=[1.0, 1.0, 1e4], xtol=1e-15, ftol=1e-15)
    assert found.parameters == pytest.approx(expected.x, abs=1e-5)  # its derivatives are differences forward
    assert found.residuals @ found.residuals <= 2.0 * expected.cost * (1.0 + 1e-9)
    assert found.jacobian == pytest.approx(expected.jac, abs=1e-4)


def test_a_parameter_without_effect_keeps_its_value() -> None:
    found = least_squares(lambda parameters: parameters[:1] - 3.0, np.array([1.0, 5.0]), np.ones(2))
    assert found.parameters == pytest.approx([3.0, 5.0])


def test_rotations_are_those_of_scipy() -> None:
    vectors = np.concatenate([np.random.default_rng(3).normal(size=(20, 3)), np.zeros((1, 3)), np.full((1, 3), 1e-9)])
    assert rotations_by(vectors) == pytest.approx(Rotation.from_rotvec(vectors).as_matrix(), abs=1e-15)


def test_calibrations_need_little_memory(tmp_path: Path) -> None:
    unit = Unit(11)
    unit.positions([*SIX, *EDGES])
    positions = unit.write(tmp_path / "positions.csv")
    unit.heat(COEFFICIENTS, HYSTERESIS)
    oven = unit.write(tmp_path / "oven.csv")
    assert peak_kb("calibrate-positions", positions, *PLACE, "--json") < 95_000
    assert peak_kb("calibrate-temperature", oven, "--json") < 95_000


def test_damaged_readings_are_counted(tmp_path: Path) -> None:
    unit = Unit(6)
    unit.positions(SIX)
    log = unit.write(tmp_path / "six.csv")
    rows = log.read_text().splitlines()
    rows[500:3000:50] = ["1" + ",1e300" * 7] * 50
    log.write_text("\n".join(rows))
    shown = run("calibrate-positions", log, *PLACE)
    assert "50 of 3000 rows lack a time or a reading" in shown.stderr


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


RATES = (-100.0, -50.0, 50.0, 100.0)


def on_a_table(unit: Unit, ups: tuple[np.ndarray, ...] = SIX) -> list[KnownRate]:
    """Turn a unit about each axis in turn, up and down; return the rates."""
    rates = []
    for up in ups:
        axis = int(np.argmax(np.abs(up)))
        for deg_s in RATES:
            start_s = len(unit.rows) / HZ
            unit.turn(up, deg_s)
            rates.append(KnownRate(start_s, start_s + 4.0, axis, np.radians(deg_s)))
    return rates


def test_uncertainty_of_rates_is_right() -> None:
    squares = []
    for seed in range(30):
        unit = Unit(seed)
        rates = on_a_table(unit)
        found = calibrate_gyro(turning_parts(motion_log(unit), rates), rates, LATITUDE_DEG)
        # The accelerometer itself has errors, by which the sensitivity to the true force is known.
        slopes = unit.sensitivity @ unit.accel_matrix
        bias = unit.gyro_bias - slopes @ unit.accel_bias
        error = found.parameters - np.column_stack([bias, unit.gyro_response, slopes]).ravel()
        squares.append(error @ np.linalg.solve(found.covariance, error))
    # 95 % of the mean of 30 chi-squares with 21 degrees of freedom.
    assert 18.7 < np.mean(squares) < 23.4


def test_rates_calibrate_the_gyro(tmp_path: Path) -> None:
    unit = Unit(8)
    rates = on_a_table(unit, SIX[::2])
    rows = [f"{k.start_s},{k.end_s},{AXES[k.axis]},{np.degrees(k.rate)}" for k in rates]
    (tmp_path / "turns.csv").write_text("\n".join(["start,end,axis,rate", *rows]))
    log = unit.write(tmp_path / "table.csv")
    report = run_json("calibrate-rates", log, "--turns", tmp_path / "turns.csv")
    assert np.abs(np.array(report["gyro"]["matrix"]) @ unit.gyro_response - np.eye(3)).max() < 3e-4
    # With each axis only up, bias and sensitivity to specific force cannot be separated.
    assert "g_sensitivity_rad_s_per_mps2" not in report["gyro"]
    shown = run("calibrate-rates", log, *(f"--turn={r.split(',')[2]}={r.split(',')[3]}@{'-'.join(r.split(',')[:2])}"
                                          for r in rows))  # fmt: skip
    assert "nonlinearity, ppm" in shown.stdout
    cases: tuple[tuple[list[str], ExitCode, str], ...] = (
        (["x=100@0-4", "x=-100@4-8"], ExitCode.INPUT, "axis y, z"),
        (["x=100@0-4", "x=50@400-440"], ExitCode.INPUT, "readings are from 0.0 s"),
        (["x=100@0-8"], ExitCode.INPUT, "varies by"),
        (["w=100@0-8"], ExitCode.USAGE, "not a rate"),
        (["x=ten@0-8"], ExitCode.USAGE, "deg/s"),
        ([], ExitCode.USAGE, "--turns"),
    )
    for turns, code, text in cases:
        assert text in run("calibrate-rates", log, *(f"--turn={turn}" for turn in turns), code=code).stderr
    wrong = [f"--turn={AXES[k.axis]}={-np.degrees(k.rate)}@{k.start_s}-{k.end_s}" for k in rates]
    assert "check the axes, signs" in run("calibrate-rates", log, *wrong, code=ExitCode.INPUT).stderr


COEFFICIENTS = np.array([[0.0] * 6, [1e-3, -2e-3, 0.0, 1e-4, 0.0, -5e-5], [2e-5, 0.0, 0.0, 0.0, 3e-6, 0.0]])
HYSTERESIS = np.array([0.01, 0.0, 0.0, 0.0, 1e-3, 0.0])


def test_temperature_run_yields_orders_coefficients_and_hysteresis(tmp_path: Path) -> None:
    unit = Unit(9)
    unit.heat(COEFFICIENTS, HYSTERESIS)
    models = calibrate_temperature(motion_log(unit), "board", None)
    for columns, model in ((slice(0, 3), models["force"]), (slice(3, 6), models["rate"])):
        truth, size = COEFFICIENTS[1:, columns], len(model.coefficients)
        padded = np.zeros((5, 3)), np.zeros((5, 3))
        padded[0][:size], padded[1][:size] = model.coefficients, model.sigmas
        assert (np.abs(padded[0][1:3] - truth) <= 4.0 * padded[1][1:3] + 1e-12).all()
        assert model.hysteresis == pytest.approx(HYSTERESIS[columns], rel=0.15, abs=2e-3)
    log = unit.write(tmp_path / "oven.csv")
    shown = run("calibrate-temperature", log, "--order", 2)
    assert "per °C^2" in shown.stdout
    assert "hysteresis" in shown.stdout
    assert "choose from boardTemp" in run("calibrate-temperature", log, "--temperature", "t", code=3).stderr


def test_temperature_run_needs_temperature_and_rest(tmp_path: Path) -> None:
    unit = Unit(10)
    unit.rest(SIX[0], 30.0)
    constant = unit.write(tmp_path / "constant.csv")
    unit.rest(SIX[0], 30.0)
    without = unit.write(tmp_path / "without.csv", columns=6)
    unit.positions(SIX, 3.0)
    moving = unit.write(tmp_path / "moving.csv")
    for log, text in ((constant, "changes only by 0 °C"), (without, "contains no temperature"), (moving, "moves")):
        assert text in run("calibrate-temperature", log, code=ExitCode.INPUT).stderr


def corrected(register: str, reading: np.ndarray) -> np.ndarray:
    """Return a reading that a unit corrects by its register."""
    words = np.array([float(word) for word in register.split(",")])
    return np.asarray(words[:9].reshape(3, 3) @ (reading - words[9:]))


def test_the_unit_holds_the_calibration(tmp_path: Path) -> None:
    unit, simulator = Unit(11), VectorNavSimulator()
    unit.positions(SIX)
    log = unit.write(tmp_path / "six.csv", serial=simulator.serial_number)
    other = tmp_path / "other.csv"
    other.write_text(log.read_text().replace(simulator.serial_number, "7"))
    reading = np.array([1.0, -2.0, 9.5])
    with PtyEndpoint(simulator, tmp_path / "unit") as line:
        place = (*PLACE, "--family", "vectornav", "--write", line.url)
        assert "connect the unit of the log" in run("calibrate-positions", other, *place, code=ExitCode.DEVICE).stderr
        report = run_json("calibrate-positions", log, *place)
        sensor = report["accelerometer"]
        matrix, bias = np.array(sensor["matrix"]), np.array(sensor["bias_mps2"])
        once = matrix @ (reading - bias)
        assert corrected(simulator.stored[25], reading) == pytest.approx(once, abs=1e-5)
        assert corrected(simulator.stored[84], 0.0 * reading) == pytest.approx(-np.array(report["gyro"]["bias_rad_s"]))
        assert "--combine" in run("calibrate-positions", log, *place, code=ExitCode.DEVICE).stderr
        run("calibrate-positions", log, *place, "--combine")
        assert corrected(simulator.stored[25], reading) == pytest.approx(matrix @ (once - bias), abs=1e-5)


def test_other_units_hold_biases_or_nothing(tmp_path: Path) -> None:
    unit = Unit(12)
    unit.positions(SIX)
    log = unit.write(tmp_path / "six.csv")
    text = log.read_text().partition("\n")[2]  # without the serial number, as in a recording
    log.write_text(text)
    with PtyEndpoint(MipSimulator(), tmp_path / "mip") as line:
        shown = run("calibrate-positions", log, *PLACE, "--family", "mip", "--write", line.url)
        held = run_json("get", line.url, "accel_bias", "--family", "mip")["accel_bias"]["value"]
        run("set", line.url, "transformation=0,0,0.1", "--family", "mip")
        turned = run("calibrate-positions", log, *PLACE, "--family", "mip", "--write", line.url, code=ExitCode.DEVICE)
    assert "not in the axes" in turned.stderr
    assert "holds the bias only" in shown.stderr
    biases = [float(word) for word in held.split(",")]
    assert 9.80665 * np.array(biases) == pytest.approx(unit.accel_bias, abs=0.02)
    with PtyEndpoint(UcbSimulator(), tmp_path / "ucb") as line:
        arguments = (log, *PLACE, "--family", "ucb", "--write", line.url)
        assert "cannot hold a calibration" in run("calibrate-positions", *arguments, code=ExitCode.DEVICE).stderr
