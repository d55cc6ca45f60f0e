"""Calibrate accelerometers and gyros by logs: `pygnc device calibrate-positions`, `-rates` and `-temperature`."""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.table import Table

from pygnc_cli.exit_codes import UsageError
from pygnc_devices.errors import DeviceError, RefusedError
from pygnc_devices.family import CalibrationSetting, HeldCalibration
from pygnc_instruments.device.calibration.fit import AXES, CalibrationError, SensorCalibration
from pygnc_instruments.device.calibration.parts import still_parts
from pygnc_instruments.device.calibration.positions import (
    calibrate_accelerometer,
    calibrate_gyro_at_rest,
    calibrate_gyro_by_turns,
    gravity_mps2,
)
from pygnc_instruments.device.calibration.rates import KnownRate, calibrate_gyro, turning_parts
from pygnc_instruments.device.calibration.temperature import TemperatureModel, calibrate_temperature
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.sensor_log import MotionLog, read_motion_log
from pygnc_instruments.device.terminal import print_json, print_note, print_table

_NEUTRAL: Final = {True: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], False: [0.0, 0.0, 0.0]}
_TURN: Final = re.compile(r"([xyz])=([^@]+)@([^-]+)-(.+)")
_TURN_COLUMNS: Final = ("start", "end", "axis", "rate")
_LEAST_GRAVITY, _LARGEST_GRAVITY = 9.7, 9.9


def local_gravity(gravity: float, latitude: float | None, height: float) -> float:
    """Return the gravity that the options state, m/s².

    Raises:
        UsageError: it is unknown, or is not that of a place on the Earth.
    """
    if not gravity and latitude is None:
        raise UsageError("the local gravity is unknown; state --latitude and --height, or --gravity in m/s²")
    value = gravity or gravity_mps2(latitude or 0.0, height)
    if not _LEAST_GRAVITY < value < _LARGEST_GRAVITY:
        raise UsageError(f"gravity {value:g} m/s²: not that of a place on the Earth, such as 9.8123 m/s²")
    return value


def read_logs(files: Sequence[Path], packet: str, rate: float, family: str) -> list[MotionLog]:
    """Read logs of one unit.

    Raises:
        LogError: a file does not exist or cannot be read, or two logs are of different units.
    """
    logs = []
    for file in files:
        if not file.is_file():
            raise LogError(f"{file}: no such file; name a log of `pygnc device log`")
        logs.append(read_motion_log(file, DeviceSelection(str(file), family), packet=packet, rate_hz=rate))
    serials = {log.head["serial_number"]: log.name for log in logs if "serial_number" in log.head}
    if len(serials) > 1:
        units = ", ".join(f"{name} of {serial}" for serial, name in serials.items())
        raise LogError(f"the logs are of different units ({units}); calibrate each unit by its own logs")
    return logs


def by_positions(logs: Sequence[MotionLog], gravity: float, latitude: float | None, still_s: float) -> dict[str, Any]:
    """Return the calibration by positions at rest, as sections of the result."""
    if not any(log.force is not None for log in logs):
        raise LogError(f"{logs[0].name}: contains no specific forces; log a packet with accelerometers")
    parts = [part for log in logs if log.force is not None for part in still_parts(log, still_s)]
    if not parts:
        raise CalibrationError(
            f"{', '.join(log.name for log in logs)}: the unit never rests for {still_s:g} s; let it rest in each "
            "position"
        )
    sensor = calibrate_accelerometer(parts, gravity)
    content: dict[str, Any] = {
        "accelerometer": sensor_section(sensor, "mps2") | {"gravity_mps2": gravity},
        "positions": [
            {"log": part.log, "start_s": part.start_s, "end_s": part.end_s, "residual_mps2": float(residual)}
            for part, residual in zip(parts, sensor.residuals, strict=True)
        ],
    }
    with_gyro = [part for part in parts if part.rate is not None]
    if with_gyro:
        gyro = calibrate_gyro_at_rest(with_gyro, sensor.matrix, sensor.bias, latitude)
        content["gyro"] = sensor_section(gyro, "rad_s", with_matrix=False)
        turned = calibrate_gyro_by_turns(logs, with_gyro, sensor, gyro)
        if turned is not None:
            content["gyro"] |= {"matrix": turned[0].tolist(), "matrix_sigma": turned[1].tolist()}
    return content


