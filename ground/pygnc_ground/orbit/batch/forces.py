"""The forces of the batch: the environment's models at their best, whatever the flight filter can afford of them.

Moments and with them Earth, Sun and Moon stay what they are while the orbit is improved, so they are computed once.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import cross_matrix
from pygnc.environment.atmosphere import harris_priester
from pygnc.environment.bodies import SunMoon, third_body_acceleration
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import DEGREE_MAX, gravity, gravity_and_gradient
from pygnc.environment.sunlight import radiation_pressure_acceleration
from pygnc.environment.tides import solid_tide_acceleration
from pygnc.estimators.orbit.settings import SpacecraftSettings
from pygnc_ground.orbit.solution import FloatArray, IntArray

_GRADIENT_DEGREE: Final = 20
"""Steers the convergence only; terms beyond change it by 1e-6 of itself."""

DRAG: Final = 0
EMPIRICAL: Final = slice(1, 4)
RADIATION: Final = 4
"""Columns of `Forces.by_parameter`: logarithm of the drag factor, empirical acceleration along radial, transverse and
normal, radiation coefficient."""


class Parameters(NamedTuple):
    """What scales the forces at n nodes."""

    log_drag: FloatArray
    """(n,)"""
    empirical_rtn_mps2: FloatArray
    """(n, 3)"""
    radiation_coefficient: float


class Forces(NamedTuple):
    """Accelerations in GCRF at n nodes, and their derivatives."""

    acceleration_mps2: FloatArray
    """(n, 3)"""
    by_position: FloatArray
    """(n, 3, 3), gravity and drag"""
    by_velocity: FloatArray
    """(n, 3, 3)"""
    by_parameter: FloatArray
    """(n, 3, 5)"""


class ForceModel:
    """Forces at n moments.

    Cost: 60 us per moment when made, 35 us per moment and call.
    """

    def __init__(self, gps_ms: IntArray, offset_s: FloatArray, frames: EarthFrames, craft: SpacecraftSettings) -> None:
        """Take the moments, `gps_ms` plus `offset_s`, each (n,)."""
        moments = list(zip(gps_ms.tolist(), offset_s, strict=True))
        attitudes = [frames.at(ms, np.array((offset,))) for ms, offset in moments]
        self._ecef_from_gcrf = np.array([attitude.ecef_from_gcrf[0] for attitude in attitudes])
        self._spin_rad_s = np.array([attitude.rotation_gcrf_rad_s for attitude in attitudes])
        self._spin_cross = np.array([cross_matrix(spin) for spin in self._spin_rad_s])
        sun_moon = SunMoon()
        bodies = np.array([np.concatenate(sun_moon.at(ms, float(offset))) for ms, offset in moments])
        self._sun_m, self._moon_m = bodies[:, :3], bodies[:, 3:]
        self._drag_area_per_mass = craft.drag_coefficient * craft.area_m2 / craft.mass_kg
        self._area_per_mass = craft.area_m2 / craft.mass_kg

    def at(self, states: FloatArray, parameters: Parameters) -> Forces:
        """Forces on a satellite that is in `states` (n, 6) at the n moments."""
        position_m, velocity_mps = states[:, :3], states[:, 3:]
        acceleration, by_position = self._earth(position_m)
        places = list(zip(position_m, self._sun_m, self._moon_m, strict=True))
        acceleration += np.array(
            [third_body_acceleration(*place) + solid_tide_acceleration(*place) for place in places]
        )
        by_parameter = np.empty((len(states), 3, 5))
        drag, drag_by_position, by_velocity = self._drag(position_m, velocity_mps, parameters.log_drag)
        by_parameter[:, :, DRAG] = drag
        by_parameter[:, :, EMPIRICAL] = rtn_axes(position_m, velocity_mps)
        by_parameter[:, :, RADIATION] = [
            radiation_pressure_acceleration(place_m, sun_m, self._area_per_mass) for place_m, sun_m, _ in places
        ]
        acceleration += drag + parameters.radiation_coefficient * by_parameter[:, :, RADIATION]
        acceleration += np.einsum("nij,nj->ni", by_parameter[:, :, EMPIRICAL], parameters.empirical_rtn_mps2)
        return Forces(acceleration, by_position + drag_by_position, by_velocity, by_parameter)

    def _earth(self, position_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        position_ecef_m = np.einsum("nij,nj->ni", self._ecef_from_gcrf, position_m)
        attraction = np.array([gravity(place, DEGREE_MAX) for place in position_ecef_m])
        gradient = np.array([gravity_and_gradient(place, _GRADIENT_DEGREE)[1] for place in position_ecef_m])
        inverse = self._ecef_from_gcrf.transpose(0, 2, 1)
        return np.einsum("nij,nj->ni", inverse, attraction), inverse @ gradient @ self._ecef_from_gcrf

    def _drag(
        self, position_m: FloatArray, velocity_mps: FloatArray, log_drag: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Drag against the atmosphere that turns with the Earth, and its derivatives by position and velocity."""
        wind_mps = velocity_mps - np.einsum("nij,nj->ni", self._spin_cross, position_m)
        speed_mps = np.linalg.norm(wind_mps, axis=1)
        pole = self._spin_rad_s / np.linalg.norm(self._spin_rad_s, axis=1, keepdims=True)
        places = zip(position_m, self._sun_m, pole, strict=True)
        densities, gradients = zip(*[harris_priester(*place) for place in places], strict=True)
        density, gradient = np.array(densities), np.array(gradients)
        strength = -0.5 * self._drag_area_per_mass * speed_mps * np.exp(log_drag)
        drag = (strength * density)[:, None] * wind_mps
        by_velocity = (strength * density)[:, None, None] * np.eye(3)
        by_velocity += np.einsum("ni,nj->nij", drag, wind_mps / speed_mps[:, None] ** 2)
        by_density = np.einsum("ni,nj->nij", strength[:, None] * wind_mps, gradient)
        return drag, by_density - by_velocity @ self._spin_cross, by_velocity


def rtn_axes(position_m: FloatArray, velocity_mps: FloatArray) -> FloatArray:
    """Unit vectors radial, transverse and normal as columns, shape (n, 3, 3)."""
    radial = position_m / np.linalg.norm(position_m, axis=1, keepdims=True)
    normal = np.cross(position_m, velocity_mps)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack((radial, np.cross(normal, radial), normal), axis=2)
