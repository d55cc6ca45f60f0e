"""An orbit filter that linearises neither motion nor measurement: filterpy's unscented Kalman filter.

It shows what linearising costs. Nearly all of that comes from the drag factor, whose logarithm is the state: over a
spread s of the logarithm, the factor's mean is exp(s^2 / 2) times the median that a linearised filter takes for it.

States are not scaled: Cholesky's factor of a covariance in other units is the same factor in other units.
"""

import numpy as np
from filterpy.kalman import MerweScaledSigmaPoints, UnscentedKalmanFilter

from pygnc.environment.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.orbit.dynamics import Advance
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState
from pygnc_ground.orbit.reference import Observe, ReferenceFilter


class UkfOrbitFilter(ReferenceFilter):
    """Unscented Kalman filter by filterpy, with 20 sigma points at sqrt(3) standard deviations and one at the centre.

    A fix costs 22 propagation steps per started 30 s since the last one. Gates judge by the covariance that the
    measurement's derivatives make of the predicted one; the update itself goes by the sigma points.
    """

    def __init__(self, settings: OrbitSettings, orientation: EarthOrientationTable) -> None:
        super().__init__(settings, orientation)
        # alpha 1 and kappa 3 - n fit a Gaussian's fourth moments along each column of the root. The centre's weight is
        # negative, but with beta >= alpha^2 covariances about the mean are sums of squares all the same.
        self._points = MerweScaledSigmaPoints(SIZE, alpha=1.0, beta=2.0, kappa=3.0 - SIZE)

    def _predicted(self, state: OrbitState, advance: Advance) -> tuple[Array, Array]:
        def moved(x: Array, step_s: float) -> Array:
            return self._dynamics.step(state.gps_ms, x, step_s)[0]

        ukf = self._ukf(state, 1)
        ukf.Q = advance.sqrt_noise.dot(advance.sqrt_noise.T)
        ukf.predict(dt=(advance.state.gps_ms - state.gps_ms) * 1e-3, fx=moved)
        return ukf.x, ukf.P

    def _updated(self, state: OrbitState, observe: Observe) -> tuple[Array, Array, float]:
        size = len(observe(state.x).residual)
        ukf = self._ukf(state, size)
        ukf.sigmas_f = self._points.sigma_points(ukf.x, ukf.P)
        # Measurements count from the fix: measured is zero, and predicted the residual's negative.
        ukf.update(np.zeros(size), R=np.eye(size), hx=lambda x: -observe(x).residual)
        return ukf.x, ukf.P, float(ukf.mahalanobis) ** 2

    def _ukf(self, state: OrbitState, measured: int) -> UnscentedKalmanFilter:
        """The library's filter at a state, for so many measured numbers; it is told the models when it is used."""
        ukf = UnscentedKalmanFilter(SIZE, measured, dt=0.0, hx=None, fx=None, points=self._points)
        ukf.x, ukf.P = state.x, state.covariance
        return ukf
