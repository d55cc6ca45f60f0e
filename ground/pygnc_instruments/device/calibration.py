"""Calibration of accelerometers and gyros by readings at rest, at known rates and over temperature.

A corrected reading is `matrix @ (reading - bias)`. At rest, corrected specific forces have the strength of gravity in
every position; this determines an upper triangular matrix (scale factors and non-orthogonality) and the bias.
On a turntable the rates are known, which determines a full matrix.

Sources: Tedaldi, Pretto and Menegatti, "A robust and easy to implement method for IMU calibration without external
equipments", ICRA 2014, for the positions; WGS 84 (NIMA TR8350.2, chapter 4) for gravity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from pygnc_instruments.device.allan import FloatArray
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.sensor_log import MotionLog

AXES: Final = "xyz"
EARTH_RATE_RAD_S: Final = 7.292115e-5
_GRAVITY: Final = 9.8
_WINDOW_S: Final = 0.5
_WINDOW_READINGS: Final = 16
_STILL_VARIANCE: Final = 4.0
"""Variance of a window at rest, relative to that of the noise, at most."""
_STILL_JUMP: Final = 2.0
"""Difference of the means of neighbouring windows at rest, relative to the noise, at most."""
_QUIETEST: Final = 0.1
_NOISE_LIMITS: Final = {"rate": math.radians(1.0), "force": 0.5}
"""Noise, in SI units, above which a unit is never at rest."""
_STUCK_SHARE: Final = 0.3
"""Share of readings with the same extreme value that marks a saturated sensor."""
_TOWARDS: Final = 0.7
"""Component of gravity, relative, of a position along an axis."""
_PRIOR_BIAS: Final = 0.3
_PRIOR_SCALE: Final = 0.3
_PRIOR_SHEAR: Final = 0.01
"""Standard deviations of bias/g, scale factor and non-orthogonality before the readings."""
_DETERMINED: Final = 0.003
"""Largest standard deviation of bias/g and scale factor of a calibration."""
_LARGEST_RESIDUAL: Final = 0.005
_SIGNIFICANCE: Final = 0.01
_FEWEST_TURNS: Final = 9
_WEAKEST: Final = 0.05
"""Smallest singular value, relative, of a design from which the sensitivity to acceleration is determined."""
_HIGHEST_ORDER: Final = 4
_LEAST_RANGE_DEGC: Final = 5.0


class CalibrationError(LogError):
    """Error raised when the readings do not determine a calibration."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a log in which the unit rests or turns at a constant rate.

    Attributes:
        log: name of the log.
        start_s, end_s: times in the log, s.
        force, rate: means of the readings in windows, SI, (m, 3); None without the sensor.
    """

    log: str
    start_s: float
    end_s: float
    force: FloatArray | None
    rate: FloatArray | None

    @property
    def size(self) -> int:
        """Number of windows."""
        return len(self.force if self.force is not None else self.rate)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SensorCalibration:
    """Calibration of a sensor: corrected reading = matrix @ (reading - bias).

    Attributes:
        bias, bias_sigma: SI, (3,).
        matrix, matrix_sigma: (3, 3).
        parameters, covariance: estimated parameters and their covariance, in the order of the method.
        chi_square, freedom: of the residuals, before the standard deviations are increased to explain them.
        residuals: of each part, SI, (n,) or (n, 3).
        g_sensitivity, g_sensitivity_sigma: change of the reading per specific force, rad/s per m/s², (3, 3), or None.
        nonlinearity_ppm: largest residual of each axis's rates, relative to the largest rate, 1e-6, (3,); None without.
    """

    bias: FloatArray
    bias_sigma: FloatArray
    matrix: FloatArray
    matrix_sigma: FloatArray
    parameters: FloatArray
    covariance: FloatArray
    chi_square: float
    freedom: int
    residuals: FloatArray
    g_sensitivity: FloatArray | None = None
    g_sensitivity_sigma: FloatArray | None = None
    nonlinearity_ppm: FloatArray | None = None


def gravity_mps2(latitude_deg: float, height_m: float) -> float:
    """Return the normal gravity of WGS 84 at a latitude and height above the ellipsoid, m/s²."""
    square = math.sin(math.radians(latitude_deg)) ** 2
    surface = 9.7803253359 * (1.0 + 0.00193185265241 * square) / math.sqrt(1.0 - 0.00669437999013 * square)
    flattening, radius_m, ratio = 1.0 / 298.257223563, 6378137.0, 0.00344978650684
    slope = 2.0 / radius_m * (1.0 + flattening + ratio - 2.0 * flattening * square)
    return surface * (1.0 - slope * height_m + 3.0 * (height_m / radius_m) ** 2)


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of a log, each of about half a second: readings (m, size, k) and times (m, 2)."""

    readings: FloatArray
    times_s: FloatArray
    step: FloatArray
    """Resolution of each axis, (k,)."""

    @property
    def means(self) -> FloatArray:
        return np.asarray(self.readings.mean(axis=1))


