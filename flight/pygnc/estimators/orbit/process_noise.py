"""Process noise of the orbit dynamics over a step, as a square root of its covariance.

Four Gauss-Markov processes after Myers & Tapley (1976): the drag factor and the empirical acceleration along radial,
transverse and normal. White noise of density q drives each of them. The covariance of position, velocity and process
that it adds in a step is the integral of q g(s) g(s)' over the age s of the noise, with the response g to a unit
impulse. Gauss-Legendre quadrature with three nodes computes the integral, whose integrand is nearly a quartic. The
weighted responses at the nodes are the columns of a square root, so no Cholesky factorisation is needed. The effect of
the gravity gradient within a step is neglected (1e-4 of the noise at 30 s).

White acceleration noise represents the gravity field beyond the degree in use, by Kaula's rule.
"""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.orbit.settings import ProcessNoiseSettings
from pygnc.estimators.orbit.state import DRAG, SIZE

_NODES: Final = np.array((-math.sqrt(0.6), 0.0, math.sqrt(0.6)))
_WEIGHTS: Final = np.array((5.0, 8.0, 5.0)) / 9.0
_ACCELERATION_OF_POLE_MPS2: Final = 1.1
"""Coriolis acceleration, per radian, at 7.6 km/s in a frame that turns about a displaced axis."""
_SOURCES: Final = 4
"""Number of noise sources: drag factor, then empirical radial, transverse and normal acceleration, as in the state."""
_EACH_SOURCE: Final = np.eye(_SOURCES)[:, :, None]
_PROCESS_COLUMNS: Final = _SOURCES * len(_NODES)
_COLUMNS: Final = _PROCESS_COLUMNS + 6


def steady_sigma(noise: ProcessNoiseSettings) -> Array:
    """Return the steady-state standard deviations of log drag factor (1) and empirical accelerations (m/s^2), (4,)."""
    return np.array([noise.drag_log_sigma, *noise.empirical_sigma_mps2])


@lru_cache(maxsize=4)
def with_pole(noise: ProcessNoiseSettings, pole_sigma_rad: float) -> ProcessNoiseSettings:
    """Return the settings with the normal acceleration that a displaced pole of the Earth feigns in low orbits."""
    if pole_sigma_rad == 0.0:
        return noise
    radial, transverse, normal = noise.empirical_sigma_mps2
    feigned = _ACCELERATION_OF_POLE_MPS2 * pole_sigma_rad
    return replace(noise, empirical_sigma_mps2=(radial, transverse, math.hypot(normal, feigned)))


def decay(noise: ProcessNoiseSettings, step_s: float) -> Array:
    """Return the decay factors (0 to 1) of the four processes over `step_s` seconds, shape (4,)."""
    return np.exp(-step_s / _correlation_time_s(noise))


def sqrt_process_noise(
    noise: ProcessNoiseSettings,
    step_s: float,
    directions: Array,
    white_density: float,
    empirical_factor: float | Array,
) -> Array:
    """Return the square root W of the process noise covariance Q = W W' of a step, shape (..., 10, 18).

    Args:
        noise: Settings of the processes.
        step_s: Step length, s, positive.
        directions: Acceleration per unit of each process, GCRF, m/s^2, shape (3, 4); the first column is the drag.
        white_density: Power spectral density of white acceleration noise on each axis, in m^2/s^3.
        empirical_factor: Factors on the standard deviations of the empirical accelerations, any shape (...); each gives
            a root.
    """
    factor = np.asarray(empirical_factor)
    drag = directions[:, 0]
    variation = noise.density_variation / noise.empirical_sigma_mps2[1]
    transverse = np.sqrt(factor**2 + variation * variation * drag.dot(drag))
    amplitude = np.stack((np.ones_like(factor), factor, transverse, factor), axis=-1)
    response = amplitude[..., None, :, None] * _response(noise, step_s)
    root = np.zeros((*factor.shape, SIZE, _COLUMNS))
    moved = directions[:, :, None] * response[..., :2, None, :, :]
    root[..., :DRAG, :_PROCESS_COLUMNS] = moved.reshape(*factor.shape, 6, -1)
    each = _EACH_SOURCE * response[..., 2, None, :, :]
    root[..., DRAG:, :_PROCESS_COLUMNS] = each.reshape(*factor.shape, _SOURCES, -1)
    root[..., :DRAG, _PROCESS_COLUMNS:] = math.sqrt(white_density) * _sqrt_white_vectors(step_s)
    return root


def omitted_gravity_density(degree: int, radius_m: float) -> float:
    """Return the density in m^2/s^3, per axis, of the white noise that represents the gravity field beyond `degree`.

    Kaula's rule (1966) gives the size of the coefficients of degree l, 1e-5 / l^2. Along the orbit, degree l is
    correlated over the time 1 / (l n) with the mean motion n. The radius is rounded to 10 km to make caching useful.

    Within a step the noise has the size of the field. Over hours it is cautious: the field repeats in
    revolutions and hardly changes the energy, while noise accumulates. At 500 km, beyond degree 70, it gives 1.4 m
    along the track after 3 h, 10.5 m after 12 h and 30 m after a day; the field itself causes up to 0.5 m after 3 h and
    1.1 m after 12 h.
    """
    return _omitted_density(degree, round(radius_m, -4))


@lru_cache(maxsize=16)
def _omitted_density(degree: int, radius_m: float) -> float:
    mean_motion = math.sqrt(GM_EARTH_M3_S2 / radius_m**3)
    degrees = np.arange(degree + 1.0, degree + 151.0)
    coefficient = np.sqrt(2.0 * degrees + 1.0) * 1e-5 / degrees**2  # by Kaula's rule
    radial = GM_EARTH_M3_S2 / radius_m**2 * (degrees + 1.0) * (EARTH_RADIUS_M / radius_m) ** degrees * coefficient
    # The horizontal axes together have as much variance as the radial axis, so the mean of the three is two thirds.
    return float((2.0 / 3.0 * radial**2 * 2.0 / (degrees * mean_motion)).sum())


@lru_cache(maxsize=16)
def _sqrt_white_vectors(step_s: float) -> Array:
    """Return `sqrt_white_noise` for three axes: positions, then velocities, shape (6, 6)."""
    return np.asarray(np.kron(sqrt_white_noise(step_s), np.eye(3)), np.float64)


def sqrt_white_noise(step_s: float) -> Array:
    """Return the root (2, 2) of the covariance of position and velocity after white acceleration of unit density."""
    return np.array(((math.sqrt(step_s**3 / 12.0), 0.5 * math.sqrt(step_s**3)), (0.0, math.sqrt(step_s))))


@lru_cache(maxsize=16)
def _response(noise: ProcessNoiseSettings, step_s: float) -> Array:
    """Return weighted impulse responses (3, 4, 3): of position, velocity and process; by noise source; by node."""
    age_s = 0.5 * step_s * (1.0 + _NODES)
    time_s = _correlation_time_s(noise)[:, None]
    density = 2.0 * steady_sigma(noise)[:, None] ** 2 / time_s
    velocity_s = -time_s * np.expm1(-age_s / time_s)
    response = np.stack((time_s * (age_s - velocity_s), velocity_s, np.exp(-age_s / time_s)))
    return response * np.sqrt(density * (0.5 * step_s) * _WEIGHTS)


@lru_cache(maxsize=4)
def _correlation_time_s(noise: ProcessNoiseSettings) -> Array:
    return np.array([noise.drag_log_time_s, *[noise.empirical_time_s] * 3])
