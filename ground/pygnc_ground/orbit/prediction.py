"""Prediction of an orbit over days, with the uncertainty of the drag.

The flight's filter assumes the density of a mean Sun. Where it is a tenth of that, as at a solar minimum, the
linearisation makes the filter too certain of a drag that is too large. Before a prediction, the last hours are
therefore filtered again, with the density for the space weather of the day. From then on, its logarithm is a random
walk.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Self

import numpy as np

from pygnc.environment.drag import harris_priester
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.environment.sun_moon import SunMoon
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.force_model import ForceModel
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings, ProcessNoiseSettings
from pygnc.estimators.orbit.state import DRAG, POSITION, SIZE, VELOCITY, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.solution import newest_state
from pygnc_ground.scenario import environment

_FORCES: Final = ForceModel(gravity_degree=70, step_max_ms=90_000, minor_forces=True)
"""Steps of 90 s cause errors of 10 m in a day, far below those of the drag, and cost a third of steps of 30 s."""
_WALK_SIGMA: Final = 1.4
"""Standard deviation of the logarithm of the density in the correlation time: 0.20 after a day. Over a solar cycle, the
mean density of the next 24 and 72 h, weighted by its effect along the track, differed from that of three hours by 13
and 17 %. The uncertainty of the estimated drag contains the part of this that arises within hours.
"""
_WALK_TIME_S: Final = 8_640_000.0
"""Correlation time of 100 days, with which a Gauss-Markov process is a random walk for days."""
_AREA_SIGMA: Final = math.log(4.0) / math.sqrt(12.0)
"""Standard deviation of the logarithm of the ballistic coefficient, uniform from half to twice the declared one."""
_OBSERVED_SIGMA: Final = 0.2
"""Standard deviation of the logarithm of NRLMSISE-00's density with observed space weather."""
_FORECAST_SIGMA: Final = 0.6
"""Standard deviation of the logarithm of that density with forecast space weather."""
_FILTER_TIME_S: Final = 604_800.0
"""Correlation time of the density in the filter, whose standard deviation is that of the prior."""
_ARC_MS: Final = 43_200_000
"""Time before the newest estimate that is filtered again."""
_INTERVAL_MS: Final = 20_000
"""Least time between fixes that are filtered again: more would hardly show more of the drag."""
_REVOLUTION_PARTS: Final = 24
_RADIAL, _TRANSVERSE, _NORMAL = 2.0, 1.0 / 3.0, 3.0
"""Factors on the empirical accelerations of the flight's filter. Over days, 1e-8 m/s^2 along the track are several
times the effect of ocean tides and albedo; in quiet orbits, more would exceed the uncertainty of the drag.
"""
_VARIATION: Final = 0.5
"""Factor on the flight's variation of the density along an orbit: it repeats, so that it averages out over hours."""


class DragPrior(NamedTuple):
    """Mean and standard deviation of the logarithm of the drag factor before any fix."""

    mean: float
    sigma: float


_UNKNOWN_SPACE_WEATHER: Final = DragPrior(-1.2, 1.2)
"""Mean and scatter of NRLMSISE-00 relative to the filter's model, 400 to 800 km, over a solar cycle."""
_NOWHERE: Final = (DragPrior(0.0, 1.0), 0.0)