def _windows(log: MotionLog) -> _Windows:
    sensors = [readings for readings in (log.force, log.rate) if readings is not None]
    columns = np.concatenate(sensors, axis=1)
    interval_s = float(np.median(np.diff(log.times_s)))
    size = max(_WINDOW_READINGS, round(_WINDOW_S / interval_s))
    count = len(columns) // size
    if count < 3:
        raise CalibrationError(f"{log.name}: {len(columns)} readings are too few; at least {3 * size} are needed")
    step = np.empty(columns.shape[1])
    for index, column in enumerate(columns.T):
        different = np.diff(np.unique(column))
        if not len(different):
            raise CalibrationError(f"{log.name}: the readings of {_axis_name(log, index)} do not change")
        step[index] = different.min()
    times_s = log.times_s[: count * size].reshape(count, size)[:, [0, -1]]
    return _Windows(columns[: count * size].reshape(count, size, -1), times_s, step)


def _axis_name(log: MotionLog, index: int) -> str:
    sensors = ["accelerometer"] * (log.force is not None) + ["gyro"] * (log.rate is not None)
    return f"{sensors[index // 3]} {AXES[index % 3]}"


def _noise(variances: FloatArray, step: FloatArray) -> FloatArray:
    """Return the standard deviation of readings at rest, (k,): that of the quietest windows."""
    quiet = [np.quantile(column[column > 0.0], _QUIETEST) if column.any() else 0.0 for column in variances.T]
    return np.sqrt(np.maximum(quiet, step**2 / 12.0))


def still_parts(log: MotionLog, seconds: float) -> list[Part]:
    """Return the parts of a log in which the unit rests for a time at least.

    Raises:
        CalibrationError: the log is too short, or an axis is stuck or saturated.
    """
    windows = _windows(log)
    variances, means = windows.readings.var(axis=1, ddof=1), windows.means
    sigma = _noise(variances, windows.step)
    limit = np.maximum(_STILL_VARIANCE * sigma**2, 0.25 * windows.step**2)
    limits = [_NOISE_LIMITS["force"]] * 3 * (log.force is not None) + [_NOISE_LIMITS["rate"]] * 3 * (
        log.rate is not None
    )
    still = (variances <= np.minimum(limit, np.square(limits))).all(axis=1)
    jumps = (np.abs(np.diff(means, axis=0)) > _STILL_JUMP * np.maximum(sigma, windows.step)).any(axis=1)
    starts = np.concatenate(([True], jumps | ~still[:-1] | ~still[1:]))
    parts = []
    for indices in np.split(np.arange(len(still)), np.flatnonzero(starts)):
        inner = indices[1:-1]  # the outer windows may contain the beginning and the end of a motion
        if not len(inner) or not still[indices[0]]:
            continue
        wanders = means[inner].std(axis=0) > np.maximum(sigma, windows.step)
        if windows.times_s[inner[-1], 1] - windows.times_s[inner[0], 0] >= seconds and not wanders.any():
            _require_range(log, windows, inner, sigma)
            parts.append(_part(log, windows, inner))
    return parts


def _part(log: MotionLog, windows: _Windows, indices: NDArray[np.int64]) -> Part:
    means = windows.means[indices]
    force = None if log.force is None else means[:, :3]
    rate = None if log.rate is None else means[:, -3:]
    return Part(log.name, float(windows.times_s[indices[0], 0]), float(windows.times_s[indices[-1], 1]), force, rate)


