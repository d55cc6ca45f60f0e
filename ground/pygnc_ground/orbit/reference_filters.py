"""Reference orbit filter with the algebra of filterpy 2.0 (R. Labbe): an unscented Kalman filter.

Models, gates and decisions are those of the flight filter; prediction and update of the state come from filterpy. The
receiver's errors are taken as white, so a single hypothesis remains. The state after the first fixes is the flight
filter's own, also after a restart: the uncertainty before them (100 km and 1 km/s) is too large for sigma points.

The UKF linearises neither motion nor measurement and thus shows the cost of linearisation. Nearly all of it comes from
the drag factor, whose logarithm is the state: with a standard deviation s of the logarithm, the mean of the factor is
exp(s^2 / 2) times the median that a linearised filter uses. States are not scaled, because the Cholesky factor of a
covariance is the same in other units.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from filterpy.kalman import MerweScaledSigmaPoints, UnscentedKalmanFilter

from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.dynamics import LinearStep
from pygnc.estimators.orbit.error_models import InnovationTest
from pygnc.estimators.orbit.filter import FilterMemory, OrbitFilter
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.measurement import Fix, linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState

Observe: TypeAlias = Callable[[Array], Observation]
"""Function that linearises the accepted parts of a fix about a state vector, shape (10,).

All values are in units of their standard deviations: a mixture of metres and m/s makes ill-conditioned matrices.
"""


class UkfOrbitFilter(OrbitFilter):
    """Unscented Kalman filter by filterpy, with 20 sigma points at sqrt(3) standard deviations and one at the centre.

    A fix costs 22 propagation steps per started 30 s since the fix before. The gates use the linearised innovation
    covariance; the update itself uses the sigma points.
    """

    def __init__(
        self, settings: OrbitSettings, orientation: EarthOrientationTable, memory: FilterMemory | None = None
    ) -> None:
        measurement = replace(settings.measurement, correlated_errors=False)
        super().__init__(replace(settings, measurement=measurement, manoeuvre_detection=False), orientation, memory)
        # alpha 1 and kappa 3 - n fit a Gaussian's fourth moments along each column of the root. The centre's weight is
        # negative, but with beta >= alpha^2 covariances about the mean are sums of squares all the same.
        self._points = MerweScaledSigmaPoints(SIZE, alpha=1.0, beta=2.0, kappa=3.0 - SIZE)

    def _propagated(self, state: OrbitState, gps_ms: int, empirical_factor: float) -> OrbitState:
        if gps_ms < state.gps_ms:
            raise ValueError(f"cannot propagate the covariance back from {state.gps_ms} to {gps_ms} ms GPS")
        while state.gps_ms < gps_ms:
            step = self._dynamics.linear_step(state.gps_ms, state.x, gps_ms, empirical_factor)
            state = _state_from_covariance(step.gps_ms, *self._predict_by_library(state, step))
        return state

    def _predicted(self, state: OrbitState, banks: Sequence[Hypotheses], gps_ms: int) -> tuple[Array, list[Hypotheses]]:
        (hypotheses,) = banks
        state = self._propagated(state, gps_ms, float(hypotheses.empirical_factor[0]))
        return state.x, [hypotheses.with_single(state.sqrt_covariance)]

    def _updated(
        self, x: Array, hypotheses: Hypotheses, fix: Fix, test: InnovationTest, used: tuple[bool, bool]
    ) -> tuple[OrbitState, Hypotheses, float]:
        predicted = hypotheses.mixture(fix.gps_ms, x)
        if not any(used):
            return predicted, hypotheses, 0.0
        sigma = test.sigma[0, np.flatnonzero(np.repeat(used, 3))]

        def observe(x: Array) -> Observation:
            parts = zip(linearise_fix(fix, x, self.frames, self.settings.measurement), used, strict=True)
            residual, partials, _ = Observation.stacked([part for part, is_used in parts if part and is_used])
            return Observation(residual / sigma, partials / sigma[:, None], np.ones(len(sigma)))

        x, covariance, nis = self._update_by_library(predicted, observe)
        state = _state_from_covariance(fix.gps_ms, x, covariance)
        return state, hypotheses.with_single(state.sqrt_covariance), nis

    def _predict_by_library(self, state: OrbitState, step: LinearStep) -> tuple[Array, Array]:
        """Return state vector (10,) and covariance (10, 10) after `step`, which begins at `state`."""
        ukf = self._ukf(state, 1)
        ukf.Q = step.sqrt_noise.dot(step.sqrt_noise.T)
        duration_s = (step.gps_ms - state.gps_ms) * 1e-3
        ukf.predict(dt=duration_s, fx=lambda x, step_s: self._dynamics.step(state.gps_ms, x, step_s)[0])
        return ukf.x, ukf.P

    def _update_by_library(self, state: OrbitState, observe: Observe) -> tuple[Array, Array, float]:
        """Return state vector (10,), covariance (10, 10) and normalised innovation squared after an observation."""
        size = len(observe(state.x).residual)
        ukf = self._ukf(state, size)
        ukf.sigmas_f = self._points.sigma_points(ukf.x, ukf.P)
        # Measurements count from the fix: measured is zero, and predicted the residual's negative.
        ukf.update(np.zeros(size), R=np.eye(size), hx=lambda x: -observe(x).residual)
        return ukf.x, ukf.P, float(ukf.mahalanobis) ** 2

    def _ukf(self, state: OrbitState, measured: int) -> UnscentedKalmanFilter:
        # The models are passed to each call of predict and update.
        ukf = UnscentedKalmanFilter(SIZE, measured, dt=0.0, hx=None, fx=None, points=self._points)
        ukf.x, ukf.P = state.x, state.covariance
        return ukf


def _state_from_covariance(gps_ms: int, x: Array, covariance: Array) -> OrbitState:
    root = np.linalg.cholesky(0.5 * (covariance + covariance.T))
    return OrbitState(gps_ms, x, np.asarray(root, dtype=np.float64))
