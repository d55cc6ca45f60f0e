"""Parts of a log in which the unit rests or turns at a constant rate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc_instruments.device.calibration.fit import AXES, CalibrationError
from pygnc_instruments.device.columns import ROWS, FloatArray, usual_step
from pygnc_instruments.device.sensor_log import MotionLog

WINDOW_S: Final = 0.5
_WINDOW_READINGS: Final = 16
STILL_VARIANCE: Final = 4.0
"""Variance of a window at rest, relative to that of the noise, at most."""
_STILL_JUMP: Final = 2.0
"""Difference of the means of neighbouring windows at rest, relative to the noise, at most."""
_QUIETEST: Final = 0.1
_NOISE_LIMITS: Final = {"rate": math.radians(1.0), "force": 0.5}
"""Noise, in SI units, above which a unit is never at rest."""
_STUCK_SHARE: Final = 0.3
"""Share of readings with the same extreme value that marks a saturated sensor."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a log in which the unit rests or turns at a constant rate.

    Attributes:
        log: name of the log.
        start_s, end_s: times in the log, s.
        force, rate: means of the readings in windows, SI, (m, 3); None without the sensor.
        first, stop: number of its first row in the log, and of the first row after it.
    """

    log: str
    start_s: float
    end_s: float
    force: FloatArray | None
    rate: FloatArray | None
    first: int
    stop: int

    @property
    def size(self) -> int:
        """Number of windows."""
        return len(self.force if self.force is not None else self.rate)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a log, each of about half a second.

    Attributes:
        size: readings of a window.
        times_s: times of the first and the last reading of each window, s, (m, 2).
        means, variances: of the readings of each window, (m, k): specific forces, then rates, as far as there are any.
        step: resolution of each axis, (k,).
    """

    size: int
    times_s: FloatArray
    means: FloatArray
    variances: FloatArray
    step: FloatArray

    def rows(self, indices: NDArray[np.int64]) -> tuple[int, int]:
        """Return the first row of successive windows, and the row after the last one."""
        return int(indices[0]) * self.size, (int(indices[-1]) + 1) * self.size


