"""Mean elements of SGP4 fitted to the predicted orbit of the filter, with the error to expect from them.

The filter's orbit is predicted over the next day with all forces and its covariance. Gauss-Newton least squares fits
the elements to the predicted positions. A prior constrains B*, because the effect of drag in a day may be smaller than
what SGP4 neglects. The stated error at a time is the largest value until then of the distance between elements and
prediction plus two standard deviations of the prediction along its worst direction.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.common.mean_elements import RANGES, STATED_HOURS, MeanElements
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.environment.sgp4 import Sgp4Error, gcrf_from_teme, teme_states
from pygnc.environment.time_scales import MS_PER_DAY
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.force_model import ForceModel
from pygnc.estimators.orbit.settings import SpacecraftSettings
from pygnc.estimators.orbit.state import DRAG, POSITION, VELOCITY, OrbitState, osculating_elements

SPAN_MS: Final = MS_PER_DAY
"""Time over which the elements are fitted to the prediction, ms."""
_MODEL_SIGMA_M: Final = 500.0
"""Size of what SGP4 neglects over a day in low Earth orbit; it balances positions against the prior of B*."""
_FORCES: Final = ForceModel(50, 60_000, minor_forces=True)
"""Most accurate force model of the day. In a low orbit, it is off by 10 m in the end, 2 % of what SGP4 neglects."""
_ITERATIONS: Final = 12
_BSTAR = 6
_STEPS: Final = np.array((1e-7, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 1e-5))
"""Steps of the numerical partial derivatives, in the units of `_elements`: a few metres each."""


class FitError(ValueError):
    """Error raised when no mean elements fit an orbit."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedElements:
    """Mean elements and the error to expect from them.

    Attributes:
        elements: The elements; their epoch is that of the fitted state.
        rms_m: RMS distance between the elements' orbit and the prediction, m.
        error_m: Errors at `STATED_HOURS` that are exceeded with a probability of at most about 5 %, m.
    """

    elements: MeanElements
    rms_m: float
    error_m: tuple[float, ...]


def fit_in_steps(orbit: OrbitFilter, state: OrbitState) -> Iterator[FittedElements | None]:
    """Predict a day from `state` in slices, then fit; yield None after each slice, and the result as last item.

    The epoch of the elements is that of `state`. The filter does not change.

    Raises:
        FitError: No mean elements fit the orbit.
    """
    forces = orbit.settings.force_model
    degree, step_ms = min(forces.gravity_degree, _FORCES.gravity_degree), max(forces.step_max_ms, _FORCES.step_max_ms)
    dynamics = OrbitDynamics(
        orbit.settings, orbit.frames, model=replace(forces, gravity_degree=degree, step_max_ms=step_ms)
    )
    factor = orbit.empirical_factor
    states = [state]
    for predicted in predicted_day(state, lambda gps_ms, start: dynamics.propagate(start, gps_ms, factor)):
        states.append(predicted)
        yield None
    yield fit_elements(states, orbit.frames, orbit.settings.spacecraft)


def predicted_day(state: OrbitState, predict: Callable[[int, OrbitState], OrbitState]) -> Iterator[OrbitState]:
    """Yield the states of the day after `state` to which mean elements are fitted.

    `predict` returns the state at a later time, in GPS ms, predicted from a state.
    """
    end_ms = state.gps_ms + SPAN_MS
    while state.gps_ms < end_ms:
        state = predict(state.gps_ms + _slice_ms(state), state)
        yield state


def _slice_ms(state: OrbitState) -> int:
    """Return the time in ms from a state to the next predicted position."""
    radius_m, velocity_mps = float(np.linalg.norm(state.x[POSITION])), state.x[VELOCITY]
    # Ratio of radius and semi-major axis by the vis-viva equation.
    ratio = 2.0 - radius_m * float(velocity_mps.dot(velocity_mps)) / GM_EARTH_M3_S2
    # SGP4's error changes fast near the perigee of an eccentric orbit, so positions must be denser there.
    return 180_000 if ratio < 0.8 else 900_000


