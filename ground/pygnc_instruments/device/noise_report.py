"""Report of the noise of sensors at rest: coefficients by the Allan deviation, settings of the filter, figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
import yaml
from rich.table import Column, Table

from pygnc_devices.units import ACCELERATION, MAGNETIC, RATE, STANDARD_GRAVITY_MPS2
from pygnc_instruments.device.allan import AllanDeviation, Coefficient, NoiseModel, allan_deviation, fit_noise
from pygnc_instruments.device.columns import BLOCK, Numbers, blocks, deviation
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.sensor_log import SENSORS, Axis, SensorLog
from pygnc_instruments.device.terminal import print_json, print_note, print_table


@dataclass(frozen=True, slots=True)
class Quantity:
    """Names and units in which the noise of a kind of sensor is stated.

    Attributes:
        title: name of the quantity.
        white, flicker, walk: name, unit, and value in this unit per value in SI.
    """

    title: str
    white: tuple[str, str, float]
    flicker: tuple[str, str, float]
    walk: tuple[str, str, float]


_HOUR_S: Final = 3600.0
_ROOT_HOUR: Final = math.sqrt(_HOUR_S)
_DEGREE: Final = math.degrees(1.0)
_MICRO_G: Final = 1e6 / STANDARD_GRAVITY_MPS2
_NANO_TESLA: Final = 1e9
QUANTITIES: Final = {
    RATE: Quantity(
        "angular rate",
        ("angle random walk", "deg/√h", _DEGREE * _ROOT_HOUR),
        ("bias instability", "deg/h", _DEGREE * _HOUR_S),
        ("rate random walk", "deg/h/√h", _DEGREE * _HOUR_S * _ROOT_HOUR),
    ),
    ACCELERATION: Quantity(
        "specific force",
        ("velocity random walk", "m/s/√h", _ROOT_HOUR),
        ("bias instability", "µg", _MICRO_G),
        ("acceleration random walk", "µg/√h", _MICRO_G * _ROOT_HOUR),
    ),
    MAGNETIC: Quantity(
        "magnetic field",
        ("white noise", "nT/√Hz", _NANO_TESLA),
        ("bias instability", "nT", _NANO_TESLA),
        ("random walk", "nT/√h", _NANO_TESLA * _ROOT_HOUR),
    ),
}
_MOVING: Final = {RATE: math.radians(1.0), ACCELERATION: 0.5}
"""Standard deviation of the readings, in SI units, above which a unit is not at rest."""
_CERTAIN: Final = 0.1
"""Largest relative standard deviation of the Allan deviation that is quoted as the lowest."""
_STRETCH_S: Final = 1.0
_STRETCH_READINGS: Final = 16


@dataclass(frozen=True, slots=True)
class AxisNoise:
    """Noise of an axis.

    Attributes:
        reading_sigma: standard deviation of the readings within about a second, unit of the axis.
        lowest: index of the lowest Allan deviation that is certain to `_CERTAIN`.
    """

    axis: Axis
    allan: AllanDeviation
    model: NoiseModel
    reading_sigma: float
    lowest: int

    @property
    def lowest_deviation(self) -> tuple[float, float, float]:
        """Lowest Allan deviation and its standard deviation, unit of the axis, and its averaging time, s."""
        deviation = float(self.allan.deviation[self.lowest])
        sigma = deviation * float(self.allan.relative_sigma[self.lowest])
        return deviation, sigma, float(self.allan.tau_s[self.lowest])


def report_noise(
    log: SensorLog, title: str, kalibr: Path | None = None, topic: str = "/imu0", *, as_json: bool
) -> list[AxisNoise]:
    """Print the noise of a log, write its description for kalibr, and return the noise of the axes.

    Args:
        log: readings.
        title: name of the log.
        kalibr: new file for kalibr, YAML; None for none.
        topic: ROS topic of the readings, for kalibr.
        as_json: print JSON.

    Raises:
        LogError: the unit moves, no axis has noise, or the log does not contain what kalibr needs.
    """
    for axis in log.axes:
        varies = deviation(axis.readings)
        if varies > _MOVING.get(axis.unit, math.inf):
            shown = f"{varies * axis.unit.column_per_unit:.3g} {axis.unit.column}"
            raise LogError(f"{title}: the unit moves ({axis.name} varies by {shown}, 1 sigma); log it at rest")
    found = [entry for axis in log.axes if (entry := _measure(title, axis, log.interval_s)) is not None]
    if not found:
        raise LogError(f"{title}: no axis has noise; log raw readings of a unit at rest")
    if kalibr is not None:
        if kalibr.exists():
            raise LogError(f"{kalibr}: the file exists already; choose another name")
        kalibr.write_text(kalibr_text(found, topic, log.interval_s, title), encoding="utf-8")
        print_note(f"{kalibr}: written")
    if as_json:
        print_json(_report(log, found))
    else:
        _print(log, found)
    return found


def _measure(title: str, axis: Axis, interval_s: float) -> AxisNoise | None:
    allan = allan_deviation(axis.readings, interval_s)
    try:
        model = fit_noise(allan)
    except ValueError as error:
        print_note(f"{title}: {axis.name} is left out: {error}")
        return None
    certain = allan.relative_sigma <= max(_CERTAIN, float(allan.relative_sigma.min()))
    lowest = int(np.argmin(np.where(certain, allan.deviation, np.inf)))
    return AxisNoise(axis, allan, model, _reading_sigma(axis.readings, interval_s), lowest)


def _reading_sigma(readings: Numbers, interval_s: float) -> float:
    size = max(_STRETCH_READINGS, round(_STRETCH_S / interval_s))
    whole = len(readings) // size * size
    variances = (
        block[: len(block) // size * size].reshape(-1, size).var(axis=1, ddof=1).sum()
        for block in blocks(readings, max(1, BLOCK // size) * size)
    )
    return math.sqrt(sum(map(float, variances)) / (whole // size))


def filter_settings(found: Sequence[AxisNoise]) -> str:
    """Return the settings of the attitude filter as TOML, of the axis with the most noise each; "" without any."""
    sections = []
    for unit, section, suffix, per_si in ((RATE, "gyro", "rad_s", 1.0), (MAGNETIC, "magnetometer", "ut", 1e6)):
        axes = [entry for entry in found if entry.axis.unit is unit]
        if not axes:
            continue
        sigma = max(entry.reading_sigma for entry in axes) * per_si
        walks = [entry.model.walk for entry in axes]
        walk = max(entry.value if entry.is_significant else entry.limit for entry in walks) * per_si
        remark = "" if all(entry.is_significant for entry in walks) else "  # upper limit; a longer log may lower it"
        sections.append(
            f"[attitude.{section}]\nnoise_{suffix} = {sigma:.4g}\nbias_walk_{suffix} = {walk:.4g}{remark}\n"
        )
    return "\n".join(sections)


def kalibr_text(found: Sequence[AxisNoise], topic: str, interval_s: float, title: str) -> str:
    """Return kalibr's description of an IMU as YAML: that of the axis with the most noise.

    Raises:
        LogError: the log does not contain the noise of both sensors.
    """
    content: dict[str, float | str] = {}
    for unit, sensor in ((ACCELERATION, "accelerometer"), (RATE, "gyroscope")):
        models = [entry.model for entry in found if entry.axis.unit is unit]
        if not models:
            raise LogError(f"{title}: contains no noise of the {sensor}; kalibr needs both sensors; see --packet")
        for kind, name in (("white", "noise_density"), ("walk", "random_walk")):
            coefficients: list[Coefficient] = [getattr(model, kind) for model in models]
            value = max(entry.value if entry.is_significant else entry.limit for entry in coefficients)
            content[f"{sensor}_{name}"] = float(f"{value:.4g}")
    return yaml.safe_dump(content | {"rostopic": topic, "update_rate": round(1.0 / interval_s, 3)}, sort_keys=False)


def _print(log: SensorLog, found: Sequence[AxisNoise]) -> None:
    count = len(found[0].axis.readings)
    duration_s = count * log.interval_s
    print_note(
        f"packet {log.packet or 'unknown'}: {count} readings without a gap of {log.total} in the log, from reading "
        f"{log.first}; {1.0 / log.interval_s:.4g} Hz, {duration_s / _HOUR_S:.3g} h"
    )
    for unit in SENSORS:
        axes = [entry for entry in found if entry.axis.unit is unit]
        if not axes:
            continue
        kind = QUANTITIES[unit]
        names = [f"{name}\n{shown}" for name, shown, _ in (kind.white, kind.flicker, kind.walk)]
        lowest = f"lowest Allan deviation\n{kind.flicker[1]}"
        table = Table(Column("axis", no_wrap=True), *names, lowest, "at\ns", title=kind.title, title_justify="left")
        for entry in axes:
            model = entry.model
            pairs = ((model.white, kind.white), (model.flicker, kind.flicker), (model.walk, kind.walk))
            cells = [_cell(coefficient, scale) for coefficient, (_, _, scale) in pairs]
            deviation, sigma, tau_s = entry.lowest_deviation
            shown = f"{deviation * kind.flicker[2]:.3g} ± {sigma * kind.flicker[2]:.1g}"
            table.add_row(entry.axis.name, *cells, shown, f"{tau_s:.3g}")
        print_table(table)
    toml = filter_settings(found)
    if toml:
        print_note(
            "settings of the attitude filter, by the axis with the most noise; the filter uses no accelerometer:"
        )
        typer.echo(toml, nl=False)
    else:
        print_note("the attitude filter has no setting for these sensors")


def _cell(coefficient: Coefficient, scale: float) -> str:
    if coefficient.is_significant:
        return f"{coefficient.value * scale:.4g}"
    return f"< {coefficient.limit * scale:.3g}"


def _report(log: SensorLog, found: Sequence[AxisNoise]) -> dict[str, Any]:
    return {
        "packet": log.packet,
        "rate_hz": 1.0 / log.interval_s,
        "first_reading": log.first,
        "readings": len(found[0].axis.readings),
        "readings_in_log": log.total,
        "axes": [_axis_report(entry) for entry in found],
        "settings": filter_settings(found),
    }


def _axis_report(entry: AxisNoise) -> dict[str, Any]:
    names = ("quantisation", "white", "flicker", "walk", "ramp")
    coefficients: dict[str, Coefficient] = {name: getattr(entry.model, name) for name in names}
    deviation, sigma, tau_s = entry.lowest_deviation
    return {
        "name": entry.axis.name,
        "unit": entry.axis.unit.name,
        **{
            name: {"value": found.value if found.is_significant else None, "limit": found.limit}
            for name, found in coefficients.items()
        },
        "reading_sigma": entry.reading_sigma,
        "lowest_deviation": deviation,
        "lowest_deviation_sigma": sigma,
        "lowest_at_s": tau_s,
        "tau_s": entry.allan.tau_s.tolist(),
        "deviation": entry.allan.deviation.tolist(),
        "relative_sigma": entry.allan.relative_sigma.tolist(),
    }
