"""A tumble at a constant body rate, in closed form."""

import numpy as np

from pygnc_ground.scenario.attitude_kinematics import AttitudeStates
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.sensor_settings import Attitude


def tumble_states(attitude: Attitude, t_s: FloatArray) -> AttitudeStates:
    """Attitude and rate `t_s` seconds after the start, shape (n,).

    A constant body rate turns the body about an axis fixed in it, so q(t) = q(0) * exp(rate * t / 2).
    """
    rate = np.radians(attitude.rate_body_deg_s)
    speed = float(np.linalg.norm(rate))
    axis = rate / speed if speed > 0.0 else np.zeros(3)
    half_angle = 0.5 * speed * t_s
    turn_w, turn_v = np.cos(half_angle), np.sin(half_angle)[:, np.newaxis] * axis
    w, v = attitude.quaternion_gcrf_from_body[0], np.array(attitude.quaternion_gcrf_from_body[1:])
    scalar = w * turn_w - turn_v @ v
    vector = w * turn_v + turn_w[:, np.newaxis] * v + np.cross(v, turn_v)
    return AttitudeStates(np.column_stack((scalar, vector)), np.tile(rate, (len(t_s), 1)))