class OrbitPrediction(OrbitFilter):
    """Filter that predicts over days, from the newest estimate of the flight's filter.

    Args:
        settings: Settings of the prediction, from `after`.
        orientation: Earth orientation of the flight's filter.
        newest: Its newest estimate, None if there is none.
        start: The same estimate with the drag of the prediction, from `after`.
    """

    def __init__(
        self,
        settings: OrbitSettings,
        orientation: EarthOrientationTable,
        newest: OrbitState | None,
        start: OrbitState | None,
    ) -> None:
        super().__init__(settings, orientation)
        self._dynamics = OrbitDynamics(self.settings, self.frames, model=_FORCES)
        self._newest = newest
        self.start = start

    @classmethod
    def of_updates(cls, updates: Sequence[OrbitUpdate], settings: OrbitSettings, table: EarthOrientationTable) -> Self:
        """Return the prediction after all updates of the flight's filter, by its settings and Earth orientation."""
        is_undisturbed = not any(update.restarted_from_ms is not None or update.time_error_s for update in updates)
        newest = newest_state(updates)
        begin_ms = newest.gps_ms - _ARC_MS if newest else 0
        fixes = [fix for fix in (update.fix for update in updates) if fix.gps_ms >= begin_ms]
        return cls.after(settings, table, newest, fixes, is_undisturbed=is_undisturbed)

    @classmethod
    def after(
        cls,
        settings: OrbitSettings,
        orientation: EarthOrientationTable,
        newest: OrbitState | None,
        fixes: Sequence[Fix],
        *,
        is_undisturbed: bool = False,
    ) -> Self:
        """Return the prediction after all fixes, which are in order of time, by the settings of the flight's filter.

        Without fixes, `newest` is the estimate of a batch, of which only the prior of the drag is exchanged.

        If that filter found no manoeuvre, no other new orbit and no step of the times, the motion `is_undisturbed`: to
        look for manoeuvres again would take half of the time.
        """
        prior, drag_mps2 = _drag_prior(newest, settings, EarthFrames(orientation)) if newest else _NOWHERE
        craft = settings.spacecraft
        craft = replace(craft, drag_coefficient=craft.drag_coefficient * math.exp(prior.mean))
        radial, transverse, normal = settings.process_noise.empirical_sigma_mps2
        empirical = radial, _TRANSVERSE * transverse, normal
        variation = _VARIATION * settings.process_noise.density_variation
        process_noise = replace(settings.process_noise, empirical_sigma_mps2=empirical, density_variation=variation)
        settings = replace(settings, spacecraft=craft, process_noise=process_noise)
        start: OrbitState | None = None
        if newest is not None:
            noise = replace(settings.process_noise, drag_log_sigma=prior.sigma, drag_log_time_s=_FILTER_TIME_S)
            detection = settings.manoeuvre_detection and not is_undisturbed
            again = OrbitFilter(replace(settings, process_noise=noise, manoeuvre_detection=detection), orientation)
            due_ms = newest.gps_ms - _ARC_MS
            for fix in fixes:
                if due_ms <= fix.gps_ms <= newest.gps_ms:
                    again.process(fix)
                    due_ms = fix.gps_ms + _INTERVAL_MS
            again.initialise_from_buffered()
            # The drag now refers to the expected density.
            unfiltered = replace(newest, x=newest.x - prior.mean * np.eye(SIZE)[DRAG])
            if not fixes:
                unfiltered = _with_drag_prior(unfiltered, settings.process_noise.drag_log_sigma, prior)
            start = _with_mean_drag(again.state or unfiltered)
        over_days = replace(settings, process_noise=_over_days(settings.process_noise, drag_mps2, start))
        return cls(over_days, orientation, newest, start)

    @property
    def drag_sigma(self) -> float:
        """Standard deviation of the drag at the newest estimate, relative to the mean; infinite without an estimate."""
        return math.inf if self.start is None else math.sqrt(self.start.covariance[DRAG, DRAG])

    def predict(self, gps_ms: int, start: OrbitState | None = None) -> OrbitState:
        """Return the orbit at a later time, predicted from the newest estimate or from another prediction.

        Its drag has mean and variance of a log-normal distribution.

        Raises:
            ValueError: There is no estimate yet, or `gps_ms` is before it.
        """
        is_prediction = start is not None and start is not self._newest
        return super().predict(gps_ms, start if is_prediction else self.start)

    def _propagated(self, state: OrbitState, gps_ms: int, empirical_factor: float) -> OrbitState:
        del empirical_factor  # belongs to what a filter without fixes assumes on its forces
        return super()._propagated(state, gps_ms, 1.0)