def _require_range(log: MotionLog, windows: _Windows, indices: NDArray[np.int64], sigma: FloatArray) -> None:
    """Raise an error if an axis is saturated: it repeats an extreme value although its noise exceeds its resolution."""
    readings = windows.readings[indices].reshape(-1, len(sigma))
    for extreme in (readings.min(axis=0), readings.max(axis=0)):
        share = (readings == extreme).mean(axis=0)
        for index in np.flatnonzero((share > _STUCK_SHARE) & (sigma > windows.step)):
            times = f"{windows.times_s[indices[0], 0]:.1f} s to {windows.times_s[indices[-1], 1]:.1f} s"
            raise CalibrationError(
                f"{log.name}: {_axis_name(log, int(index))} is saturated or stuck at {extreme[index]:.6g} (SI) from "
                f"{times}; choose a larger range of the sensor, or cut this part"
            )


def _means(windows: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return the means of the parts and their variances, (n, 3): those of their windows, of all parts together."""
    means = np.array([part.mean(axis=0) for part in windows])
    squares = sum(((part - part.mean(axis=0)) ** 2).sum(axis=0) for part in windows)
    freedom = sum(len(part) - 1 for part in windows)
    if freedom < len(AXES):
        raise CalibrationError("the parts at rest are too short; let the unit rest for at least 5 s in each position")
    variance = np.maximum(np.asarray(squares) / freedom, np.finfo(float).tiny)
    return means, variance / np.array([len(part) for part in windows])[:, np.newaxis]


def calibrate_accelerometer(parts: Sequence[Part], gravity: float) -> SensorCalibration:
    """Return bias, scale factors and non-orthogonality by the specific forces at rest.

    The parameters are the bias, the diagonal of the matrix less 1, and its elements xy, xz and yz.

    Raises:
        CalibrationError: positions are missing, or the residuals contradict the model.
    """
    windows = [part.force for part in parts if part.force is not None]
    if not windows:
        raise CalibrationError("the logs contain no position at rest with specific forces; let the unit rest for 5 s")
    means, variances = _means(windows)
    prior = np.repeat([_PRIOR_BIAS * _GRAVITY, _PRIOR_SCALE, _PRIOR_SHEAR], 3)

    def corrected(parameters: FloatArray) -> FloatArray:
        return np.asarray((means - parameters[:3]) @ _matrix(parameters).T)

    def residuals(parameters: FloatArray) -> FloatArray:
        forces = corrected(parameters)
        lengths = np.linalg.norm(forces, axis=1)
        gradients = forces / lengths[:, np.newaxis] @ _matrix(parameters)
        sigmas = np.sqrt((gradients**2 * variances).sum(axis=1))
        return np.concatenate([(lengths - gravity) / sigmas, parameters / prior])

    found = least_squares(residuals, np.zeros(9), x_scale=prior, method="lm", xtol=1e-12, ftol=1e-12)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    sigmas = np.sqrt(np.diag(covariance))
    forces = corrected(found.x)
    relative = np.concatenate([sigmas[:3] / gravity, sigmas[3:6]])
    _require_positions(forces / gravity, relative)
    errors = np.linalg.norm(forces, axis=1) - gravity
    if np.sqrt(np.mean(errors**2)) > _LARGEST_RESIDUAL * gravity:
        worst = parts[int(np.argmax(np.abs(errors)))]
        raise CalibrationError(
            f"the positions contradict each other: {np.abs(errors).max():.3g} m/s² at {worst.start_s:.1f} s of "
            f"{worst.log}; the unit moved there, or a log belongs to another unit"
        )
    if np.abs(found.x[3:6]).max() > _PRIOR_SCALE / 2.0:
        raise CalibrationError(
            f"the scale factors differ from 1 by up to {100 * np.abs(found.x[3:6]).max():.0f} %; check --gravity and "
            "the unit of the readings"
        )
    chi_square = float(np.square(found.fun[: len(means)]).sum())
    # The parameters that only their prior determines use no reading.
    freedom = max(0, len(means) - 6 - int((sigmas[6:] < 0.5 * _PRIOR_SHEAR).sum()))
    covariance = covariance * _inflation(chi_square, freedom)
    sigmas = np.sqrt(np.diag(covariance))
    matrix_sigma = _matrix(sigmas) - np.eye(3)
    return SensorCalibration(
        found.x[:3], sigmas[:3], _matrix(found.x), matrix_sigma, found.x, covariance, chi_square, freedom, errors
    )


def _matrix(parameters: FloatArray) -> FloatArray:
    matrix = np.eye(3) + np.diag(parameters[3:6])
    matrix[np.triu_indices(3, 1)] = parameters[6:9]
    return matrix


def _require_positions(directions: FloatArray, relative: FloatArray) -> None:
    if len(directions) >= 6 and (relative < _DETERMINED).all():
        return
    missing = [
        f"{AXES[axis]} {'up' if sign > 0 else 'down'}"
        for axis in range(3)
        for sign in (1, -1)
        if not (sign * directions[:, axis] > _TOWARDS).any()
    ]
    advice = f"positions with {', '.join(missing)} are missing" if missing else "add tilted positions"
    raise CalibrationError(
        f"{len(directions)} positions at rest do not determine bias and scale factors: {advice}; let the unit rest "
        "for 5 s or longer with each axis up and down once (up: its reading is near +g)"
    )


def _inflation(chi_square: float, freedom: int) -> float:
    """Return the factor of the covariance that explains residuals larger than the noise; 1 if they are not."""
    is_explained = freedom == 0 or chi_square <= chi2.isf(_SIGNIFICANCE, freedom)
    return 1.0 if is_explained else chi_square / freedom


def calibrate_gyro_at_rest(
    parts: Sequence[Part], matrix: FloatArray, force_bias: FloatArray, latitude_deg: float | None
) -> SensorCalibration:
    """Return the bias of the gyro and its sensitivity to specific force by the positions at rest.

    Args:
        parts: positions with readings of both sensors.
        matrix: calibration of the accelerometer.
        force_bias: its bias, m/s².
        latitude_deg: latitude; None if unknown. The vertical part of the Earth's rotation is corrected by it; the
            rest, whose direction is unknown, increases the standard deviations.
    """
    means, variances = _means([part.rate for part in parts if part.rate is not None])
    forces = (
        np.array([np.mean(part.force, axis=0) for part in parts if part.force is not None]) - force_bias
    ) @ matrix.T
    up, earth_variance = forces / np.linalg.norm(forces, axis=1)[:, np.newaxis], EARTH_RATE_RAD_S**2 / 3.0
    if latitude_deg is not None:
        latitude = math.radians(latitude_deg)
        means = means - EARTH_RATE_RAD_S * math.sin(latitude) * up
        earth_variance = (1.0 - up**2) * (EARTH_RATE_RAD_S * math.cos(latitude)) ** 2 / 2.0
    design = np.column_stack([np.ones(len(means)), forces])
    has_g = _is_determined(design)
    if not has_g:
        design = design[:, :1]
    values, covariance, (chi_square, freedom, residuals) = _solve(design, means, variances + earth_variance)
    sigmas = np.sqrt(np.array([np.diag(block) for block in covariance]))
    return SensorCalibration(
        bias=values[:, 0],
        bias_sigma=sigmas[:, 0],
        matrix=np.eye(3),
        matrix_sigma=np.zeros((3, 3)),
        parameters=values.ravel(),
        covariance=_block_diagonal(covariance),
        chi_square=chi_square,
        freedom=freedom,
        residuals=residuals,
        g_sensitivity=values[:, 1:] if has_g else None,
        g_sensitivity_sigma=sigmas[:, 1:] if has_g else None,
    )


def calibrate_gyro_by_turns(
    logs: Sequence[MotionLog], parts: Sequence[Part], accelerometer: SensorCalibration, gyro: SensorCalibration
) -> tuple[FloatArray, FloatArray] | None:
    """Return the matrix of the gyro and its standard deviations by the turns between positions at rest.

    The rates of a turn must rotate the direction of gravity before it into the direction after it.

    Args:
        logs: logs of the parts.
        parts: positions with readings of both sensors.
        accelerometer: calibration of the accelerometer.
        gyro: bias of the gyro, and its sensitivity to specific force if that is known.

    Returns:
        Matrix and standard deviations, (3, 3); None if the turns do not determine them.
    """
    turns = [turn for log in logs for turn in _turns(log, parts, accelerometer)]
    if len(turns) < _FEWEST_TURNS:
        return None
    values = gyro.parameters.reshape(3, -1)  # bias, and sensitivity if it is known
    steps, size = max(len(turned) for turned, _, _ in turns), values.shape[1]
    angles, causes = np.zeros((len(turns), steps, 3)), np.zeros((len(turns), steps, size))
    for index, (turned, forces, _) in enumerate(turns):
        angles[index, : len(turned)] = turned
        causes[index, : len(turned)] = forces[:, :size]
    ends = np.array([[np.mean(part.force, axis=0) for part in pair] for _, _, pair in turns])  # type: ignore[arg-type]
    ends = (ends - accelerometer.bias) @ accelerometer.matrix.T
    ends /= np.linalg.norm(ends, axis=2, keepdims=True)

    def residuals(parameters: FloatArray, bias: FloatArray) -> FloatArray:
        vectors = (bias @ causes.swapaxes(1, 2)).swapaxes(1, 2) - angles
        rotations = Rotation.from_rotvec((vectors @ parameters.reshape(3, 3).T).reshape(-1, 3)).as_matrix()
        rotations = rotations.reshape(len(turns), steps, 3, 3)
        directions = ends[:, 0, :, np.newaxis]
        for step in range(steps):
            directions = rotations[:, step] @ directions
        return np.asarray((directions[:, :, 0] - ends[:, 1]).ravel())

    found = least_squares(residuals, np.eye(3).ravel(), method="lm", args=(values,))
    singular = np.linalg.svd(found.jac, compute_uv=False)
    freedom = 2 * len(turns) - 9  # a direction has two components; a variance of so few residuals is uncertain itself
    if singular[-1] < _WEAKEST * singular[0] or np.abs(found.x.reshape(3, 3) - np.eye(3)).max() > _PRIOR_SCALE:
        return None
    inverse = np.linalg.inv(found.jac.T @ found.jac)
    # Errors of bias and sensitivity are common to all turns, so that the residuals do not show them.
    errors = np.linalg.cholesky(gyro.covariance).T
    shifts = np.array([residuals(found.x, values + error.reshape(3, -1)) - found.fun for error in errors])
    common = inverse @ found.jac.T @ shifts.T
    covariance = inverse * float(found.fun @ found.fun) / (freedom - 2) + common @ common.T
    return found.x.reshape(3, 3), np.sqrt(np.diag(covariance)).reshape(3, 3)


def _turns(
    log: MotionLog, parts: Sequence[Part], accelerometer: SensorCalibration
) -> list[tuple[FloatArray, FloatArray, tuple[Part, Part]]]:
    """Return rates, and 1 and the specific forces, multiplied by the steps of time, and both rests of each turn."""
    if log.rate is None or log.force is None:
        return []
    forces = (log.force - accelerometer.bias) @ accelerometer.matrix.T
    columns = np.column_stack([log.rate, np.ones(len(forces)), forces])
    limit_s = 1.5 * float(np.median(np.diff(log.times_s)))
    turns = []
    for before, after in pairwise([part for part in parts if part.log == log.name]):
        inside = (log.times_s >= before.end_s) & (log.times_s <= after.start_s)
        dt_s = np.diff(log.times_s[inside])
        if len(dt_s) and dt_s.max() < limit_s and dt_s.min() >= 0.0:
            steps = (columns[inside][1:] + columns[inside][:-1]) / 2.0 * dt_s[:, np.newaxis]
            turns.append((steps[:, :3], steps[:, 3:], (before, after)))
    return turns


def _is_determined(design: FloatArray) -> bool:
    """Return True if a design with specific forces determines the sensitivity to them."""
    lengths = np.maximum(np.linalg.norm(design, axis=0), np.finfo(float).tiny)
    weakest = np.linalg.svd(design / lengths, compute_uv=False)[-1]
    return len(design) > design.shape[1] and bool(weakest > _WEAKEST)


def _solve(
    design: FloatArray, readings: FloatArray, variances: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[float, int, FloatArray]]:
    """Solve readings = design @ values.T by axis; return values (3, p), covariances (3, p, p) and the fit."""
    values, covariances = [], []
    for column, variance in zip(readings.T, variances.T, strict=True):
        rows = design / np.sqrt(variance)[:, np.newaxis]
        covariance = np.linalg.inv(rows.T @ rows)
        values.append(covariance @ rows.T @ (column / np.sqrt(variance)))
        covariances.append(covariance)
    residuals = readings - design @ np.array(values).T
    chi_square = float((residuals**2 / variances).sum())
    freedom = residuals.size - 3 * design.shape[1]
    return (
        np.array(values),
        np.array(covariances) * _inflation(chi_square, freedom),
        (chi_square, freedom, residuals),
    )


def _block_diagonal(blocks: FloatArray) -> FloatArray:
    count, size, _ = blocks.shape
    whole = np.zeros((count * size, count * size))
    for index, block in enumerate(blocks):
        whole[index * size : (index + 1) * size, index * size : (index + 1) * size] = block
    return whole


@dataclass(frozen=True, slots=True)
class KnownRate:
    """Rate of a turntable during a part of a log: about an axis of the unit (0 to 2), rad/s, from and to a time, s."""

    start_s: float
    end_s: float
    axis: int
    rate: float


def turning_parts(log: MotionLog, rates: Sequence[KnownRate]) -> list[Part]:
    """Return the parts of a log with known rates.

    Raises:
        CalibrationError: the log has no gyro, a part is not in it, or its rate is not constant, or is saturated.
    """
    if log.rate is None:
        raise CalibrationError(f"{log.name}: contains no angular rates")
    windows = _windows(log)
    sigma = _noise(windows.readings.var(axis=1, ddof=1), windows.step)
    parts = []
    for known in rates:
        inside = (windows.times_s[:, 0] >= known.start_s) & (windows.times_s[:, 1] <= known.end_s)
        indices = np.flatnonzero(inside)
        times = f"{known.start_s:g} s to {known.end_s:g} s"
        if len(indices) < 3:
            raise CalibrationError(
                f"{log.name}: has less than three windows of {_WINDOW_S:g} s from {times}; its readings are from "
                f"{log.times_s[0]:.1f} s to {log.times_s[-1]:.1f} s"
            )
        _require_range(log, windows, indices, sigma)
        part = _part(log, windows, indices)
        spread = float(part.rate[:, known.axis].std()) if part.rate is not None else 0.0
        if spread > max(3.0 * sigma[-3 + known.axis], 0.02 * abs(known.rate)):
            raise CalibrationError(
                f"{log.name}: the rate about {AXES[known.axis]} varies by {math.degrees(spread):.3g} deg/s from "
                f"{times}; name only the time when the table turns at the constant rate"
            )
        parts.append(part)
    return parts


def calibrate_gyro(parts: Sequence[Part], rates: Sequence[KnownRate], latitude_deg: float | None) -> SensorCalibration:
    """Return bias, matrix and, if the positions differ enough, sensitivity to specific force of the gyro.

    The parameters are, for each axis, the bias, its reading per rate about x, y and z, and per specific force.

    Raises:
        CalibrationError: rates are missing, or the readings contradict them.
    """
    true = np.zeros((len(rates), 3))
    for row, known in zip(true, rates, strict=True):
        row[known.axis] = known.rate
    missing = [AXES[axis] for axis in range(3) if np.ptp([k.rate for k in rates if k.axis == axis] or [0.0]) == 0.0]
    if missing:
        raise CalibrationError(
            f"the rates do not determine the axis {', '.join(missing)}: name two different rates about each axis, such "
            "as 50 and -50 deg/s"
        )
    means, variances = _means([part.rate for part in parts if part.rate is not None])
    design = np.column_stack([np.ones(len(true)), true])
    earth_variance: FloatArray | float = EARTH_RATE_RAD_S**2 / 3.0
    if all(part.force is not None for part in parts):
        forces = np.array([np.mean(part.force, axis=0) for part in parts if part.force is not None])
        if latitude_deg is not None:
            vertical = EARTH_RATE_RAD_S * math.sin(math.radians(latitude_deg))
            means = means - vertical * forces / np.linalg.norm(forces, axis=1)[:, np.newaxis]
            # The horizontal part averages out about a vertical axis that turns.
            earth_variance = 0.0 if true.any(axis=1).all() else earth_variance
        extended = np.column_stack([design, forces])
        if _is_determined(extended):
            design = extended
    if len(design) <= design.shape[1]:
        raise CalibrationError(
            f"{len(design)} rates are too few; name at least {design.shape[1] + 1}, such as 50, 0 and -50 deg/s about "
            "each axis"
        )
    values, covariance, (chi_square, freedom, residuals) = _solve(design, means, variances + earth_variance)
    response = values[:, 1:4]
    if np.abs(response - np.eye(3)).max() > _PRIOR_SCALE / 2.0:
        axis, other = np.unravel_index(np.argmax(np.abs(response - np.eye(3))), (3, 3))
        raise CalibrationError(
            f"a rate of 1 about {AXES[other]} is read as {response[axis, other]:.3g} about {AXES[axis]}; check the "
            "axes, signs, units (deg/s) and times of the rates"
        )
    matrix = np.asarray(np.linalg.inv(response), np.float64)
    whole = _block_diagonal(covariance[:, 1:4, 1:4])
    kernel = np.kron(matrix, matrix.T)
    matrix_sigma = np.sqrt(np.diag(kernel @ whole @ kernel.T)).reshape(3, 3)
    sigmas = np.sqrt(np.array([np.diag(block) for block in covariance]))
    largest = [max(abs(known.rate) for known in rates if known.axis == axis) for axis in range(3)]
    own = [[abs(residuals[k, axis]) for k, known in enumerate(rates) if known.axis == axis] for axis in range(3)]
    has_g = design.shape[1] > 4
    return SensorCalibration(
        bias=values[:, 0],
        bias_sigma=sigmas[:, 0],
        matrix=matrix,
        matrix_sigma=matrix_sigma,
        parameters=values.ravel(),
        covariance=_block_diagonal(covariance),
        chi_square=chi_square,
        freedom=freedom,
        residuals=residuals,
        g_sensitivity=values[:, 4:] if has_g else None,
        g_sensitivity_sigma=sigmas[:, 4:] if has_g else None,
        nonlinearity_ppm=1e6 * np.array([max(part) for part in own]) / np.array(largest),
    )


@dataclass(frozen=True, slots=True)
class TemperatureModel:
    """Polynomial of a sensor's readings at rest over temperature: sum of coefficients[k] * (T - reference)^k.

    Attributes:
        reference_degc: reference temperature, °C.
        range_degc: lowest and highest temperature, °C.
        coefficients, sigmas: SI per °C^k, (order + 1, 3); higher orders of an axis that does not need them are 0.
        residual: standard deviation of the residuals of windows, SI, (3,).
        hysteresis: largest difference between the means of the residuals while heating and while cooling, (3,); None
            if the run does not contain both.
    """

    reference_degc: float
    range_degc: tuple[float, float]
    coefficients: FloatArray
    sigmas: FloatArray
    residual: FloatArray
    hysteresis: FloatArray | None


_TEMPERATURE_BINS: Final = 10
_BIN_WINDOWS: Final = 5
_LOOP_SHARE: Final = 0.1
_TEMPERATURE_WINDOWS: Final = 400


def calibrate_temperature(log: MotionLog, temperature: str, order: int | None) -> dict[str, TemperatureModel]:
    """Return the polynomials of the sensors, by `rate` and `force`, over a temperature of the log.

    Args:
        log: readings at rest.
        temperature: name of the temperature; "" for the first.
        order: order of the polynomials; None: the highest whose coefficient is significant, at most 4.

    Raises:
        CalibrationError: the temperature is missing or hardly changes, or the unit moves.
    """
    if not log.temperatures:
        raise CalibrationError(f"{log.name}: contains no temperature; log a packet that does")
    name = temperature or next(iter(log.temperatures))
    if name not in log.temperatures:
        raise CalibrationError(f"{log.name}: contains no {name!r}; choose from {', '.join(log.temperatures)}")
    windows = _windows(log)
    variances = windows.readings.var(axis=1, ddof=1)
    limit = np.maximum(_STILL_VARIANCE * _noise(variances, windows.step) ** 2, 0.25 * windows.step**2)
    still = (variances <= limit).all(axis=1)
    if still.mean() < 0.9:
        raise CalibrationError(
            f"{log.name}: the unit moves or is shaken in {100 * (1 - still.mean()):.0f} % of the log; let it rest"
        )
    count, size = windows.readings.shape[:2]
    degrees = log.temperatures[name][: count * size].reshape(count, size).mean(axis=1)[still]
    means = windows.means[still]
    group = max(1, len(means) // _TEMPERATURE_WINDOWS)
    usable = len(means) // group * group
    degrees = degrees[:usable].reshape(-1, group).mean(axis=1)
    means = means[:usable].reshape(len(degrees), group, -1).mean(axis=1)
    if np.ptp(degrees) < _LEAST_RANGE_DEGC:
        raise CalibrationError(
            f"{log.name}: {name} changes only by {np.ptp(degrees):.2g} °C; at least {_LEAST_RANGE_DEGC:g} °C are needed"
        )
    if len(degrees) < 5 * ((order or _HIGHEST_ORDER) + 1):
        raise CalibrationError(f"{log.name}: {len(degrees)} windows are too few for a polynomial; log for longer")
    models = {}
    if log.force is not None:
        models["force"] = _temperature_model(degrees, means[:, :3], order)
    if log.rate is not None:
        models["rate"] = _temperature_model(degrees, means[:, -3:], order)
    return models


def _temperature_model(degrees: FloatArray, readings: FloatArray, order: int | None) -> TemperatureModel:
    reference = float(round((degrees.min() + degrees.max()) / 2.0))
    highest = _HIGHEST_ORDER if order is None else order
    coefficients, sigmas = np.zeros((highest + 1, 3)), np.zeros((highest + 1, 3))
    residuals, loop = np.empty_like(readings), _loop(degrees)
    for axis, column in enumerate(readings.T):
        for tried in range(highest, -1, -1):
            values, covariance, residuals[:, axis] = _polynomial(degrees - reference, column, tried, loop)
            if order is not None or tried == 0 or abs(values[-1]) > 3.0 * math.sqrt(covariance[-1, -1]):
                break
        coefficients[: len(values), axis], sigmas[: len(values), axis] = values, np.sqrt(np.diag(covariance))
    needed = max(1, int(np.flatnonzero(sigmas.any(axis=1))[-1]) + 1)
    return TemperatureModel(
        reference_degc=reference,
        range_degc=(float(degrees.min()), float(degrees.max())),
        coefficients=coefficients[:needed],
        sigmas=sigmas[:needed],
        residual=residuals.std(axis=0),
        hysteresis=_hysteresis(degrees, residuals),
    )


def _polynomial(
    offsets: FloatArray, readings: FloatArray, order: int, loop: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return coefficients, their covariance and the residuals; correlated residuals increase the covariance.

    Args:
        offsets: temperatures from the reference, (n,).
        readings: readings, (n,).
        order: order of the polynomial.
        loop: shape of a hysteresis, (n,), which is estimated too, but is part of the residuals; None without.
    """
    scale = float(np.abs(offsets).max())
    powers = np.arange(order + 1)
    design = (offsets / scale)[:, np.newaxis] ** powers
    if loop is not None:
        design = np.column_stack([design, loop])
    inverse = np.linalg.inv(design.T @ design)
    values = inverse @ design.T @ readings
    noise = readings - design @ values
    square = max(float(noise @ noise), np.finfo(float).tiny)
    correlation = min(max(0.0, float(noise[1:] @ noise[:-1]) / square), 0.98)
    variance = square / (len(readings) - design.shape[1]) * (1.0 + correlation) / (1.0 - correlation)
    unscaled = np.diag(scale ** -powers.astype(np.float64))
    size = order + 1
    residuals = readings - design[:, :size] @ values[:size]
    return unscaled @ values[:size], unscaled @ inverse[:size, :size] @ unscaled * variance, residuals


def _is_heating(degrees: FloatArray) -> NDArray[np.bool_]:
    smoothed = np.convolve(np.pad(degrees, 4, "edge"), np.full(9, 1.0 / 9.0), "valid")
    return np.asarray(np.gradient(smoothed) > 0.0)


def _loop(degrees: FloatArray) -> FloatArray | None:
    """Return an ellipse over the temperature, positive while heating; None unless the run heats and cools."""
    is_heating = _is_heating(degrees)
    if not _LOOP_SHARE < is_heating.mean() < 1.0 - _LOOP_SHARE:
        return None
    position = 2.0 * (degrees - degrees.min()) / np.ptp(degrees) - 1.0
    return np.asarray(np.where(is_heating, 1.0, -1.0) * np.sqrt(np.maximum(0.0, 1.0 - position**2)))


def _hysteresis(degrees: FloatArray, residuals: FloatArray) -> FloatArray | None:
    """Return the largest difference between heating and cooling at the same temperature, (3,)."""
    is_heating = _is_heating(degrees)
    edges = np.linspace(degrees.min(), degrees.max(), _TEMPERATURE_BINS + 1)[1:-1]
    bins = np.digitize(degrees, edges)
    differences = [
        residuals[(bins == number) & is_heating].mean(axis=0) - residuals[(bins == number) & ~is_heating].mean(axis=0)
        for number in range(_TEMPERATURE_BINS)
        if min(np.sum((bins == number) & is_heating), np.sum((bins == number) & ~is_heating)) >= _BIN_WINDOWS
    ]
    return np.asarray(np.abs(differences).max(axis=0)) if len(differences) > 1 else None
