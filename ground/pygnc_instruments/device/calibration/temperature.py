"""Biases of a unit at rest over its temperature."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc_instruments.device.calibration.fit import CalibrationError
from pygnc_instruments.device.calibration.parts import STILL_VARIANCE, noise_of, windows_of
from pygnc_instruments.device.columns import BLOCK, FloatArray, Part, blocks
from pygnc_instruments.device.sensor_log import MotionLog

_HIGHEST_ORDER: Final = 4
_LEAST_RANGE_DEGC: Final = 5.0
_TEMPERATURE_BINS: Final = 10
_BIN_WINDOWS: Final = 5
_LOOP_SHARE: Final = 0.1
_TEMPERATURE_WINDOWS: Final = 400


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
    windows = windows_of(log)
    variances = windows.variances
    limit = np.maximum(STILL_VARIANCE * noise_of(variances, windows.step) ** 2, 0.25 * windows.step**2)
    still = np.all(variances <= limit, axis=1)
    if still.mean() < 0.9:
        raise CalibrationError(
            f"{log.name}: the unit moves or is shaken in {100 * (1 - still.mean()):.0f} % of the log; let it rest"
        )
    in_windows = Part(log.temperatures[name], 0, len(still) * windows.size)
    blocks_degc = blocks(in_windows, BLOCK // windows.size * windows.size)
    degrees = np.concatenate([block.reshape(-1, windows.size).mean(axis=1) for block in blocks_degc])[still]
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
