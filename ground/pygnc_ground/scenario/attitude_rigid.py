"""A rigid body under the gravity gradient: Euler's equations, integrated numerically.

In principal axes each equation is one line (Wertz, Spacecraft Attitude Determination and Control, chapters 16 and
17): with n the direction to the Earth's centre, the torque about the first axis is 3 mu / r^3 (I3 - I2) n2 n3.
"""

from collections.abc import Callable
from typing import Any

import brahe
import numpy as np
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.attitude_kinematics import AttitudeStates
from pygnc_ground.scenario.attitude_path import Path, position_spline
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.sensor_settings import Attitude

# Against the closed form of a symmetric top: 2e-9 rad after 3 h at 10 deg/s.
_RELATIVE_TOLERANCE = 1e-11
_ABSOLUTE_TOLERANCE = np.array([1e-12] * 4 + [1e-14] * 3)
"""Of the quaternion and of the rate in rad/s."""


def rigid_states(attitude: Attitude, path: Path, t_s: FloatArray) -> AttitudeStates:
    """Attitude and rate `t_s` seconds after the start, shape (n,), of a body that flies along `path`.

    Cost: about 20 ms per hour for each deg/s of body rate.
    """
    last_s = max(float(t_s.max(initial=0.0)), 1.0)
    moments, body_from_principal = _principal_axes(np.array(attitude.inertia_kg_m2))
    at_start = Rotation.from_quat(attitude.quaternion_gcrf_from_body, scalar_first=True) * body_from_principal
    rate_at_start = body_from_principal.apply(np.radians(attitude.rate_body_deg_s), inverse=True)
    solution = solve_ivp(
        _derivative(moments, position_spline(path, last_s)),
        (0.0, last_s),
        [*at_start.as_quat(scalar_first=True), *rate_at_start],
        method="DOP853",
        rtol=_RELATIVE_TOLERANCE,
        atol=_ABSOLUTE_TOLERANCE,
        dense_output=True,
    )
    states = solution.sol(t_s).T
    turned = Rotation.from_quat(states[:, :4], scalar_first=True) * body_from_principal.inv()
    return AttitudeStates(turned.as_quat(scalar_first=True), body_from_principal.apply(states[:, 4:]))


def _principal_axes(inertia: FloatArray) -> tuple[FloatArray, Any]:
    """Principal moments, shape (3,), and the rotation from principal to body axes."""
    moments, axes = np.linalg.eigh(inertia)
    # Eigenvectors have either sign: a rotation needs an even number of mirrored axes.
    axes[:, 2] *= np.linalg.det(axes)
    return moments, Rotation.from_matrix(axes)


def _derivative(moments: FloatArray, position_gcrf_m: Any) -> Callable[[float, FloatArray], list[float]]:  # noqa: ANN401
    """Time derivative of quaternion, GCRF from principal axes, and rate in these axes; in plain numbers for speed."""
    i1, i2, i3 = moments.tolist()
    shape1, shape2, shape3 = (i2 - i3) / i1, (i3 - i1) / i2, (i1 - i2) / i3
    three_mu = 3.0 * float(brahe.GM_EARTH)

    def derivative(t_s: float, state: FloatArray) -> list[float]:
        w, x, y, z, p, q, r = state.tolist()
        rx, ry, rz = position_gcrf_m(t_s).tolist()
        distance2 = rx * rx + ry * ry + rz * rz
        gradient = three_mu / (distance2 * distance2**1.5)
        # The position in principal axes, not its direction: its length is in the gradient.
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
