"""Settings of attitude, inertial sensors and sun sensors."""

import math
from typing import Literal, TypeAlias

import numpy as np

from pygnc_ground.scenario.section import Fraction, Matrix3, NonNegative, Section, Vector3

Drawn: TypeAlias = Literal["drawn"]
"""In place of a value: drawn from the seed, uniformly and for each axis, between minus and plus the bound."""

FaceValues: TypeAlias = tuple[float, float, float, float, float, float]
"""For the faces +X, +Y, +Z, -X, -Y, -Z."""


class Attitude(Section, frozen=True):
    """How the body turns. What a mode does not need of the settings below, it does not use.

    tumble: at a constant body rate.
    rigid: as a rigid body does by its inertia, under the gravity gradient along its orbit.
    nadir: the pointed axis to the Earth's centre, the second axis as far along track as it then can.
    sun: the pointed axis to the Sun, the second axis as far to celestial north as it then can.
    """

    mode: Literal["tumble", "rigid", "nadir", "sun"] = "tumble"
    quaternion_gcrf_from_body: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """At the start of tumble and rigid, scalar first."""
    rate_body_deg_s: Vector3 = (1.0, 0.3, 0.2)
    """Of tumble always, of rigid at the start."""
    inertia_kg_m2: Matrix3 = (
        (0.0043 * 1.58 / 1.504, -0.0003 * 1.58 / 1.504, 0.0),
        (-0.0003 * 1.58 / 1.504, 0.0049 * 1.58 / 1.504, 0.0),
        (0.0, 0.0, 0.0035 * 1.58 / 1.504),
    )
    """Of rigid, about the centre of mass in body axes, with the signs of the matrix. The default is the fleet's."""
    pointed_axis_body: Vector3 = (0.0, 0.0, 1.0)
    """Of nadir and sun; of any length."""
    second_axis_body: Vector3 = (1.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not math.isclose(math.hypot(*self.quaternion_gcrf_from_body), 1.0, abs_tol=1e-6):
            raise ValueError("the quaternion's norm is not 1")
        inertia = np.array(self.inertia_kg_m2)
        smallest, middle, largest = np.linalg.eigvalsh(inertia)
        if not np.array_equal(inertia, inertia.T) or smallest <= 0.0 or smallest + middle < largest * (1.0 - 1e-9):
            raise ValueError(
                "inertia_kg_m2 belongs to no body: it must be symmetric, its principal moments positive and each at"
                " most the sum of the other two"
            )
        pointed, second = np.array(self.pointed_axis_body), np.array(self.second_axis_body)
        lengths = np.linalg.norm(pointed) * np.linalg.norm(second)
        if np.linalg.norm(np.cross(pointed, second)) <= 1e-6 * lengths:
            raise ValueError("pointed_axis_body and second_axis_body are parallel or zero")


class Imu(Section, frozen=True):
    """Magnetometer and gyro on one chip. All but the mounting is in sensor axes; noise is 1 sigma per axis."""

    imu_from_body: Matrix3 = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    """Takes body components to sensor components. The default is the map that the fleet's software undoes; it mirrors
    (determinant -1), so it is a convention of that software and not a mounting."""
    rounding: Literal["nearest", "floor"] = "nearest"
    """To whole counts. The older PyGNC's generator floors, half a count of further bias: 0.031 uT and 0.0076 deg/s."""

    field_error_gcrf_ut: Vector3 = (0.0, 0.0, 0.0)
    """By which the Earth's field differs from the model of it, a constant in GCRF; part of the true field."""
    mag_bias_ut: Vector3 | Drawn = (20.0, 10.0, -25.0)
    mag_bias_bound_ut: NonNegative = 40.0
    """Of one that is drawn."""
    mag_noise_ut: NonNegative = 0.6
    mag_scale_error: Vector3 = (0.0, 0.0, 0.0)
    """0.01 shows 1 % too much."""
    mag_nonorthogonality_deg: Vector3 = (0.0, 0.0, 0.0)
    """Tilt of the y axis towards x, of the z axis towards x, of the z axis towards y."""

    gyro_bias_deg_s: Vector3 | Drawn = (-0.495, 0.051, 0.437)
    """At the start."""
    gyro_bias_bound_deg_s: NonNegative = 3.0
    """Of one that is drawn."""
    gyro_bias_stability_deg_h: NonNegative = 3.0
    """The bias walks at random: by this much in an hour, 1 sigma, and with the square root of the time."""
    gyro_noise_deg_s: NonNegative = 0.025
    gyro_scale_error: Vector3 = (0.0, 0.0, 0.0)
    """0.01 shows 1 % too much."""


class SunSensors(Section, frozen=True):
    """One OPT3001 on each face."""

    full_sun_lux: NonNegative = 133_378.0
    """At normal incidence and 1 au: 1361 W/m2 at 98 lm/W."""
    earth_reflectivity: Fraction = 0.3
    """Of the sunlit Earth, everywhere the same; 0 switches its light off."""
    gain_errors: FaceValues = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Of each face; 0.01 shows 1 % too much."""
    noise_fraction: NonNegative = 0.01
    """Of full sunlight, 1 sigma, on lit and dark faces alike; no reading is negative. In the Earth's shadow it fades
    with the sunlight: there the sensors' own noise is below a count."""
