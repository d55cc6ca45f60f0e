"""True states of one satellite: inputs of the sensor models and rows of the truth table."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario import earth
from pygnc_ground.scenario.attitude import attitude_states, to_body
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.imu import gyro_bias_rad_s, mag_bias_ut
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.trajectory import SatellitePath


@dataclass(frozen=True, slots=True, eq=False)
class TrueStates:
    """True states at n times; vectors have the shape (n, 3)."""

    gps_ms: npt.NDArray[np.int64]
    position_ecef_m: FloatArray
    """Position in ITRF."""
    velocity_ecef_mps: FloatArray
    """Velocity relative to the rotating Earth in ITRF."""
    position_gcrf_m: FloatArray
    velocity_gcrf_mps: FloatArray
    quaternion_gcrf_from_body: FloatArray
    """Attitude, scalar first, shape (n, 4)."""
    rate_body_rad_s: FloatArray
    """Body rate relative to GCRF in body axes."""
    field_body_ut: FloatArray
    """Magnetic field of the Earth in body axes, including its difference from the model."""
    sun_body_m: FloatArray
    """Vector from the satellite to the Sun in m, body axes."""
    sunlit_fraction: FloatArray
    """Visible fraction of the Sun's disc, shape (n,); 0 in the umbra."""
    gyro_bias_imu_rad_s: FloatArray
    """Gyro reading minus scaled rate in sensor axes, without noise and quantisation."""
    mag_bias_imu_ut: FloatArray
    """Magnetometer reading minus scaled field in sensor axes, without noise and quantisation."""

    @classmethod
    def at(cls, settings: Settings, trajectory: SatellitePath, t_s: npt.NDArray[np.int64]) -> Self:
        """Return the true states `t_s` seconds after the start, shape (n,)."""
        instants = earth.epochs(settings.start_gps_ms, t_s)
        gcrf, ecef = trajectory.states_gcrf(t_s), trajectory.states_itrf(t_s)
        attitude = attitude_states(settings.attitude, trajectory, settings.start_gps_ms, t_s)
        quaternion = attitude.quaternion_gcrf_from_body
        field_ecef_ut = earth.magnetic_field_itrf_ut(instants, ecef[:, :3])
        field_gcrf_ut = np.einsum("nji,nj->ni", earth.itrf_from_gcrf(instants), field_ecef_ut)
        field_gcrf_ut += settings.imu.field_error_gcrf_ut
        sun_gcrf_m = earth.sun_position_gcrf_m(settings.start_gps_ms, t_s)
        return cls(
            gps_ms=settings.start_gps_ms + 1000 * t_s,
            position_ecef_m=ecef[:, :3],
            velocity_ecef_mps=ecef[:, 3:],
            position_gcrf_m=gcrf[:, :3],
            velocity_gcrf_mps=gcrf[:, 3:],
            quaternion_gcrf_from_body=quaternion,
            rate_body_rad_s=attitude.rate_body_rad_s,
            field_body_ut=to_body(quaternion, field_gcrf_ut),
            sun_body_m=to_body(quaternion, sun_gcrf_m - gcrf[:, :3]),
            sunlit_fraction=earth.sunlit_fraction(gcrf[:, :3], sun_gcrf_m),
            gyro_bias_imu_rad_s=gyro_bias_rad_s(settings.imu, t_s, settings.seed),
            mag_bias_imu_ut=mag_bias_ut(settings.imu, len(t_s), settings.seed),
        )

    @property
    def position_body_m(self) -> FloatArray:
        """Geocentric position in body axes, shape (n, 3)."""
        return to_body(self.quaternion_gcrf_from_body, self.position_gcrf_m)
