"""The true attitude: a tumble at a constant body rate, in closed form."""

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.sensor_settings import Attitude


def rate_body_rad_s(attitude: Attitude) -> FloatArray:
    """Angular velocity relative to GCRF in body axes, shape (3,)."""
    return np.array(attitude.rate_body_deg_s) * np.pi / 180.0


def quaternions_gcrf_from_body(attitude: Attitude, t_s: npt.ArrayLike) -> FloatArray:
    """Attitude `t_s` seconds after the start: unit quaternions, scalar first, body to GCRF components, shape (n, 4).

    A constant body rate turns the body about an axis fixed in it, so q(t) = q(0) * exp(rate * t / 2).
    """
    rate = rate_body_rad_s(attitude)
    speed = float(np.linalg.norm(rate))
    axis = rate / speed if speed > 0.0 else np.zeros(3)
    half_angle = 0.5 * speed * np.asarray(t_s, dtype=np.float64)
    turn_w, turn_v = np.cos(half_angle), np.sin(half_angle)[:, np.newaxis] * axis
    w, v = attitude.quaternion_gcrf_from_body[0], np.array(attitude.quaternion_gcrf_from_body[1:])
    scalar = w * turn_w - turn_v @ v
    vector = w * turn_v + turn_w[:, np.newaxis] * v + np.cross(v, turn_v)
    return np.column_stack((scalar, vector))


def to_body(quaternion_gcrf_from_body: FloatArray, vector_gcrf: FloatArray) -> FloatArray:
    """Body components of vectors given in GCRF; shapes (n, 4), (n, 3) -> (n, 3)."""
    w, v = quaternion_gcrf_from_body[:, :1], quaternion_gcrf_from_body[:, 1:]
    twice_cross = 2.0 * np.cross(vector_gcrf, v)
    return vector_gcrf + w * twice_cross + np.cross(twice_cross, v)