def fit_elements(states: Sequence[OrbitState], frames: EarthFrames, spacecraft: SpacecraftSettings) -> FittedElements:
    """Return mean elements, with the first state's epoch, fitted to at least three states in ascending order of time.

    The prior of B* follows from area, mass and drag coefficient.

    Raises:
        FitError: No mean elements fit the states.
    """
    times = [state.gps_ms for state in states]
    rotations = [gcrf_from_teme(ms, frames).T for ms in times]
    positions_m = np.array([rotation.dot(s.x[POSITION]) for rotation, s in zip(rotations, states, strict=True)])
    first = states[0]
    drag_area = spacecraft.drag_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
    # B* is half of the ballistic coefficient times SGP4's reference density (Hoots, Spacetrack 3).
    prior = 0.5 * 0.15696615 * drag_area * math.exp(first.x[DRAG])
    state = np.append(rotations[0].dot(first.x[POSITION]), rotations[0].dot(first.x[VELOCITY]))
    semi_major_m, latitude, e_cos, e_sin, inclination, node = osculating_elements(state)
    motion = 1e3 * math.sqrt(GM_EARTH_M3_S2 / semi_major_m**3)
    start = np.array((motion, e_cos, e_sin, inclination, node, latitude, prior))
    try:
        parameters = _least_squares(start, times, positions_m, prior)
        elements = _elements(parameters, times[0])
        distance_m = np.linalg.norm(teme_states(elements, times)[:, POSITION] - positions_m, axis=1)
    except Sgp4Error as error:
        raise FitError(f"no mean elements fit the orbit: {error}") from error
    sigma_m = [math.sqrt(np.linalg.eigvalsh(s.covariance[POSITION, POSITION])[-1]) for s in states]
    bound_m = np.maximum.accumulate(distance_m + 2.0 * np.array(sigma_m))
    hours = (np.array(times) - times[0]) / 3.6e6
    stated = tuple(float(bound_m[hours <= hour][-1]) for hour in STATED_HOURS)
    return FittedElements(elements, float(np.sqrt(np.mean(distance_m**2))), stated)


def _least_squares(parameters: Array, times: Sequence[int], positions_m: Array, prior: float) -> Array:
    """Return the best parameters (7,) of `_elements`, from initial ones; `positions_m` (n, 3) are in TEME."""
    scale = np.concatenate((np.full(positions_m.size, 1.0 / _MODEL_SIGMA_M), (1.0 / max(prior, 1e-6),)))

    def residuals(at: Array) -> Array:
        computed_m = teme_states(_elements(at, times[0]), times)[:, POSITION]
        weighted: Array = scale * np.append((positions_m - computed_m).ravel(), prior - at[_BSTAR])
        return weighted

    for _ in range(_ITERATIONS):
        now = residuals(parameters)
        columns = [
            (residuals(parameters + step) - residuals(parameters - step)) / (2.0 * step.sum())
            for step in np.diag(_STEPS)
        ]
        partials = -np.stack(columns, axis=1)
        change = np.linalg.lstsq(partials, now, rcond=None)[0]
        parameters = parameters + change
        if np.abs(partials.dot(change)).max() * _MODEL_SIGMA_M < 0.1:
            return parameters
    raise FitError(f"no mean elements fit the orbit: not converged after {_ITERATIONS} iterations")


def _elements(parameters: Array, epoch_gps_ms: int) -> MeanElements:
    """Return the elements of parameters: mean motion (1e-3 rad/s), e cos w, e sin w, i, node, w + M (rad) and B*."""
    motion, e_cos, e_sin, inclination, node, latitude, bstar = parameters.tolist()
    if inclination < 0.0:
        # A correction may take a nearly equatorial orbit across the equator; it is then counted from the other node.
        inclination, node, latitude = -inclination, node + math.pi, latitude + math.pi
        e_cos, e_sin = -e_cos, -e_sin
    perigee = math.atan2(e_sin, e_cos)
    eccentricity = math.hypot(e_cos, e_sin)
    if eccentricity > RANGES["eccentricity"][1]:
        raise FitError(f"the eccentricity of the orbit is {eccentricity:.3f}; mean elements need less")
    return MeanElements(
        epoch_gps_ms=epoch_gps_ms,
        mean_motion_rev_per_day=1e-3 * motion * 86_400.0 / (2.0 * math.pi),
        eccentricity=eccentricity,
        inclination_deg=math.degrees(inclination),
        raan_deg=math.degrees(node) % 360.0,
        argument_of_perigee_deg=math.degrees(perigee) % 360.0,
        mean_anomaly_deg=math.degrees(latitude - perigee) % 360.0,
        bstar_per_radius=bstar,
    )