def known_rates(turns: Sequence[str], file: Path | None) -> list[KnownRate]:
    """Return the rates of a turntable, from texts such as `x=50@10-40` and a CSV file.

    Raises:
        UsageError: a text is not such a rate, or there is none.
        LogError: the file cannot be read.
    """
    rows: list[tuple[str, list[str]]] = []
    for text in turns:
        match = _TURN.fullmatch(text)
        if match is None:
            raise UsageError(f"--turn {text}: not a rate; write x=50@10-40 for 50 deg/s about x from 10 s to 40 s")
        rows.append((f"--turn {text}", [match[3], match[4], match[1], match[2]]))
    if file is not None:
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                reader = csv.DictReader(row for row in lines if not row.startswith("#"))
                missing = [name for name in _TURN_COLUMNS if name not in (reader.fieldnames or ())]
                if missing:
                    raise LogError(f"{file}: the columns {', '.join(missing)} are missing; needed: start,end,axis,rate")
                rows += [
                    (f"{file}: row {number}", [(row[name] or "").strip() for name in _TURN_COLUMNS])
                    for number, row in enumerate(reader, 1)
                ]
        except (UnicodeDecodeError, csv.Error) as error:
            raise LogError(f"{file}: not a CSV file: {error}") from None
    if not rows:
        raise UsageError("no rate is known; state --turns FILE.csv, or --turn x=50@10-40 for each rate")
    return [_known_rate(place, *row) for place, row in rows]


def _known_rate(place: str, start: str, end: str, axis: str, rate: str) -> KnownRate:
    try:
        start_s, end_s, deg_s = float(start), float(end), float(rate)
        number = AXES.index(axis) if axis else -1
    except ValueError:
        start_s, end_s, deg_s, number = 0.0, 0.0, 0.0, -1
    if number < 0 or not (end_s > start_s and math.isfinite(end_s) and math.isfinite(deg_s)):
        raise UsageError(f"{place}: not start < end in s, an axis x, y or z, and a rate in deg/s")
    return KnownRate(start_s, end_s, number, math.radians(deg_s))


def by_rates(log: MotionLog, rates: Sequence[KnownRate], latitude: float | None) -> dict[str, Any]:
    """Return the calibration of the gyro on a turntable, as sections of the result."""
    parts = turning_parts(log, rates)
    sensor = calibrate_gyro(parts, rates, latitude)
    return {
        "gyro": sensor_section(sensor, "rad_s"),
        "rates": [
            {
                "start_s": known.start_s,
                "end_s": known.end_s,
                "axis": AXES[known.axis],
                "rate_rad_s": known.rate,
                "residual_rad_s": residual.tolist(),
            }
            for known, residual in zip(rates, sensor.residuals, strict=True)
        ],
    }


def by_temperature(log: MotionLog, temperature: str, order: int | None) -> dict[str, Any]:
    """Return the readings at rest over temperature, as sections of the result."""
    models = calibrate_temperature(log, temperature, order)
    names = {"force": ("accelerometer_temperature", "mps2"), "rate": ("gyro_temperature", "rad_s")}
    return {names[key][0]: _temperature_section(model, names[key][1]) for key, model in models.items()}


def _temperature_section(model: TemperatureModel, unit: str) -> dict[str, Any]:
    return {
        "reference_degc": model.reference_degc,
        "range_degc": list(model.range_degc),
        f"coefficients_{unit}": model.coefficients.T.tolist(),
        f"coefficients_sigma_{unit}": model.sigmas.T.tolist(),
        f"residual_{unit}": model.residual.tolist(),
        f"hysteresis_{unit}": None if model.hysteresis is None else model.hysteresis.tolist(),
    }


def sensor_section(sensor: SensorCalibration, unit: str, *, with_matrix: bool = True) -> dict[str, Any]:
    """Return the calibration of a sensor by the names of its figures."""
    section: dict[str, Any] = {f"bias_{unit}": sensor.bias.tolist(), f"bias_sigma_{unit}": sensor.bias_sigma.tolist()}
    if with_matrix:
        section |= {"matrix": sensor.matrix.tolist(), "matrix_sigma": sensor.matrix_sigma.tolist()}
    if sensor.g_sensitivity is not None and sensor.g_sensitivity_sigma is not None:
        section["g_sensitivity_rad_s_per_mps2"] = sensor.g_sensitivity.tolist()
        section["g_sensitivity_sigma_rad_s_per_mps2"] = sensor.g_sensitivity_sigma.tolist()
    if sensor.nonlinearity_ppm is not None:
        section["nonlinearity_ppm"] = sensor.nonlinearity_ppm.tolist()
    return section | {"chi_square": sensor.chi_square, "degrees_of_freedom": sensor.freedom}


