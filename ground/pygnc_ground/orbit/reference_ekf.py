"""The flight's filter once more, with the extended Kalman filter of filterpy in place of square roots.

filterpy 2.0 (R. Labbe) keeps the covariance P whole: F P F' + Q at a prediction, Joseph's form at an update. With equal
models and equal decisions it differs from the square-root filter by rounding alone.
"""

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter

from pygnc.environment.arrays import Array
from pygnc.estimators.orbit.dynamics import Advance
from pygnc.estimators.orbit.state import SIZE, OrbitState
from pygnc_ground.orbit.reference import Observe, ReferenceFilter


class EkfOrbitFilter(ReferenceFilter):
    """Extended Kalman filter by filterpy."""

    def _predicted(self, state: OrbitState, advance: Advance) -> tuple[Array, Array]:
        ekf = _ekf(state, 1)
        ekf.F, ekf.Q = advance.transition, advance.sqrt_noise.dot(advance.sqrt_noise.T)
        ekf.predict()
        # It moves the state by F as well, which is right for deviations only.
        return advance.state.x, ekf.P

    def _updated(self, state: OrbitState, observe: Observe) -> tuple[Array, Array, float]:
        size = len(observe(state.x).residual)
        ekf = _ekf(state, size)
        # Measurements count from the fix: measured is zero, and predicted the residual's negative.
        ekf.update(
            np.zeros(size),
            HJacobian=lambda x: observe(x).partials,
            Hx=lambda x: -observe(x).residual,
            R=np.eye(size),
        )
        return ekf.x, ekf.P, float(ekf.mahalanobis) ** 2


def _ekf(state: OrbitState, measured: int) -> ExtendedKalmanFilter:
    """The library's filter at a state, for so many measured numbers."""
    ekf = ExtendedKalmanFilter(dim_x=SIZE, dim_z=measured)
    ekf.x, ekf.P = state.x, state.covariance
    return ekf
