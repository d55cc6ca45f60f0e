"""Sun sensors: illuminance of the six faces by direct sunlight and by the Earth's albedo.

Albedo: the Earth is a Lambert sphere, uniform or with clouds, integrated over its visible sunlit part. A surface
element dA that sees the Sun at the zenith angle s has the luminance rho E cos(s) / pi. A plate with the normal n that
sees the element in the direction d at the distance D and the emission angle e receives
rho E / pi * max(cos s, 0) * max(n . d, 0) * cos(e) / D^2 dA.
The sphere has the radius of the Earth's shadow, so the umbra receives no albedo. The file format clips and quantises
the readings as the OPT3001 does.
"""

from typing import Final

import numpy as np

from pygnc_ground.scenario.clouds import Clouds
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.reference import brahe
from pygnc_ground.scenario.sensor_settings import SunSensors
from pygnc_ground.scenario.settings import noise_generator
from pygnc_ground.scenario.temperature import lagged

_RINGS: Final = 12
"""Rings of the integration grid from the subsatellite point to the horizon."""
_SECTORS: Final = 32
"""Sectors of each ring. Above 400 km, the grid error is at most 0.0005 and typically 0.0001 of full sunlight."""
_SAMPLES_AT_ONCE: Final = 256
"""Samples per block; limits the memory of the grids to 20 MB, and to 40 MB with clouds."""


def albedo_shares(
    position_m: FloatArray, sun_m: FloatArray, normals: FloatArray, clouds: Clouds | None = None
) -> FloatArray:
    """Return the illuminance of plates by an Earth of mean reflectivity 1, relative to sunlight at normal incidence.

    Args:
        position_m: Geocentric positions of the satellite, outside the Earth, shape (n, 3).
        sun_m: Directions to the Sun, of any length, shape (n, 3).
        normals: Unit normals of the plates, shape (m, 3), in the same axes.
        clouds: Reflectivity around the n positions; uniform without.

    Returns:
        Shape (n, m).
    """
    shares = np.zeros((len(position_m), len(normals)))
    for first in range(0, len(position_m), _SAMPLES_AT_ONCE):
        block = slice(first, first + _SAMPLES_AT_ONCE)
        axes = _axes(position_m[block], sun_m[block])
        light, towards, places = _luminance(position_m[block], sun_m[block], axes)
        if clouds is not None:
            light *= clouds.brightness(block, axes, places)
        cosine = np.maximum(towards @ (axes @ normals.T), 0.0)
        shares[block] = np.einsum("ng,ngm->nm", light, cosine)
    return shares