def report(
    method: str, logs: Sequence[MotionLog], content: Mapping[str, Any], out: Path | None, *, as_json: bool
) -> dict[str, Any]:
    """Print the result of a calibration and write it to a file; return it.

    Raises:
        LogError: the file exists or cannot be written.
    """
    head = next((log.head for log in logs if "serial_number" in log.head), {})
    about = {
        "method": method,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "logs": [log.name for log in logs],
        **{key: head[key] for key in ("serial_number", "model", "version") if key in head},
    }
    whole = {"calibration": about, **content}
    if out is not None:
        if out.exists():
            raise LogError(f"{out}: the file exists already; choose another name")
        out.write_text(_toml(whole), encoding="utf-8")
    if as_json:
        print_json(whole)
    else:
        _print(content)
    if out is not None:
        print_note(f"{out}: written")
    return whole


def unit_values(connected: ConnectedDevice, content: Mapping[str, Any], *, is_combined: bool) -> dict[str, str]:
    """Return the settings, by name, with which a unit corrects its readings by a calibration.

    Args:
        connected: the unit.
        content: calibration from `report`.
        is_combined: True if the log was made with the calibration that the unit holds; both are combined.

    Raises:
        DeviceError: the unit cannot hold a calibration, is not the unit of the log, or holds one already.
    """
    family, url = connected.family, connected.device.url
    if family.calibration is None:
        raise DeviceError(f"{url}: {family.title}: these units cannot hold a calibration; use the file of --out")
    serial, logged = connected.describe().get("serial_number"), content["calibration"].get("serial_number")
    if logged is not None and serial != logged:
        raise DeviceError(
            f"{url}: its serial number is {serial}, that of the log {logged}; connect the unit of the log"
        )
    _require_own_axes(connected, family.calibration)
    sensors = {"accelerometer": family.calibration.accelerometer, "gyro": family.calibration.gyro}
    wanted = {setting.name: (setting, content[name]) for name, setting in sensors.items() if name in content}
    held = {entry.name: str(entry.value) for entry in connected.run(family.controls.get, "settings", list(wanted))}
    values = {}
    for name, (setting, section) in wanted.items():
        old = [float(word) for word in held[name].split(",")]
        if old != _NEUTRAL[setting.has_matrix] and not is_combined:
            raise DeviceError(
                f"{url}: {name} is {held[name]} already; use --combine if the log was made with it, else reset it "
                "and log again"
            )
        if "matrix" in section and not setting.has_matrix:
            print_note(f"{url}: {name} holds the bias only; the matrix remains in the file of --out")
        new = _combined(setting, old, section)
        values[name] = ",".join(f"{value:.7g}" for value in new)
    return values


def _require_own_axes(connected: ConnectedDevice, calibration: HeldCalibration) -> None:
    """Raise an error if the readings of a unit are in other axes than its calibration."""
    name = calibration.rotation
    try:
        (held,) = connected.run(connected.family.controls.get, "settings", [name])
    except RefusedError:  # a unit without the setting
        return
    if tuple(float(word) for word in str(held.value).split(",")) != calibration.unrotated:
        raise DeviceError(
            f"{connected.device.url}: {name} is {held.value}, so its readings are not in the axes of its calibration; "
            "reset it and log again"
        )


def _combined(setting: CalibrationSetting, old: list[float], section: Mapping[str, Any]) -> list[float]:
    """Return the value of a setting that corrects as the old one and a calibration do one after the other."""
    bias = setting.per_si * np.array(section[next(key for key in section if key.startswith("bias_"))])
    if not setting.has_matrix:
        return [*(np.array(old) + bias).tolist()]
    before, old_bias = np.array(old[:9]).reshape(3, 3), np.array(old[9:])
    matrix = np.array(section.get("matrix", np.eye(3)))
    return [*(matrix @ before).ravel().tolist(), *(old_bias + np.linalg.solve(before, bias)).tolist()]