def windows_of(log: MotionLog) -> Windows:
    """Return the windows of a log.

    Raises:
        CalibrationError: the log is too short, or an axis is stuck.
    """
    total = len(log.times_s)
    size = max(_WINDOW_READINGS, round(WINDOW_S / usual_step(log.times_s)))
    if total // size < 3:
        raise CalibrationError(f"{log.name}: {total} readings are too few; at least {3 * size} are needed")
    times_s, means, variances, extremes = [], [], [], []
    step = np.full(3 * (log.force is not None) + 3 * (log.rate is not None), np.inf)
    for block_s, readings in _blocks(log, 0, total // size * size, ROWS // size * size):
        windows = readings.reshape(-1, size, readings.shape[1])
        times_s.append(block_s.reshape(-1, size)[:, [0, -1]])
        means.append(windows.mean(axis=1))
        variances.append(windows.var(axis=1, ddof=1))
        extremes += [readings.min(axis=0), readings.max(axis=0)]
        step = np.minimum(step, _least_steps(readings))
    step = np.minimum(step, _least_steps(np.array(extremes)))
    for index in np.flatnonzero(~np.isfinite(step)):
        raise CalibrationError(f"{log.name}: the readings of {_axis_name(log, int(index))} do not change")
    whole = np.concatenate(times_s), np.concatenate(means), np.concatenate(variances)
    return Windows(size, *whole, step)


def _blocks(log: MotionLog, first: int, stop: int, size: int = ROWS) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield times and readings, specific forces, then rates, of some rows, at most `size` at once."""
    for start in range(first, stop, size):
        part = slice(start, min(start + size, stop))
        sensors = [readings[part] for readings in (log.force, log.rate) if readings is not None]
        yield log.times_s[part], np.concatenate(sensors, axis=1)


def _least_steps(readings: FloatArray) -> FloatArray:
    """Return the least difference of two values of each axis, (k,); inf if it does not change."""
    return np.array([np.diff(np.unique(column)).min(initial=np.inf) for column in readings.T])


def _axis_name(log: MotionLog, index: int) -> str:
    sensors = ["accelerometer"] * (log.force is not None) + ["gyro"] * (log.rate is not None)
    return f"{sensors[index // 3]} {AXES[index % 3]}"


def noise_of(variances: FloatArray, step: FloatArray) -> FloatArray:
    """Return the standard deviation of readings at rest, (k,): that of the quietest windows."""
    quiet = [np.quantile(column[column > 0.0], _QUIETEST) if column.any() else 0.0 for column in variances.T]
    return np.sqrt(np.maximum(quiet, step**2 / 12.0))


def still_parts(log: MotionLog, seconds: float) -> list[Part]:
    """Return the parts of a log in which the unit rests for a time at least.

    Raises:
        CalibrationError: the log is too short, or an axis is stuck or saturated.
    """
    windows = windows_of(log)
    variances, means = windows.variances, windows.means
    sigma = noise_of(variances, windows.step)
    limit = np.maximum(STILL_VARIANCE * sigma**2, 0.25 * windows.step**2)
    limits = [_NOISE_LIMITS["force"]] * 3 * (log.force is not None) + [_NOISE_LIMITS["rate"]] * 3 * (
        log.rate is not None
    )
    still = np.all(variances <= np.minimum(limit, np.square(limits)), axis=1)
    jumps = (np.abs(np.diff(means, axis=0)) > _STILL_JUMP * np.maximum(sigma, windows.step)).any(axis=1)
    starts = np.concatenate(([True], jumps | ~still[:-1] | ~still[1:]))
    parts = []
    for indices in np.split(np.arange(len(still)), np.flatnonzero(starts)):
        inner = indices[1:-1]  # the outer windows may contain the beginning and the end of a motion
        if not len(inner) or not still[indices[0]]:
            continue
        wanders = means[inner].std(axis=0) > np.maximum(sigma, windows.step)
        if windows.times_s[inner[-1], 1] - windows.times_s[inner[0], 0] >= seconds and not wanders.any():
            require_range(log, windows, inner, sigma)
            parts.append(part_of(log, windows, inner))
    return parts


def part_of(log: MotionLog, windows: Windows, indices: NDArray[np.int64]) -> Part:
    """Return the part of a log that successive windows make up."""
    means = windows.means[indices]
    force = None if log.force is None else means[:, :3]
    rate = None if log.rate is None else means[:, -3:]
    start_s, end_s = float(windows.times_s[indices[0], 0]), float(windows.times_s[indices[-1], 1])
    return Part(log.name, start_s, end_s, force, rate, *windows.rows(indices))


def require_range(log: MotionLog, windows: Windows, indices: NDArray[np.int64], sigma: FloatArray) -> None:
    """Raise an error if an axis is saturated: it repeats an extreme value although its noise exceeds its resolution."""
    first, stop = windows.rows(indices)
    found = [(readings.min(axis=0), readings.max(axis=0)) for _, readings in _blocks(log, first, stop)]
    for extreme in (np.min([low for low, _ in found], axis=0), np.max([high for _, high in found], axis=0)):
        equal = sum((readings == extreme).sum(axis=0) for _, readings in _blocks(log, first, stop))
        share = np.asarray(equal) / (stop - first)
        for index in np.flatnonzero((share > _STUCK_SHARE) & (sigma > windows.step)):
            times = f"{windows.times_s[indices[0], 0]:.1f} s to {windows.times_s[indices[-1], 1]:.1f} s"
            raise CalibrationError(
                f"{log.name}: {_axis_name(log, int(index))} is saturated or stuck at {extreme[index]:.6g} (SI) from "
                f"{times}; choose a larger range of the sensor, or cut this part"
            )
