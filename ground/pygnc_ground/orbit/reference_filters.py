"""Reference orbit filters with the algebra of filterpy 2.0 (R. Labbe): extended and unscented Kalman filter.

The EKF keeps the covariance P itself: F P F' + Q in the prediction, Joseph's form in the update. With equal models and
equal decisions it differs from the flight's square-root filter by rounding only.

The UKF linearises neither motion nor measurement and thus shows the cost of linearisation. Nearly all of it comes from
the drag factor, whose logarithm is the state: with a standard deviation s of the logarithm, the mean of the factor is
exp(s^2 / 2) times the median that a linearised filter uses. States are not scaled, because the Cholesky factor of a
covariance is the same in other units.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter, MerweScaledSigmaPoints, UnscentedKalmanFilter

from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics, OrbitStep
from pygnc.estimators.orbit.filter import OrbitFilter, OrbitUpdate
from pygnc.estimators.orbit.measurement import Fix, Gate, Observation, RejectCause, empirical_factor, linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, EcefOrbit, OrbitState, to_ecef

Observe: TypeAlias = Callable[[Array], Observation]
"""Linearises the accepted parts of a fix about a state vector (10,).

All values are in units of their standard deviations: a mixture of metres and m/s makes ill-conditioned matrices.
"""


class ReferenceFilter(ABC):
    """Orbit filter with the interface of the flight's `OrbitFilter` and the algebra of another library.

    Models, gates and initialisation are those of the flight filter; prediction and update come from the other library.
    The state after the first fixes is the flight filter's own: the uncertainty before them (100 km and 1 km/s) is too
    large for sigma points. The same holds after a restart. Every decision in between follows from the reference's own
    numbers.

    Args:
        settings: Force model, noise, gates.
        orientation: Earth orientation for the whole life of the filter.
    """

    def __init__(self, settings: OrbitSettings, orientation: EarthOrientationTable) -> None:
        self.settings = settings
        self.frames = EarthFrames(orientation)
        self._dynamics = OrbitDynamics(settings, self.frames)
        self._initialiser = OrbitFilter(settings, orientation)
        self._state: OrbitState | None = None
        self._position_gate = Gate()
        self._velocity_gate = Gate()
        self._empirical_factor = 1.0
        self._rejected: list[Fix] = []

    @property
    def state(self) -> OrbitState | None:
        """The estimate after the last accepted fix; None before the initialisation."""
        return self._state

    def process(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Process one fix; return the fixes that are now accepted or rejected, in order of time."""
        if self._state is not None:
            return (self._process_in_flight(self._state, fix),)
        updates = self._initialiser.process(fix)
        self._take_over(self._initialiser)
        return updates

    def initialise_from_buffered(self) -> tuple[OrbitUpdate, ...]:
        """Initialise from the buffered fixes at the end of the input, even if there is only one."""
        if self._state is not None:
            return ()
        updates = self._initialiser.initialise_from_buffered()
        self._take_over(self._initialiser)
        return updates

    def predict(self, gps_ms: int, start: OrbitState | None = None) -> OrbitState:
        """Return the orbit at a later time, from `start` or the filter's own state; the filter does not change.

        Raises:
            ValueError: There is no state yet, or `gps_ms` is before it.
        """
        state = start or self._state
        if state is None:
            raise ValueError("the orbit filter is not initialised: no state to predict from")
        if gps_ms < state.gps_ms:
            raise ValueError(f"cannot propagate the covariance back from {state.gps_ms} to {gps_ms} ms GPS")
        return self._propagated(state, gps_ms)

    def ecef(self, state: OrbitState) -> EcefOrbit:
        """Return a state in ITRF with standard deviations."""
        return to_ecef(state, self.frames)

    # --- Algebra of the other library ------------------------------------------------------------------------------

    @abstractmethod
    def _predicted(self, state: OrbitState, step: OrbitStep) -> tuple[Array, Array]:
        """Return state vector (10,) and covariance (10, 10) after `step`, which begins at `state`."""

    @abstractmethod
    def _updated(self, state: OrbitState, observe: Observe) -> tuple[Array, Array, float]:
        """Return state vector (10,), covariance (10, 10) and normalised innovation squared after an observation."""

    # --- Flight ----------------------------------------------------------------------------------------------------

    def _propagated(self, state: OrbitState, gps_ms: int) -> OrbitState:
        while state.gps_ms < gps_ms:
            step = self._dynamics.advance(state, gps_ms, self._empirical_factor)
            state = _state_from_covariance(step.state.gps_ms, *self._predicted(state, step))
        return state

    def _process_in_flight(self, state: OrbitState, fix: Fix) -> OrbitUpdate:
        if fix.gps_ms <= state.gps_ms:
            return OrbitUpdate.rejected(fix, RejectCause.NOT_LATER)
        if fix.gps_ms - state.gps_ms > self.settings.start.gap_max_s * 1e3:
            return self._try_restart(OrbitUpdate.rejected(fix, RejectCause.GAP))
        update = self._update(self._propagated(state, fix.gps_ms), fix)
        if update.position_accepted or update.velocity_accepted:
            self._state = update.state
        if not update.position_accepted:
            return self._try_restart(update)
        self._rejected = []
        return update

    def _update(self, predicted: OrbitState, fix: Fix) -> OrbitUpdate:
        """Test position and velocity separately, then update with the parts that pass."""
        limits, factor = self.settings.measurement, self._empirical_factor
        position_observation, velocity_observation = linearise_fix(fix, predicted.x, self.frames, limits)
        position = self._position_gate.test(position_observation, predicted, limits)
        velocity = self._velocity_gate.test(velocity_observation, predicted, limits) if velocity_observation else None
        used = (position.used is not None, velocity is not None and velocity.used is not None)
        scales = (self._position_gate.factor, self._velocity_gate.factor)

        def observe(x: Array) -> Observation:
            parts = zip(linearise_fix(fix, x, self.frames, limits), scales, used, strict=True)
            residual, partials, sigma = Observation.stacked(
                [part.scaled(scale) for part, scale, use in parts if part and use]
            )
            return Observation(residual / sigma, partials / sigma[:, None], np.ones(len(sigma)))

        state, nis = predicted, 0.0
        if any(used):
            x, covariance, nis = self._updated(predicted, observe)
            state = _state_from_covariance(fix.gps_ms, x, covariance)
        self._position_gate = position.gate
        self._velocity_gate = velocity.gate if velocity else self._velocity_gate
        gates = [position.gate] if velocity is None else [position.gate, velocity.gate]
        self._empirical_factor = empirical_factor(factor, gates, self.settings.process_noise.empirical_factor_max)
        return OrbitUpdate(
            fix=fix,
            state=state,
            position_cause=None if used[0] else RejectCause.GATE,
            velocity_cause=None if used[1] else RejectCause.GATE if velocity else RejectCause.NO_VELOCITY,
            nis=nis,
            dof=3 * sum(used),
            position=position.innovation,
            velocity=velocity.innovation if velocity else None,
            empirical_factor=factor,
        )

    # --- Initialisation --------------------------------------------------------------------------------------------

    def _try_restart(self, rejected: OrbitUpdate) -> OrbitUpdate:
        """Re-initialise from the last rejected fixes once enough of them agree."""
        limits = self.settings.start
        self._rejected = [*self._rejected, rejected.fix][-limits.fixes :]
        count = len(self._rejected)
        if count < limits.restart_fixes:
            return rejected
        initialiser = OrbitFilter(replace(self.settings, start=replace(limits, fixes=count)), self.frames.orientation)
        memory = initialiser.memory
        memory.position_gate, memory.velocity_gate = self._position_gate, self._velocity_gate
        updates = [update for fix in self._rejected for update in initialiser.process(fix)]
        if sum(update.position_accepted for update in updates) < limits.restart_fixes:
            return rejected
        self._take_over(initialiser)
        update = next(update for update in updates if update.fix is rejected.fix)
        return replace(update, restarted_from_ms=updates[0].fix.gps_ms)

    def _take_over(self, initialiser: OrbitFilter) -> None:
        """Copy state and gates of the flight filter once it is initialised."""
        if initialiser.state is None:
            return
        memory = initialiser.memory
        self._position_gate, self._velocity_gate = memory.position_gate, memory.velocity_gate
        self._state = initialiser.state
        self._rejected = []


