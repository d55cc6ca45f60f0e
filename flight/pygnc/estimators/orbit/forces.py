"""Everything but the gravity of a rigid Earth that moves the satellite, and what no model knows."""

import math
from typing import NamedTuple

import numpy as np

from pygnc.environment.arrays import Array, cross_matrix
from pygnc.environment.atmosphere import harris_priester
from pygnc.environment.bodies import third_body_acceleration
from pygnc.environment.sunlight import radiation_pressure_acceleration
from pygnc.environment.tides import solid_tide_acceleration
from pygnc.estimators.orbit.settings import SpacecraftSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY


class Surroundings(NamedTuple):
    """What the forces depend on besides the state, in GCRF, each (3,)."""

    sun_m: Array
    moon_m: Array
    earth_rotation_rad_s: Array


class Perturbation(NamedTuple):
    """Perturbing acceleration in m/s^2, GCRF.

    Attributes:
        acceleration: Shape (3,).
        partials: Its derivative by the state, shape (3, 10); by the position only as far as drag is concerned.
    """

    acceleration: Array
    partials: Array


def perturbation(
    x: Array, surroundings: Surroundings, spacecraft: SpacecraftSettings, *, minor_forces: bool = True
) -> Perturbation:
    """Acceleration by Sun, Moon, drag, the empirical term and, as minor forces, tides and sunlight; state `x` (10,).

    Left out of the partials: the gradient of what Sun and Moon do (1e-13 1/s^2) and the turn of the empirical axes with
    the orbit.
    """
    position_m, velocity_mps = x[POSITION], x[VELOCITY]
    axes = rtn_axes(position_m, velocity_mps)
    partials = np.zeros((3, SIZE))
    drag = _drag(x, surroundings, spacecraft, partials)
    partials[:, EMPIRICAL] = axes
    sun_m, moon_m = surroundings.sun_m, surroundings.moon_m
    acceleration = third_body_acceleration(position_m, sun_m, moon_m) + drag + axes.dot(x[EMPIRICAL])
    if minor_forces:
        light_area = spacecraft.reflectivity_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
        acceleration += solid_tide_acceleration(position_m, sun_m, moon_m)
        acceleration += radiation_pressure_acceleration(position_m, sun_m, light_area)
    return Perturbation(acceleration, partials)


def rtn_axes(position_m: Array, velocity_mps: Array) -> Array:
    """Unit vectors radial, transverse and normal as columns, shape (3, 3)."""
    x, y, z = position_m.tolist()
    vx, vy, vz = velocity_mps.tolist()
    radius_m = math.hypot(x, y, z)
    rx, ry, rz = x / radius_m, y / radius_m, z / radius_m
    climb_mps = rx * vx + ry * vy + rz * vz
    tx, ty, tz = vx - climb_mps * rx, vy - climb_mps * ry, vz - climb_mps * rz
    speed_mps = math.hypot(tx, ty, tz)
    tx, ty, tz = tx / speed_mps, ty / speed_mps, tz / speed_mps
    return np.array(((rx, tx, ry * tz - rz * ty), (ry, ty, rz * tx - rx * tz), (rz, tz, rx * ty - ry * tx)))


def _drag(x: Array, surroundings: Surroundings, spacecraft: SpacecraftSettings, partials: Array) -> Array:
    """Drag against the atmosphere that turns with the Earth; writes its derivatives into `partials`."""
    position_m = x[POSITION]
    spin = surroundings.earth_rotation_rad_s
    spin_cross = cross_matrix(spin)
    wind_mps = x[VELOCITY] - spin_cross.dot(position_m)
    speed_mps = math.sqrt(wind_mps.dot(wind_mps))
    density, gradient = harris_priester(position_m, surroundings.sun_m, spin / math.sqrt(spin.dot(spin)))
    area_per_mass = spacecraft.drag_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
    strength = -0.5 * area_per_mass * speed_mps * math.exp(x[DRAG])
    drag: Array = (strength * density) * wind_mps
    by_velocity = (drag / (speed_mps * speed_mps))[:, None] * wind_mps
    by_velocity.flat[::4] += strength * density
    partials[:, POSITION] = (strength * wind_mps)[:, None] * gradient - by_velocity.dot(spin_cross)
    partials[:, VELOCITY] = by_velocity
    partials[:, DRAG] = drag
    return drag