def _drag_prior(state: OrbitState, settings: OrbitSettings, frames: EarthFrames) -> tuple[DragPrior, float]:
    """Return the prior by the densities along the next revolution, and the mean of the drag, m/s^2."""
    position_m, velocity_mps = state.x[POSITION], state.x[VELOCITY]
    square = float(velocity_mps.dot(velocity_mps))
    axis_m = 1.0 / (2.0 / float(np.linalg.norm(position_m)) - square / GM_EARTH_M3_S2)
    step_ms = round(2e3 * math.pi * math.sqrt(axis_m**3 / GM_EARTH_M3_S2) / _REVOLUTION_PARTS)
    end_ms = state.gps_ms + _REVOLUTION_PARTS * step_ms
    is_known = environment.covers(state.gps_ms, end_ms)
    dynamics, sun_moon, x = OrbitDynamics(settings, frames, model=_FORCES), SunMoon(), state.x
    assumed, expected = 0.0, 0.0
    for gps_ms in range(state.gps_ms, end_ms, step_ms):
        earth = frames.at(gps_ms, np.zeros(1))
        pole = earth.rotation_gcrf_rad_s / np.linalg.norm(earth.rotation_gcrf_rad_s)
        sun_m, _ = sun_moon.at(gps_ms, 0.0)
        assumed += harris_priester(x[POSITION], sun_m, pole)[0]
        if is_known:
            expected += environment.density_kg_m3(gps_ms, earth.ecef_from_gcrf[0].dot(x[POSITION]))
        x, _ = dynamics.propagate_vector(gps_ms, x, gps_ms + step_ms)
    prior = _UNKNOWN_SPACE_WEATHER
    if is_known:
        is_observed = state.gps_ms < environment.space_weather_end_gps_ms()
        of_density = _OBSERVED_SIGMA if is_observed else _FORECAST_SIGMA
        prior = DragPrior(math.log(expected / assumed), math.hypot(_AREA_SIGMA, of_density))
    craft = settings.spacecraft
    drag_area = craft.drag_coefficient * craft.area_m2 / craft.mass_kg
    return prior, 0.5 * drag_area * square * math.exp(prior.mean) * assumed / _REVOLUTION_PARTS


def _with_drag_prior(state: OrbitState, sigma: float, prior: DragPrior) -> OrbitState:
    """Return the estimate for another prior of the drag than that of the settings, whose mean is now `-prior.mean`.

    The quotient of both priors is like an observation of the drag, the information of which may be negative.
    """
    information = 1.0 / prior.sigma**2 - 1.0 / sigma**2
    covariance = state.covariance
    with_drag = covariance[:, DRAG]
    # The posterior contains the old prior's pull to its mean; the new one pulls to zero.
    pull = -state.x[DRAG] / prior.sigma**2 + (state.x[DRAG] + prior.mean) / sigma**2
    factor = 1.0 / (1.0 + information * with_drag[DRAG])
    x = state.x + factor * pull * with_drag
    changed = covariance - factor * information * np.outer(with_drag, with_drag)
    return OrbitState(state.gps_ms, x, np.linalg.cholesky(changed))


def _with_mean_drag(state: OrbitState) -> OrbitState:
    """Return the state with mean and variance of the drag instead of those of its logarithm."""
    x, root = state.x.copy(), state.sqrt_covariance.copy()
    variance = float(root[DRAG].dot(root[DRAG]))
    x[DRAG] += 0.5 * variance
    root[DRAG] *= math.sqrt(math.expm1(variance) / variance)
    return OrbitState(state.gps_ms, x, root)


def _over_days(noise: ProcessNoiseSettings, drag_mps2: float, start: OrbitState | None) -> ProcessNoiseSettings:
    """Return the process noise of predictions: the density walks, and errors of the forces repeat in revolutions.

    Radial accelerations have the effect on the eccentricity that a wrong diurnal bulge has. Both are parts of a drag
    that is itself uncertain, so that its mean square counts.
    """
    radial, transverse, normal = noise.empirical_sigma_mps2
    mean, spread = 1.0, 1.0
    if start is not None:
        mean, spread = math.exp(start.x[DRAG]), math.sqrt(1.0 + start.covariance[DRAG, DRAG])
    return replace(
        noise,
        drag_log_sigma=_WALK_SIGMA * spread,
        drag_log_time_s=_WALK_TIME_S,
        empirical_sigma_mps2=(_RADIAL * math.hypot(radial, mean * spread * drag_mps2), transverse, _NORMAL * normal),
    )
