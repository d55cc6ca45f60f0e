"""True attitude: tumble, rigid body under the gravity gradient, nadir pointing or Sun pointing.

All attitudes are computed in double precision at any times after the start. The rigid body follows Euler's equations in
principal axes (Wertz, Spacecraft Attitude Determination and Control, chapters 16 and 17): with n the direction to the
Earth's centre, the torque about the first axis is 3 mu / r^3 (I3 - I2) n2 n3.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline, CubicSpline
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.reference import brahe
from pygnc_ground.scenario.settings import Attitude


class AttitudeStates(NamedTuple):
    """Attitude and body rate at n times."""

    quaternion_gcrf_from_body: FloatArray
    """Unit quaternions from body to GCRF components, Hamilton convention, scalar first, shape (n, 4)."""
    rate_body_rad_s: FloatArray
    """Body rates relative to GCRF in body axes, shape (n, 3): the exact time derivative of the attitude."""


def to_body(quaternion_gcrf_from_body: FloatArray, vector_gcrf: FloatArray) -> FloatArray:
    """Return the body components of vectors in GCRF; shapes (n, 4), (n, 3) -> (n, 3)."""
    turned = Rotation.from_quat(quaternion_gcrf_from_body, scalar_first=True)
    components: FloatArray = turned.apply(vector_gcrf, inverse=True)
    return components


def continuous_quaternions(quaternion: FloatArray) -> FloatArray:
    """Return the quaternions, shape (n, 4), with signs chosen so that each is close to the one before."""
    alike = np.einsum("ni,ni->n", quaternion[1:], quaternion[:-1])
    signs = np.cumprod(np.where(alike < 0.0, -1.0, 1.0))
    return quaternion * np.concatenate(([1.0], signs))[:, np.newaxis]


_KNOT_S = 10.0
"""At this knot spacing, a low orbit's position is accurate to 1 mm and its acceleration to 1e-5 m/s2."""
_FEWEST_KNOTS = 5


class Path(Protocol):
    """Interface of a trajectory, as far as the attitude needs it."""

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""


# SciPy has no type declarations.
def position_spline(path: Path, last_s: float) -> Any:  # noqa: ANN401
    """Return a spline of the position in m in GCRF from the start to `last_s`: (3,) at a time, (n, 3) at n times."""
    knots_s = _knots_s(last_s)
    states = path.states_gcrf(knots_s)
    return CubicHermiteSpline(knots_s, states[:, :3], states[:, 3:])


def acceleration_gcrf_mps2(path: Path, t_s: FloatArray) -> FloatArray:
    """Return the acceleration along the path at times after the start, shapes (n,) -> (n, 3)."""
    knots_s = _knots_s(float(t_s.max(initial=0.0)))
    acceleration: FloatArray = CubicSpline(knots_s, path.states_gcrf(knots_s)[:, 3:])(t_s, 1)
    return acceleration


def _knots_s(last_s: float) -> FloatArray:
    span_s = max(last_s, 1.0)
    return np.linspace(0.0, span_s, max(_FEWEST_KNOTS, math.ceil(span_s / _KNOT_S) + 1))


_SUN_STEP_S = 60.0
"""Half the step of the central difference that gives the Sun's velocity; the error is 1e-6 m/s."""


_Aim: TypeAlias = tuple[FloatArray, FloatArray]
"""Directions at n times and their time derivatives in GCRF, of any length; both (n, 3)."""


def nadir_states(attitude: Attitude, path: Path, t_s: FloatArray) -> AttitudeStates:
    """Return the n states of a nadir-pointing body at `t_s` seconds after the start, shape (n,).

    The second axis lies in the plane of position and inertial velocity.
    """
    states = path.states_gcrf(t_s)
    position_m, velocity_mps = states[:, :3], states[:, 3:]
    to_nadir = (-position_m, -velocity_mps)
    along_track = (velocity_mps, acceleration_gcrf_mps2(path, t_s))
    return _pointing_states(attitude, to_nadir, along_track)


def sun_states(attitude: Attitude, path: Path, start_gps_ms: int, t_s: FloatArray) -> AttitudeStates:
    """Return the n states of a Sun-pointing body at `t_s` seconds after the start, shape (n,); without aberration."""
    states = path.states_gcrf(t_s)
    sun_m, before_m, after_m = (
        environment.sun_position_gcrf_m(start_gps_ms, t_s + step_s) for step_s in (0.0, -_SUN_STEP_S, _SUN_STEP_S)
    )
    sun_mps = (after_m - before_m) / (2.0 * _SUN_STEP_S)
    to_sun = (sun_m - states[:, :3], sun_mps - states[:, 3:])
    to_north = (np.broadcast_to((0.0, 0.0, 1.0), sun_m.shape), np.zeros_like(sun_m))
    return _pointing_states(attitude, to_sun, to_north)


