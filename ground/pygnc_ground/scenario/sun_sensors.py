"""Light on the six faces: the Sun by the cosine law, and the Earth. The OPT3001's range and steps are the format's.

Sunlight that the Earth throws on plates in orbit around it: a Lambert sphere, integrated over its visible lit part.

A surface element dA that sees the Sun at the zenith angle s has the luminance rho E cos(s) / pi, whatever the direction
(Lambert). A plate with the normal n that sees it in the direction d at the distance D, under the emission angle e, gets

    rho E / pi * max(cos s, 0) * max(n . d, 0) * cos(e) / D^2 dA

from it. The Earth is a sphere of the radius that its shadow has, so none of this light reaches the umbra.
"""

from typing import Final

import brahe
import numpy as np

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import SunSensors

_RINGS: Final = 12
"""Around the point below the satellite, from it to the horizon."""
_SECTORS: Final = 32
"""Of each ring. From 400 km up, this grid is off by at most 0.0005 and typically 0.0001 of full sunlight."""
_SAMPLES_AT_ONCE: Final = 256
"""Keeps the memory for their grids below 20 MB."""


def albedo_shares(position_m: FloatArray, sun_m: FloatArray, normals: FloatArray) -> FloatArray:
    """Light on plates from an Earth that reflects all, as a share of sunlight at normal incidence.

    Args:
        position_m: The satellite's geocentric positions, outside the Earth, shape (n, 3).
        sun_m: Directions to the Sun, of any length, shape (n, 3).
        normals: The plates' unit normals, shape (m, 3).

    All are in the same axes. Returns shape (n, m).
    """
    shares = np.zeros((len(position_m), len(normals)))
    for first in range(0, len(position_m), _SAMPLES_AT_ONCE):
        block = slice(first, first + _SAMPLES_AT_ONCE)
        shares[block] = _block_shares(position_m[block], sun_m[block], normals)
    return shares


def _block_shares(position_m: FloatArray, sun_m: FloatArray, normals: FloatArray) -> FloatArray:
    # Lengths in Earth radii; z up at the satellite, the Sun in the xz plane on the side of x.
    distance = np.linalg.norm(position_m, axis=1)[:, np.newaxis, np.newaxis] / brahe.R_EARTH
    axes = _axes(position_m, sun_m)
    sun = np.einsum("nij,nj->ni", axes, sun_m / np.linalg.norm(sun_m, axis=1, keepdims=True))
    nodes, weights = np.polynomial.legendre.leggauss(_RINGS)
    # The integrand is flattest over the logarithm of what is apart, from the point below to the horizon.
    nearest, farthest = np.log(distance - 1.0), 0.5 * np.log(distance**2 - 1.0)
    apart2 = np.exp(2.0 * (nearest + (farthest - nearest) * 0.5 * (1.0 + nodes[:, np.newaxis])))
    up = (1.0 + distance**2 - apart2) / (2.0 * distance)
    area = apart2 / distance * (farthest - nearest) * 0.5 * weights[:, np.newaxis] * 2.0 * np.pi / _SECTORS
    azimuth = 2.0 * np.pi * (np.arange(_SECTORS) + 0.5) / _SECTORS
    aside = np.sqrt(1.0 - up**2)
    x, y = aside * np.cos(azimuth), aside * np.sin(azimuth)

    sunlight = np.maximum(x * sun[:, 0, np.newaxis, np.newaxis] + up * sun[:, 2, np.newaxis, np.newaxis], 0.0)
    # cos(e) is (distance * up - 1) over what is apart, and the direction is not yet a unit vector either.
    luminance = sunlight * (area * (distance * up - 1.0) / apart2**2 / np.pi)
    towards = np.stack((x, y, np.broadcast_to(up - distance, x.shape)), axis=-1)
    count, grid = len(position_m), _RINGS * _SECTORS
    cosine = np.maximum(towards.reshape(count, grid, 3) @ (axes @ normals.T), 0.0)
    shares: FloatArray = np.einsum("ng,ngm->nm", luminance.reshape(count, grid), cosine)
    return shares


def _axes(position_m: FloatArray, sun_m: FloatArray) -> FloatArray:
    """Rows: towards the Sun along the horizon, the third direction, up; shape (n, 3, 3)."""
    up = position_m / np.linalg.norm(position_m, axis=1, keepdims=True)
    side = np.cross(up, sun_m)
    length = np.linalg.norm(side, axis=1, keepdims=True)
    overhead = length <= 1e-12 * np.linalg.norm(sun_m, axis=1, keepdims=True)
    # With the Sun overhead or below, any direction along the horizon will do.
    side = np.where(overhead, np.cross(up, np.roll(up, 1, axis=1)), side)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    return np.stack((np.cross(side, up), side, up), axis=1)


_AU_M = 149_597_870_700.0

FACE_NORMALS_BODY = np.vstack((np.eye(3), -np.eye(3)))
"""+X, +Y, +Z, -X, -Y, -Z, the order of the sense record."""


def face_lux(
    sensors: SunSensors, sun_body_m: FloatArray, position_body_m: FloatArray, sunlit_fraction: FloatArray, seed: int
) -> FloatArray:
    """Illuminance that the sensor on each face would show if its range were larger, in lux, shape (n, 6).

    Args:
        sensors: Strength of sunlight, the Earth's reflectivity, errors of gain, noise.
        sun_body_m: Vector from the satellite to the Sun in body axes, shape (n, 3).
        position_body_m: Geocentric position of the satellite in body axes, shape (n, 3).
        sunlit_fraction: Visible part of the Sun's disc, shape (n,).
        seed: Of the scenario.
    """
    distance_m = np.linalg.norm(sun_body_m, axis=1, keepdims=True)
    full_lux = sensors.full_sun_lux * (_AU_M / distance_m) ** 2
    direct = sunlit_fraction[:, np.newaxis] * np.maximum(sun_body_m / distance_m @ FACE_NORMALS_BODY.T, 0.0)
    reflected = sensors.earth_reflectivity * albedo_shares(position_body_m, sun_body_m, FACE_NORMALS_BODY)
    shown = (1.0 + np.array(sensors.gain_errors)) * (direct + reflected)
    noise = noise_generator(seed, "sun sensors").standard_normal(shown.shape)
    noise *= sensors.noise_fraction * sunlit_fraction[:, np.newaxis]
    lux: FloatArray = np.maximum(full_lux * (shown + noise), 0.0)
    return lux
