"""Calibration of an accelerometer and a gyro by positions at rest and the turns between them.

Source: Tedaldi, Pretto and Menegatti, "A robust and easy to implement method for IMU calibration without external
equipments", ICRA 2014; WGS 84 (NIMA TR8350.2, chapter 4) for gravity.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from pygnc_instruments.device.calibration.fit import (
    AXES,
    EARTH_RATE_RAD_S,
    LARGEST_SCALE_ERROR,
    WEAKEST,
    CalibrationError,
    SensorCalibration,
    block_diagonal,
    inflation,
    is_determined,
    least_squares,
    means_of,
    solve,
)
from pygnc_instruments.device.calibration.parts import Part
from pygnc_instruments.device.columns import FloatArray, usual_step
from pygnc_instruments.device.sensor_log import MotionLog

_GRAVITY: Final = 9.8
_TOWARDS: Final = 0.7
"""Component of gravity, relative, of a position along an axis."""
_PRIOR_BIAS: Final = 0.3
_PRIOR_SCALE: Final = 0.3
_PRIOR_SHEAR: Final = 0.01
"""Standard deviations of bias/g, scale factor and non-orthogonality before the readings."""
_DETERMINED: Final = 0.003
"""Largest standard deviation of bias/g and scale factor of a calibration."""
_LARGEST_RESIDUAL: Final = 0.005
_FEWEST_TURNS: Final = 9
_LONGEST_TURN_S: Final = 60.0
"""Duration from which on a motion between two positions is not used: its noise adds up to more than its turn tells."""
_STEPS: Final = 256
"""Steps of all turns whose rotations are computed at once."""


def gravity_mps2(latitude_deg: float, height_m: float) -> float:
    """Return the normal gravity of WGS 84 at a latitude and height above the ellipsoid, m/s²."""
    square = math.sin(math.radians(latitude_deg)) ** 2
    surface = 9.7803253359 * (1.0 + 0.00193185265241 * square) / math.sqrt(1.0 - 0.00669437999013 * square)
    flattening, radius_m, ratio = 1.0 / 298.257223563, 6378137.0, 0.00344978650684
    slope = 2.0 / radius_m * (1.0 + flattening + ratio - 2.0 * flattening * square)
    return surface * (1.0 - slope * height_m + 3.0 * (height_m / radius_m) ** 2)


def calibrate_accelerometer(parts: Sequence[Part], gravity: float) -> SensorCalibration:
    """Return bias, scale factors and non-orthogonality by the specific forces at rest.

    The parameters are the bias, the diagonal of the matrix less 1, and its elements xy, xz and yz.

    Raises:
        CalibrationError: positions are missing, or the residuals contradict the model.
    """
    windows = [part.force for part in parts if part.force is not None]
    if not windows:
        raise CalibrationError("the logs contain no position at rest with specific forces; let the unit rest for 5 s")
    means, variances = means_of(windows)
    prior = np.repeat([_PRIOR_BIAS * _GRAVITY, _PRIOR_SCALE, _PRIOR_SHEAR], 3)

    def corrected(parameters: FloatArray) -> FloatArray:
        return np.asarray((means - parameters[:3]) @ _matrix(parameters).T)

    def residuals(parameters: FloatArray) -> FloatArray:
        forces = corrected(parameters)
        lengths = np.linalg.norm(forces, axis=1)
        gradients = forces / lengths[:, np.newaxis] @ _matrix(parameters)
        sigmas = np.sqrt((gradients**2 * variances).sum(axis=1))
        return np.concatenate([(lengths - gravity) / sigmas, parameters / prior])

    best, fit_residuals, jacobian = least_squares(residuals, np.zeros(9), prior)
    covariance: FloatArray = np.asarray(np.linalg.inv(jacobian.T @ jacobian), np.float64)
    sigmas = np.sqrt(np.diag(covariance))
    forces = corrected(best)
    relative = np.concatenate([sigmas[:3] / gravity, sigmas[3:6]])
    _require_positions(forces / gravity, relative)
    errors = np.linalg.norm(forces, axis=1) - gravity
    if np.sqrt(np.mean(errors**2)) > _LARGEST_RESIDUAL * gravity:
        worst = parts[int(np.argmax(np.abs(errors)))]
        raise CalibrationError(
            f"the positions contradict each other: {np.abs(errors).max():.3g} m/s² at {worst.start_s:.1f} s of "
            f"{worst.log}; the unit moved there, or a log belongs to another unit"
        )
    if np.abs(best[3:6]).max() > LARGEST_SCALE_ERROR:
        raise CalibrationError(
            f"the scale factors differ from 1 by up to {100 * np.abs(best[3:6]).max():.0f} %; check --gravity and "
            "the unit of the readings"
        )
    chi_square = float(np.square(fit_residuals[: len(means)]).sum())
    # The parameters that only their prior determines use no reading.
    freedom = max(0, len(means) - 6 - int((sigmas[6:] < 0.5 * _PRIOR_SHEAR).sum()))
    covariance = np.asarray(covariance * inflation(chi_square, freedom), np.float64)
    sigmas = np.sqrt(np.diag(covariance))
    matrix_sigma = _matrix(sigmas) - np.eye(3)
    return SensorCalibration(
        best[:3], sigmas[:3], _matrix(best), matrix_sigma, best, covariance, chi_square, freedom, errors
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
    means, variances = means_of([part.rate for part in parts if part.rate is not None])
    forces = (
        np.array([np.mean(part.force, axis=0) for part in parts if part.force is not None]) - force_bias
    ) @ matrix.T
    up, earth_variance = forces / np.linalg.norm(forces, axis=1)[:, np.newaxis], EARTH_RATE_RAD_S**2 / 3.0
    if latitude_deg is not None:
        latitude = math.radians(latitude_deg)
        means = means - EARTH_RATE_RAD_S * math.sin(latitude) * up
        earth_variance = (1.0 - up**2) * (EARTH_RATE_RAD_S * math.cos(latitude)) ** 2 / 2.0
    design = np.column_stack([np.ones(len(means)), forces])
    has_g = is_determined(design)
    if not has_g:
        design = design[:, :1]
    values, covariance, (chi_square, freedom, residuals) = solve(design, means, variances + earth_variance)
    sigmas = np.sqrt(np.array([np.diag(block) for block in covariance]))
    return SensorCalibration(
        bias=values[:, 0],
        bias_sigma=sigmas[:, 0],
        matrix=np.eye(3),
        matrix_sigma=np.zeros((3, 3)),
        parameters=values.ravel(),
        covariance=block_diagonal(covariance),
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
    pairs = [pair for _, pair in turns]
    if len(turns) < _FEWEST_TURNS:
        return None
    values = gyro.parameters.reshape(3, -1)  # bias, and sensitivity if it is known
    steps, size = max(len(columns) for columns, _ in turns), values.shape[1]
    angles, causes = np.zeros((len(turns), steps, 3)), np.zeros((len(turns), steps, size))
    for index, (columns, _) in enumerate(turns):
        angles[index, : len(columns)] = columns[:, :3]
        causes[index, : len(columns)] = columns[:, 3 : 3 + size]
    del turns  # as large as the arrays
    ends = np.array([[np.mean(part.force, axis=0) for part in pair] for pair in pairs])  # type: ignore[arg-type]
    ends = (ends - accelerometer.bias) @ accelerometer.matrix.T
    ends /= np.linalg.norm(ends, axis=2, keepdims=True)

    def residuals(parameters: FloatArray, bias: FloatArray) -> FloatArray:
        directions = ends[:, 0, :, np.newaxis]
        for start in range(0, steps, _STEPS):
            part = slice(start, start + _STEPS)
            vectors = causes[:, part] @ bias.T - angles[:, part]
            for rotation in rotations_by(vectors @ parameters.reshape(3, 3).T).swapaxes(0, 1):
                directions = rotation @ directions
        return np.asarray((directions[:, :, 0] - ends[:, 1]).ravel())

    best, fit_residuals, jacobian = least_squares(
        lambda parameters: residuals(parameters, values), np.eye(3).ravel(), np.ones(9)
    )
    singular = np.linalg.svd(jacobian, compute_uv=False)
    freedom = 2 * len(pairs) - 9  # a direction has two components; a variance of so few residuals is uncertain itself
    if singular[-1] < WEAKEST * singular[0] or np.abs(best.reshape(3, 3) - np.eye(3)).max() > _PRIOR_SCALE:
        return None
    inverse = np.linalg.inv(jacobian.T @ jacobian)
    # Errors of bias and sensitivity are common to all turns, so that the residuals do not show them.
    errors = np.linalg.cholesky(gyro.covariance).T
    shifts = np.array([residuals(best, values + error.reshape(3, -1)) - fit_residuals for error in errors])
    common = inverse @ jacobian.T @ shifts.T
    covariance = inverse * float(fit_residuals @ fit_residuals) / (freedom - 2) + common @ common.T
    return best.reshape(3, 3), np.sqrt(np.diag(covariance)).reshape(3, 3)


def rotations_by(vectors: FloatArray) -> FloatArray:
    """Return the rotation matrices, (..., 3, 3), of rotation vectors, rad, (..., 3), by the formula of Rodrigues."""
    angles = np.linalg.norm(vectors, axis=-1)[..., np.newaxis, np.newaxis]
    crosses = np.cross(vectors[..., np.newaxis, :], np.eye(3))
    half = np.sinc(angles / (2.0 * np.pi))
    return np.asarray(np.eye(3) - np.sinc(angles / np.pi) * crosses + 0.5 * half**2 * crosses @ crosses)


def _turns(
    log: MotionLog, parts: Sequence[Part], accelerometer: SensorCalibration
) -> list[tuple[FloatArray, tuple[Part, Part]]]:
    """Return rates, 1 and specific forces, multiplied by the steps of time, (n, 7), and both rests of each turn."""
    if log.rate is None or log.force is None:
        return []
    step_s = usual_step(log.times_s)
    turns = []
    for before, after in pairwise([part for part in parts if part.log == log.name]):
        inside = slice(before.stop - 1, after.first + 1)
        if (inside.stop - inside.start) * step_s > _LONGEST_TURN_S:
            continue
        dt_s = np.diff(log.times_s[inside])
        if len(dt_s) and dt_s.max() < 1.5 * step_s and dt_s.min() >= 0.0:
            forces = (log.force[inside] - accelerometer.bias) @ accelerometer.matrix.T
            columns = np.column_stack([log.rate[inside], np.ones(len(forces)), forces])
            turns.append(((columns[1:] + columns[:-1]) / 2.0 * dt_s[:, np.newaxis], (before, after)))
    return turns
