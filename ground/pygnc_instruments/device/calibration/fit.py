"""Result of a calibration, and the least squares that its methods share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc_instruments.device.columns import FloatArray
from pygnc_instruments.device.log_files import LogError

LARGEST_SCALE_ERROR: Final = 0.15
"""Largest error of a scale factor; larger ones are wrong units or axes."""
AXES: Final = "xyz"
EARTH_RATE_RAD_S: Final = 7.292115e-5
_SIGNIFICANT: Final = 2.3263
"""Standard deviations of a normal distribution that 1 % exceed."""
_DIFFERENCE: Final = 1e-6
"""Step of numerical derivatives, relative to the scale of the parameter."""
_CONVERGED: Final = 1e-9
"""Relative decrease of the sum of squares, or of the parameters, that ends a fit."""
_LEAST_DIAGONAL: Final = 1e-12
_MOST_DAMPING: Final = 1e12
_MOST_STEPS: Final = 100
WEAKEST: Final = 0.05
"""Smallest singular value, relative, of a design from which the sensitivity to acceleration is determined."""


class CalibrationError(LogError):
    """Error raised when the readings do not determine a calibration."""


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


class Minimum(NamedTuple):
    """Least sum of squares: parameters (p,), residuals (n,), and their derivatives (n, p)."""

    parameters: FloatArray
    residuals: FloatArray
    jacobian: FloatArray


def least_squares(residuals_of: Callable[[FloatArray], FloatArray], initial: FloatArray, scale: FloatArray) -> Minimum:
    """Minimise the sum of the squares of residuals by the method of Levenberg and Marquardt.

    SciPy's function of this name needs 45 MB, half of what a command may use.

    Args:
        residuals_of: returns the residuals, (n,), of parameters, (p,).
        initial: initial parameters.
        scale: magnitude of each parameter.
    """
    parameters: FloatArray = initial
    damping = 1e-3
    residuals = residuals_of(parameters)
    steps = np.diag(_DIFFERENCE * scale)
    for _ in range(_MOST_STEPS):
        differences = [residuals_of(parameters + step) - residuals_of(parameters - step) for step in steps]
        jacobian = np.array(differences).T / (2.0 * np.diag(steps))
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residuals
        diagonal = np.diag(normal)
        diagonal = np.diag(np.maximum(diagonal, max(_LEAST_DIAGONAL * diagonal.max(), np.finfo(float).tiny)))
        least = float(residuals @ residuals)
        change, tried = np.zeros_like(parameters), residuals
        while damping < _MOST_DAMPING:
            change = np.asarray(-np.linalg.solve(normal + damping * diagonal, gradient), np.float64)
            tried = residuals_of(parameters + change)
            if tried @ tried <= least:
                damping /= 10.0
                break
            damping *= 10.0
        else:
            break
        if np.abs(change / scale).max() < _CONVERGED or least - tried @ tried <= _CONVERGED * least:
            return Minimum(parameters + change, tried, jacobian)
        parameters, residuals = parameters + change, tried
    return Minimum(parameters, residuals, jacobian)


def means_of(windows: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return the means of the parts and their variances, (n, 3): those of their windows, of all parts together."""
    means = np.array([part.mean(axis=0) for part in windows])
    squares = sum(((part - part.mean(axis=0)) ** 2).sum(axis=0) for part in windows)
    freedom = sum(len(part) - 1 for part in windows)
    if freedom < len(AXES):
        raise CalibrationError("the parts at rest are too short; let the unit rest for at least 5 s in each position")
    variance = np.maximum(np.asarray(squares) / freedom, np.finfo(float).tiny)
    return means, variance / np.array([len(part) for part in windows])[:, np.newaxis]


def inflation(chi_square: float, freedom: int) -> float:
    """Return the factor of the covariance that explains residuals larger than the noise; 1 if they are not."""
    if freedom == 0:
        return 1.0
    # Limit that 1 % exceed, by Wilson and Hilferty: within 1 %.
    spread = 2.0 / (9.0 * freedom)
    is_explained = chi_square <= freedom * (1.0 - spread + _SIGNIFICANT * spread**0.5) ** 3
    return 1.0 if is_explained else chi_square / freedom


def is_determined(design: FloatArray) -> bool:
    """Return True if a design with specific forces determines the sensitivity to them."""
    lengths = np.maximum(np.linalg.norm(design, axis=0), np.finfo(float).tiny)
    weakest = np.linalg.svd(design / lengths, compute_uv=False)[-1]
    return len(design) > design.shape[1] and bool(weakest > WEAKEST)


def solve(
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
        np.array(covariances) * inflation(chi_square, freedom),
        (chi_square, freedom, residuals),
    )


def block_diagonal(blocks: FloatArray) -> FloatArray:
    """Return square blocks, (n, k, k), as the diagonal of a matrix, (n k, n k)."""
    count, size, _ = blocks.shape
    whole = np.zeros((count * size, count * size))
    for index, block in enumerate(blocks):
        whole[index * size : (index + 1) * size, index * size : (index + 1) * size] = block
    return whole