def _pointing_states(attitude: Attitude, first: _Aim, second: _Aim) -> AttitudeStates:
    """Return the attitude with the pointed axis along `first`, the second axis as close to `second` as possible.

    The orthonormal triads are o1, o2, o3 and b1, b2, b3; the third axis is the normal of the two directions. The rate
    across o1 is o1 x do1/dt; the rate about o1 turns o3 towards -o2.
    """
    o1, o1_change = _unit(*first)
    along, change = second
    o3, o3_change = _unit(np.cross(o1, along), np.cross(o1_change, along) + np.cross(o1, change))
    o2 = np.cross(o3, o1)
    about_o1 = -np.einsum("ni,ni->n", o2, o3_change)
    rate_gcrf = np.cross(o1, o1_change) + about_o1[:, np.newaxis] * o1

    b1 = np.array(attitude.pointed_axis_body) / np.linalg.norm(attitude.pointed_axis_body)
    b3 = np.cross(b1, attitude.second_axis_body)
    b3 /= np.linalg.norm(b3)
    body_triad = np.array([b1, np.cross(b3, b1), b3])
    gcrf_from_body = Rotation.from_matrix(np.stack((o1, o2, o3), axis=2) @ body_triad)
    rate_body: FloatArray = gcrf_from_body.apply(rate_gcrf, inverse=True)
    return AttitudeStates(continuous_quaternions(gcrf_from_body.as_quat(scalar_first=True)), rate_body)


def _unit(vector: FloatArray, change: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return unit vectors and their time derivatives; all (n, 3)."""
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    unit = vector / length
    across = change - np.einsum("ni,ni->n", unit, change)[:, np.newaxis] * unit
    return unit, across / length


def rigid_states(attitude: Attitude, path: Path, t_s: FloatArray) -> AttitudeStates:
    """Return the n states of a rigid body along `path` at `t_s` seconds after the start, shape (n,).

    The computing time is about 20 ms per hour for each deg/s of body rate.
    """
    last_s = max(float(t_s.max(initial=0.0)), 1.0)
    moments, axes = np.linalg.eigh(np.array(attitude.inertia_kg_m2))
    # Eigenvectors have an arbitrary sign; a proper rotation needs an even number of mirrored axes.
    axes[:, 2] *= np.linalg.det(axes)
    body_from_principal = Rotation.from_matrix(axes)
    at_start = Rotation.from_quat(attitude.quaternion_gcrf_from_body, scalar_first=True) * body_from_principal
    rate_at_start = body_from_principal.apply(np.radians(attitude.rate_body_deg_s), inverse=True)
    solution = solve_ivp(
        _derivative(moments, position_spline(path, last_s)),
        (0.0, last_s),
        [*at_start.as_quat(scalar_first=True), *rate_at_start],
        method="DOP853",
        # Error against the closed form of a symmetric top: 2e-9 rad after 3 h at 10 deg/s.
        rtol=1e-11,
        atol=np.array([1e-12] * 4 + [1e-14] * 3),
        dense_output=True,
    )
    states = solution.sol(t_s).T
    turned = Rotation.from_quat(states[:, :4], scalar_first=True) * body_from_principal.inv()
    return AttitudeStates(turned.as_quat(scalar_first=True), body_from_principal.apply(states[:, 4:]))


def _derivative(moments: FloatArray, position_gcrf_m: Any) -> Callable[[float, FloatArray], list[float]]:  # noqa: ANN401
    """Return the derivative of quaternion (GCRF from principal axes) and rate; in plain floats for speed."""
    i1, i2, i3 = moments.tolist()
    shape1, shape2, shape3 = (i2 - i3) / i1, (i3 - i1) / i2, (i1 - i2) / i3
    three_mu = 3.0 * float(brahe.GM_EARTH)

    def derivative(t_s: float, state: FloatArray) -> list[float]:
        w, x, y, z, p, q, r = state.tolist()
        rx, ry, rz = position_gcrf_m(t_s).tolist()
        distance2 = rx * rx + ry * ry + rz * rz
        gradient = three_mu / (distance2 * distance2**1.5)
        # The position is not normalised: its length is part of the gravity gradient.
        n1 = (w * w + x * x - y * y - z * z) * rx + 2.0 * ((x * y + w * z) * ry + (x * z - w * y) * rz)
        n2 = (w * w - x * x + y * y - z * z) * ry + 2.0 * ((y * z + w * x) * rz + (x * y - w * z) * rx)
        n3 = (w * w - x * x - y * y + z * z) * rz + 2.0 * ((x * z + w * y) * rx + (y * z - w * x) * ry)
        return [
            -0.5 * (x * p + y * q + z * r),
            0.5 * (w * p + y * r - z * q),
            0.5 * (w * q + z * p - x * r),
            0.5 * (w * r + x * q - y * p),
            shape1 * (q * r - gradient * n2 * n3),
            shape2 * (r * p - gradient * n3 * n1),
            shape3 * (p * q - gradient * n1 * n2),
        ]

    return derivative


def tumble_states(attitude: Attitude, t_s: FloatArray) -> AttitudeStates:
    """Return the n states of a tumbling body at `t_s` seconds after the start, shape (n,).

    The body rate is constant, so q(t) = q(0) * exp(rate * t / 2).
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


def attitude_states(attitude: Attitude, path: Path, start_gps_ms: int, t_s: npt.ArrayLike) -> AttitudeStates:
    """Return attitude and body rate at ascending times `t_s` in seconds after the start, shape (n,), none negative.

    Every mode except tumble uses the path, and that towards the Sun the GPS time of the start in milliseconds.
    """
    times_s = np.asarray(t_s, dtype=np.float64)
    match attitude.mode:
        case "tumble":
            return tumble_states(attitude, times_s)
        case "rigid":
            return rigid_states(attitude, path, times_s)
        case "nadir":
            return nadir_states(attitude, path, times_s)
        case "sun":
            return sun_states(attitude, path, start_gps_ms, times_s)