def _state_from_covariance(gps_ms: int, x: Array, covariance: Array) -> OrbitState:
    root = np.linalg.cholesky(0.5 * (covariance + covariance.T))
    return OrbitState(gps_ms, x, np.asarray(root, dtype=np.float64))


class EkfOrbitFilter(ReferenceFilter):
    """Extended Kalman filter by filterpy."""

    def _predicted(self, state: OrbitState, step: OrbitStep) -> tuple[Array, Array]:
        ekf = _ekf(state, 1)
        ekf.F, ekf.Q = step.transition, step.sqrt_noise.dot(step.sqrt_noise.T)
        ekf.predict()
        # It moves the state by F as well, which is right for deviations only.
        return step.state.x, ekf.P

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
    """Return the library's filter at a state for measurements of `measured` components."""
    ekf = ExtendedKalmanFilter(dim_x=SIZE, dim_z=measured)
    ekf.x, ekf.P = state.x, state.covariance
    return ekf


class UkfOrbitFilter(ReferenceFilter):
    """Unscented Kalman filter by filterpy, with 20 sigma points at sqrt(3) standard deviations and one at the centre.

    A fix costs 22 propagation steps per started 30 s since the last one. The gates use the linearised innovation
    covariance; the update itself uses the sigma points.
    """

    def __init__(self, settings: OrbitSettings, orientation: EarthOrientationTable) -> None:
        super().__init__(settings, orientation)
        # alpha 1 and kappa 3 - n fit a Gaussian's fourth moments along each column of the root. The centre's weight is
        # negative, but with beta >= alpha^2 covariances about the mean are sums of squares all the same.
        self._points = MerweScaledSigmaPoints(SIZE, alpha=1.0, beta=2.0, kappa=3.0 - SIZE)

    def _predicted(self, state: OrbitState, step: OrbitStep) -> tuple[Array, Array]:
        def moved(x: Array, step_s: float) -> Array:
            return self._dynamics.step(state.gps_ms, x, step_s)[0]

        ukf = self._ukf(state, 1)
        ukf.Q = step.sqrt_noise.dot(step.sqrt_noise.T)
        ukf.predict(dt=(step.state.gps_ms - state.gps_ms) * 1e-3, fx=moved)
        return ukf.x, ukf.P

    def _updated(self, state: OrbitState, observe: Observe) -> tuple[Array, Array, float]:
        size = len(observe(state.x).residual)
        ukf = self._ukf(state, size)
        ukf.sigmas_f = self._points.sigma_points(ukf.x, ukf.P)
        # Measurements count from the fix: measured is zero, and predicted the residual's negative.
        ukf.update(np.zeros(size), R=np.eye(size), hx=lambda x: -observe(x).residual)
        return ukf.x, ukf.P, float(ukf.mahalanobis) ** 2

    def _ukf(self, state: OrbitState, measured: int) -> UnscentedKalmanFilter:
        """Return the library's filter at a state for measurements of `measured` components.

        Models are passed at each call.
        """
        ukf = UnscentedKalmanFilter(SIZE, measured, dt=0.0, hx=None, fx=None, points=self._points)
        ukf.x, ukf.P = state.x, state.covariance
        return ukf
