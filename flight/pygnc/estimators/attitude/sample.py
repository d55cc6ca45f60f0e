"""What the filter is given: one reading of the sensors, and what surrounds the satellite at that time."""

from dataclasses import dataclass

from pygnc.environment.arrays import Array


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeSample:
    """One reading of magnetometer, gyro and sun sensors.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        mag_imu_ut: Magnetic field in sensor axes, shape (3,).
        gyro_imu_rad_s: Body rate in sensor axes, shape (3,).
        lux: Light on the six faces in the order of the settings' normals, shape (6,).
        seq: Number of the sample, for whoever asks what became of it.
    """

    gps_ms: int
    mag_imu_ut: Array
    gyro_imu_rad_s: Array
    lux: Array
    seq: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the models say of the place where the satellite is.

    Attributes:
        field_gcrf_ut: The Earth's magnetic field, shape (3,).
        sun_gcrf_m: Geocentric position of the Sun, shape (3,).
        position_gcrf_m: Geocentric position of the satellite, shape (3,).
        sunlit_fraction: Visible part of the Sun's disc, 0 to 1.
    """

    field_gcrf_ut: Array
    sun_gcrf_m: Array
    position_gcrf_m: Array
    sunlit_fraction: float
