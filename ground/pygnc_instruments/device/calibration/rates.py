"""Calibration of a gyro by the known rates of a turntable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pygnc_instruments.device.calibration.fit import (
    AXES,
    EARTH_RATE_RAD_S,
    LARGEST_SCALE_ERROR,
    CalibrationError,
    SensorCalibration,
    block_diagonal,
    is_determined,
    means_of,
    solve,
)
from pygnc_instruments.device.calibration.parts import WINDOW_S, Part, noise_of, part_of, require_range, windows_of
from pygnc_instruments.device.columns import FloatArray
from pygnc_instruments.device.sensor_log import MotionLog


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
    windows = windows_of(log)
    sigma = noise_of(windows.variances, windows.step)
    parts = []
    for known in rates:
        inside = (windows.times_s[:, 0] >= known.start_s) & (windows.times_s[:, 1] <= known.end_s)
        indices = np.flatnonzero(inside)
        times = f"{known.start_s:g} s to {known.end_s:g} s"
        if len(indices) < 3:
            raise CalibrationError(
                f"{log.name}: has less than three windows of {WINDOW_S:g} s from {times}; its readings are from "
                f"{windows.times_s[0, 0]:.1f} s to {windows.times_s[-1, 1]:.1f} s"
            )
        require_range(log, windows, indices, sigma)
        part = part_of(log, windows, indices)
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
    means, variances = means_of([part.rate for part in parts if part.rate is not None])
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
        if is_determined(extended):
            design = extended
    if len(design) <= design.shape[1]:
        raise CalibrationError(
            f"{len(design)} rates are too few; name at least {design.shape[1] + 1}, such as 50, 0 and -50 deg/s about "
            "each axis"
        )
    values, covariance, (chi_square, freedom, residuals) = solve(design, means, variances + earth_variance)
    response = values[:, 1:4]
    if np.abs(response - np.eye(3)).max() > LARGEST_SCALE_ERROR:
        axis, other = np.unravel_index(np.argmax(np.abs(response - np.eye(3))), (3, 3))
        raise CalibrationError(
            f"a rate of 1 about {AXES[other]} is read as {response[axis, other]:.3g} about {AXES[axis]}; check the "
            "axes, signs, units (deg/s) and times of the rates"
        )
    matrix = np.asarray(np.linalg.inv(response), np.float64)
    whole = block_diagonal(covariance[:, 1:4, 1:4])
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
        covariance=block_diagonal(covariance),
        chi_square=chi_square,
        freedom=freedom,
        residuals=residuals,
        g_sensitivity=values[:, 4:] if has_g else None,
        g_sensitivity_sigma=sigmas[:, 4:] if has_g else None,
        nonlinearity_ppm=1e6 * np.array([max(part) for part in own]) / np.array(largest),
    )