def _toml(content: Mapping[str, Any]) -> str:
    lines = ["# corrected = matrix @ (reading - bias), in the axes of the unit, SI; sigma: standard deviation"]
    for name, section in content.items():
        tables = section if isinstance(section, list) else [section]
        for table in tables:
            lines.append(f"\n[[{name}]]" if isinstance(section, list) else f"\n[{name}]")
            lines += [f"{key} = {_toml_value(value)}" for key, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:  # noqa: ANN401 - text, number or nested list
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


_SHOWN: Final = {
    "bias_mps2": ("bias", "mg", 1e3 / 9.80665),
    "bias_rad_s": ("bias", "deg/h", math.degrees(3600.0)),
    "matrix": ("matrix", "", 1.0),
    "g_sensitivity_rad_s_per_mps2": ("per specific force, of", "deg/h/g", math.degrees(3600.0) * 9.80665),
}
"""Title, unit, and value in this unit per value in SI, of the figures with standard deviations."""


def _print(content: Mapping[str, Any]) -> None:
    for name in ("accelerometer", "gyro"):
        if name not in content:
            continue
        section = content[name]
        table = Table("", *AXES, title=name, title_justify="left")
        for key, (title, unit, scale) in _SHOWN.items():
            if key in section:
                sigmas = section[key.replace("matrix", "matrix_sigma").replace("bias", "bias_sigma").replace(
                    "sensitivity_rad", "sensitivity_sigma_rad")]  # fmt: skip
                rows = section[key] if isinstance(section[key][0], list) else [section[key]]
                rows_sigmas = sigmas if isinstance(sigmas[0], list) else [sigmas]
                for number, (values, deviations) in enumerate(zip(rows, rows_sigmas, strict=True)):
                    label = f"{title} {AXES[number]}" if len(rows) > 1 else title
                    cells = [_cell(scale * a, scale * b) for a, b in zip(values, deviations, strict=True)]
                    table.add_row(f"{label}, {unit}" if unit else label, *cells)
        if "nonlinearity_ppm" in section:
            table.add_row("nonlinearity, ppm", *(f"{value:.3g}" for value in section["nonlinearity_ppm"]))
        print_table(table)
        print_note(
            f"{name}: chi-square {section['chi_square']:.1f}, {section['degrees_of_freedom']} degrees of freedom"
        )
    if "positions" in content:
        print_note(f"{len(content['positions'])} positions at rest")

    for name, (unit, title, scale) in _TEMPERATURE_SHOWN.items():
        if name in content:
            _print_temperature(content[name], unit, title, scale)


_TEMPERATURE_SHOWN: Final = {
    "accelerometer_temperature": ("mps2", "accelerometer, mg", 1e3 / 9.80665),
    "gyro_temperature": ("rad_s", "gyro, deg/h", math.degrees(3600.0)),
}
"""Unit of the figures, title, and value in the unit of the title per value in SI."""


def _print_temperature(section: Mapping[str, Any], unit: str, title: str, scale: float) -> None:
    table = Table("", *AXES, title=title, title_justify="left")
    low, high = section["range_degc"]
    values, sigmas = (zip(*section[f"{name}_{unit}"], strict=True) for name in ("coefficients", "coefficients_sigma"))
    for order, (row, deviations) in enumerate(zip(values, sigmas, strict=True)):
        label = f"at {section['reference_degc']:g} °C" if order == 0 else f"per °C^{order}"
        table.add_row(label, *(_cell(scale * a, scale * b) for a, b in zip(row, deviations, strict=True)))
    for key, label in (("residual", "residual, 1 sigma"), ("hysteresis", "hysteresis")):
        if (row := section[f"{key}_{unit}"]) is not None:
            table.add_row(label, *(f"{scale * value:.3g}" for value in row))
    print_table(table)
    is_known = section[f"hysteresis_{unit}"] is not None
    note = "" if is_known else "; the run does not contain both heating and cooling, so its hysteresis is unknown"
    print_note(f"{title.partition(',')[0]}: {low:.1f} °C to {high:.1f} °C{note}")


def _cell(value: float, sigma: float) -> str:
    if sigma == 0.0:
        return f"{value:.6g}"
    decimals = max(0, 1 - math.floor(math.log10(sigma)))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"