def _luminance(
    position_m: FloatArray, sun_m: FloatArray, axes: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return light, vector from the satellite and unit vector from the Earth's centre of g elements, in `axes`.

    Shapes (n, g), (n, g, 3) and (n, g, 3). The product of light, vector and a plate's normal is the illuminance.
    """
    # Lengths are in Earth radii; z is up at the satellite, and the Sun is in the xz plane at positive x.
    distance = np.linalg.norm(position_m, axis=1)[:, np.newaxis, np.newaxis] / brahe.R_EARTH
    sun = np.einsum("nij,nj->ni", axes, sun_m / np.linalg.norm(sun_m, axis=1, keepdims=True))
    nodes, weights = np.polynomial.legendre.leggauss(_RINGS)
    # The integrand varies least over the logarithm of the distance, from the subsatellite point to the horizon.
    nearest, farthest = np.log(distance - 1.0), 0.5 * np.log(distance**2 - 1.0)
    distance2 = np.exp(2.0 * (nearest + (farthest - nearest) * 0.5 * (1.0 + nodes[:, np.newaxis])))
    up = (1.0 + distance**2 - distance2) / (2.0 * distance)
    area = distance2 / distance * (farthest - nearest) * 0.5 * weights[:, np.newaxis] * 2.0 * np.pi / _SECTORS
    azimuth = 2.0 * np.pi * (np.arange(_SECTORS) + 0.5) / _SECTORS
    horizontal = np.sqrt(1.0 - up**2)
    x, y = horizontal * np.cos(azimuth), horizontal * np.sin(azimuth)

    sunlight = np.maximum(x * sun[:, 0, np.newaxis, np.newaxis] + up * sun[:, 2, np.newaxis, np.newaxis], 0.0)
    # cos(e) is (distance * up - 1) / D, and `towards` is not normalised, which gives another factor of 1 / D.
    luminance = sunlight * (area * (distance * up - 1.0) / distance2**2 / np.pi)
    towards = np.stack((x, y, np.broadcast_to(up - distance, x.shape)), axis=-1)
    places = np.stack((x, y, np.broadcast_to(up, x.shape)), axis=-1)
    shape = (len(position_m), _RINGS * _SECTORS, 3)
    return luminance.reshape(shape[:2]), towards.reshape(shape), places.reshape(shape)


def _axes(position_m: FloatArray, sun_m: FloatArray) -> FloatArray:
    """Return the axes as rows, shape (n, 3, 3): horizontal towards the Sun, side, up."""
    up = position_m / np.linalg.norm(position_m, axis=1, keepdims=True)
    side = np.cross(up, sun_m)
    length = np.linalg.norm(side, axis=1, keepdims=True)
    overhead = length <= 1e-12 * np.linalg.norm(sun_m, axis=1, keepdims=True)
    # With the Sun at the zenith or nadir, any horizontal direction serves.
    side = np.where(overhead, np.cross(up, np.roll(up, 1, axis=1)), side)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    return np.stack((np.cross(side, up), side, up), axis=1)


_AU_M = 149_597_870_700.0

FACE_NORMALS_BODY = np.vstack((np.eye(3), -np.eye(3)))
"""Unit normals of +X, +Y, +Z, -X, -Y, -Z, the order of the sense record, body axes, shape (6, 3)."""


def face_response(
    sensors: SunSensors, t_s: FloatArray, sun_body_m: FloatArray, sunlit_fraction: FloatArray
) -> FloatArray:
    """Return the response of each face relative to that in darkness at the start, shape (n, 6).

    Times in seconds after the start ascend; at the first, each face is at the equilibrium of its temperature. Each face
    absorbs its own sunlight.
    """
    absorbed = sunlit_fraction[:, np.newaxis] * _cosines(sun_body_m)
    warmth = lagged(absorbed, t_s, sensors.face_time_constant_s, absorbed[0])
    steps_h = np.diff(t_s, prepend=t_s[:1])[:, np.newaxis] / 3600.0
    exposure_h = np.cumsum(steps_h * absorbed, axis=0)
    return np.asarray((1.0 + sensors.gain_thermal * warmth) * np.exp(-exposure_h * sensors.contamination_per_h))


def _cosines(sun_body_m: FloatArray) -> FloatArray:
    """Return the cosine of the angle of incidence on each face, 0 for light from behind; shapes (n, 3) -> (n, 6)."""
    direction = sun_body_m / np.linalg.norm(sun_body_m, axis=1, keepdims=True)
    return np.asarray(np.maximum(direction @ FACE_NORMALS_BODY.T, 0.0))


def face_lux(
    sensors: SunSensors,
    sun_body_m: FloatArray,
    position_body_m: FloatArray,
    sunlit_fraction: FloatArray,
    seed: int,
    *,
    response: FloatArray | float = 1.0,
    clouds: Clouds | None = None,
) -> FloatArray:
    """Return the illuminance of each face in lux, not limited by the sensor's range, shape (n, 6).

    Vectors lead from the satellite to the Sun and from the Earth's centre to the satellite, shape (n, 3) each; the
    visible fraction of the Sun's disc has shape (n,). Without `response`, (n, 6), that of each face is constant;
    without `clouds` the Earth is uniform.
    """
    distance_m = np.linalg.norm(sun_body_m, axis=1, keepdims=True)
    full_lux = sensors.full_sun_lux * (_AU_M / distance_m) ** 2
    cosine = _cosines(sun_body_m)
    direct = sunlit_fraction[:, np.newaxis] * cosine * (1.0 - sensors.cosine_error * (1.0 - cosine**2))
    reflected = sensors.earth_reflectivity * albedo_shares(position_body_m, sun_body_m, FACE_NORMALS_BODY, clouds)
    shown = (1.0 + np.array(sensors.gain_errors)) * response * (direct + reflected)
    noise = noise_generator(seed, "sun sensors").standard_normal(shown.shape)
    noise *= sensors.noise_fraction * sunlit_fraction[:, np.newaxis]
    lux: FloatArray = np.maximum(full_lux * (shown + noise), 0.0)
    return lux[:, [abs(face) - 1 + (3 if face < 0 else 0) for face in sensors.faces]]
