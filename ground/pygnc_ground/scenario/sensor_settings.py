"""Settings of attitude, inertial sensors and sun sensors."""

import math

from pygnc_ground.scenario.section import Matrix3, NonNegative, Section, Vector3


class Attitude(Section, frozen=True):
    """A tumble at a constant body rate."""

    quaternion_gcrf_from_body: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """At the start, scalar first."""
    rate_body_deg_s: Vector3 = (1.0, 0.3, 0.2)

    def __post_init__(self) -> None:
        if not math.isclose(math.hypot(*self.quaternion_gcrf_from_body), 1.0, abs_tol=1e-6):
            raise ValueError("the quaternion's norm is not 1")


class Imu(Section, frozen=True):
    """Magnetometer and gyro on one chip."""

    imu_from_body: Matrix3 = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    """Takes body components to sensor components. The default is the map that the fleet's software undoes; it mirrors
    (determinant -1), so it is a convention of that software and not a mounting."""
    mag_bias_ut: Vector3 = (20.0, 10.0, -25.0)
    mag_noise_ut: NonNegative = 0.6
    gyro_bias_deg_s: Vector3 = (-0.495, 0.051, 0.437)
    gyro_noise_deg_s: NonNegative = 0.025


class SunSensors(Section, frozen=True):
    """One OPT3001 on each face."""

    full_sun_lux: NonNegative = 133_378.0
    """At normal incidence and 1 au: 1361 W/m2 at 98 lm/W."""
    noise_fraction: NonNegative = 0.01
    """Of each reading, 1 sigma."""
