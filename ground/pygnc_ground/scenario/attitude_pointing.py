"""Commanded attitudes that point a body axis at the Earth or the Sun, with their exact rates."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario import earth
from pygnc_ground.scenario.attitude_kinematics import AttitudeStates, without_sign_changes
from pygnc_ground.scenario.attitude_path import Path, acceleration_gcrf_mps2
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.sensor_settings import Attitude

_SUN_STEP_S = 60.0
"""Half the interval over which the Sun's velocity is taken; it leaves a micrometre per second."""
_CELESTIAL_NORTH = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class _Aim:
    """A direction at n times and its time derivative, in GCRF components, of any length; both (n, 3)."""

    along: FloatArray
    change: FloatArray


def nadir_states(attitude: Attitude, path: Path, t_s: FloatArray) -> AttitudeStates:
    """Attitude and rate `t_s` seconds after the start, shape (n,), of a body that looks at the Earth's centre.

    The second axis lies in the plane of position and inertial velocity.
    """
    states = path.states_gcrf(t_s)
    position_m, velocity_mps = states[:, :3], states[:, 3:]
    to_nadir = _Aim(-position_m, -velocity_mps)
    along_track = _Aim(velocity_mps, acceleration_gcrf_mps2(path, t_s))
    return _pointing_states(attitude, to_nadir, along_track)


def sun_states(attitude: Attitude, path: Path, start_gps_ms: int, t_s: FloatArray) -> AttitudeStates:
    """Attitude and rate `t_s` seconds after the start, shape (n,), of a body that looks at the Sun's true place."""
    states = path.states_gcrf(t_s)
    sun_m, before_m, after_m = (
        earth.sun_position_gcrf_m(start_gps_ms, t_s + step_s) for step_s in (0.0, -_SUN_STEP_S, _SUN_STEP_S)
    )
    sun_mps = (after_m - before_m) / (2.0 * _SUN_STEP_S)
    to_sun = _Aim(sun_m - states[:, :3], sun_mps - states[:, 3:])
    to_north = _Aim(np.broadcast_to(_CELESTIAL_NORTH, sun_m.shape), np.zeros_like(sun_m))
    return _pointing_states(attitude, to_sun, to_north)


def _pointing_states(attitude: Attitude, first: _Aim, second: _Aim) -> AttitudeStates:
    """The body's pointed axis along `first`, its second axis as near to `second` as it then can be.

    The triads of both are o1, o2, o3 and b1, b2, b3: each first axis, the normal of both as the third. Their rate about
    o1 is what turns o3 towards -o2; across it, it is o1 x do1/dt.
    """
    o1, o1_change = _unit(first.along, first.change)
    normal_change = np.cross(o1_change, second.along) + np.cross(o1, second.change)
    o3, o3_change = _unit(np.cross(o1, second.along), normal_change)
    o2 = np.cross(o3, o1)
    about_o1 = -np.einsum("ni,ni->n", o2, o3_change)
    rate_gcrf = np.cross(o1, o1_change) + about_o1[:, np.newaxis] * o1

    b1 = np.array(attitude.pointed_axis_body) / np.linalg.norm(attitude.pointed_axis_body)
    b3 = np.cross(b1, attitude.second_axis_body)
    b3 /= np.linalg.norm(b3)
    body_triad = np.array([b1, np.cross(b3, b1), b3])
    gcrf_from_body = Rotation.from_matrix(np.stack((o1, o2, o3), axis=2) @ body_triad)
    rate_body: FloatArray = gcrf_from_body.apply(rate_gcrf, inverse=True)
    return AttitudeStates(without_sign_changes(gcrf_from_body.as_quat(scalar_first=True)), rate_body)


def _unit(vector: FloatArray, change: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors and their time derivatives, from vectors and theirs; all (n, 3)."""
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    unit = vector / length
    across = change - np.einsum("ni,ni->n", unit, change)[:, np.newaxis] * unit
    return unit, across / length
