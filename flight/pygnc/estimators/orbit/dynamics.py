"""How the orbit state moves: forces, state transition, covariance.

Position and velocity are integrated together with their derivatives by the whole state (variational equations), all as
one matrix in one Nystroem step of a minute at most. The Earth's gravity is taken at every stage. All other
accelerations change so little within a step (1e-4 of 1e-6 m/s^2) that their value at its middle serves throughout.

Everything but the gravity of a rigid Earth that moves the satellite, and what no model knows.

One step of a sixth-order Runge-Kutta-Nystroem method for y'' = f(t, y).

Source: J. Albrecht, ZAMM 35 (1955) 100-101; five stages at the quarters of the step.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.drag import harris_priester
from pygnc.environment.frames import EarthFrames, rtn_axes
from pygnc.environment.gravity import (
    EARTH_RADIUS_M,
    GM_EARTH_M3_S2,
    gravity,
    gravity_and_gradient,
    solid_tide_acceleration,
)
from pygnc.environment.solar_radiation import radiation_pressure_acceleration
from pygnc.environment.sun_moon import SunMoon, third_body_acceleration
from pygnc.estimators.kalman import triangular
from pygnc.estimators.orbit.process_noise import decay, omitted_gravity_density, sqrt_process_noise
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState


class Surroundings(NamedTuple):
    """What the forces depend on besides the state, in GCRF, each (3,)."""

    sun_m: Array
    moon_m: Array
    earth_rotation_rad_s: Array


class Perturbation(NamedTuple):
    """Perturbing acceleration in m/s^2, GCRF.

    Attributes:
        acceleration: Shape (3,).
        partials: Its derivative by the state, shape (3, 10); by the position only as far as drag is concerned.
    """

    acceleration: Array
    partials: Array


def perturbation(
    x: Array, surroundings: Surroundings, spacecraft: SpacecraftSettings, *, minor_forces: bool = True
) -> Perturbation:
    """Acceleration by Sun, Moon, drag, the empirical term and, as minor forces, tides and sunlight; state `x` (10,).

    Left out of the partials: the gradient of what Sun and Moon do (1e-13 1/s^2) and the turn of the empirical axes with
    the orbit.
    """
    position_m, velocity_mps = x[POSITION], x[VELOCITY]
    axes = rtn_axes(position_m, velocity_mps)
    partials = np.zeros((3, SIZE))
    drag = _drag(x, surroundings, spacecraft, partials)
    partials[:, EMPIRICAL] = axes
    sun_m, moon_m = surroundings.sun_m, surroundings.moon_m
    acceleration = third_body_acceleration(position_m, sun_m, moon_m) + drag + axes.dot(x[EMPIRICAL])
    if minor_forces:
        light_area = spacecraft.reflectivity_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
        acceleration += solid_tide_acceleration(position_m, sun_m, moon_m)
        acceleration += radiation_pressure_acceleration(position_m, sun_m, light_area)
    return Perturbation(acceleration, partials)


def _drag(x: Array, surroundings: Surroundings, spacecraft: SpacecraftSettings, partials: Array) -> Array:
    """Drag against the atmosphere that turns with the Earth; writes its derivatives into `partials`."""
    position_m = x[POSITION]
    spin = surroundings.earth_rotation_rad_s
    spin_cross = cross_matrix(spin)
    wind_mps = x[VELOCITY] - spin_cross.dot(position_m)
    speed_mps = math.sqrt(wind_mps.dot(wind_mps))
    density, gradient = harris_priester(position_m, surroundings.sun_m, spin / math.sqrt(spin.dot(spin)))
    area_per_mass = spacecraft.drag_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
    strength = -0.5 * area_per_mass * speed_mps * math.exp(x[DRAG])
    drag: Array = (strength * density) * wind_mps
    by_velocity = (drag / (speed_mps * speed_mps))[:, None] * wind_mps
    by_velocity.flat[::4] += strength * density
    partials[:, POSITION] = (strength * wind_mps)[:, None] * gradient - by_velocity.dot(spin_cross)
    partials[:, VELOCITY] = by_velocity
    partials[:, DRAG] = drag
    return drag


STAGES: Final = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Where the stages lie, as fractions of the step."""

_STAGE_WEIGHTS: Final = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.0 / 32.0, 0.0, 0.0, 0.0, 0.0],
        [-1.0 / 24.0, 1.0 / 6.0, 0.0, 0.0, 0.0],
        [3.0 / 32.0, 1.0 / 8.0, 1.0 / 16.0, 0.0, 0.0],
        [0.0, 3.0 / 7.0, -1.0 / 14.0, 1.0 / 7.0, 0.0],
    ]
)
_END_WEIGHTS: Final = np.array(
    [
        [7.0 / 90.0, 4.0 / 15.0, 1.0 / 15.0, 4.0 / 45.0, 0.0],
        [7.0 / 90.0, 16.0 / 45.0, 2.0 / 15.0, 16.0 / 45.0, 7.0 / 90.0],
    ]
)


def nystroem_step(y: Array, rate: Array, step_s: float, second: Callable[[int, Array], Array]) -> tuple[Array, Array]:
    """Advance y and dy/dt by `step_s`, which may be negative.

    Args:
        y: Any shape.
        rate: dy/dt, same shape.
        step_s: Step length.
        second: Gives d2y/dt2 at stage 0 to 4 for y there.

    Returns:
        y and dy/dt at the end.
    """
    straight = y.ravel() + (STAGES * step_s)[:, None] * rate.ravel()
    weights = _STAGE_WEIGHTS * (step_s * step_s)
    curvature = np.zeros(straight.shape)
    for stage in range(len(STAGES)):
        y_stage = straight[stage] + weights[stage].dot(curvature)
        curvature[stage] = second(stage, y_stage.reshape(y.shape)).ravel()
    end, end_rate = _END_WEIGHTS.dot(curvature).reshape(2, *y.shape)
    return y + step_s * (rate + step_s * end), rate + step_s * end_rate


_GRADIENT_DEGREE: Final = 8
"""Terms beyond change the gradient by 1e-5 of itself."""

_PARTIALS_OF_POSITION: Final = np.eye(3, SIZE)
_PARTIALS_OF_VELOCITY: Final = np.eye(3, SIZE, 3)


class Advance(NamedTuple):
    """A step: the state at its end, transition matrix (10, 10), root of the process noise on the way (10, 18)."""

    state: OrbitState
    transition: Array
    sqrt_noise: Array


class OrbitDynamics:
    """Propagation of orbit states with one set of settings.

    Each started 30 s (60 s with the coarser models) costs a step: five evaluations of gravity, which grow with the
    square of the degree, and about as much again for everything else (0.2 to 0.4 ms in all on a desktop core).
    """

    def __init__(self, settings: OrbitSettings, frames: EarthFrames) -> None:
        self._model = settings.force_model
        self._spacecraft = settings.spacecraft
        self._noise = settings.process_noise
        self._frames = frames
        self._sun_moon = SunMoon()

    def propagate(self, state: OrbitState, gps_ms: int, empirical_factor: float = 1.0) -> OrbitState:
        """State and covariance at `gps_ms`, with empirical accelerations widened by `empirical_factor`.

        Raises:
            ValueError: `gps_ms` lies before the state.
        """
        if gps_ms < state.gps_ms:
            raise ValueError(f"cannot propagate the covariance back from {state.gps_ms} to {gps_ms} ms GPS")
        while state.gps_ms < gps_ms:
            state = self.advance(state, gps_ms, empirical_factor).state
        return state

    def advance(self, state: OrbitState, gps_ms: int, empirical_factor: float = 1.0) -> Advance:
        """One step of `propagate`, to `gps_ms` or as far as a step goes."""
        end_ms = min(state.gps_ms + self._model.step_max_ms, gps_ms)
        step_s = (end_ms - state.gps_ms) * 1e-3
        x, transition, directions = self.step(state.gps_ms, state.x, step_s)
        white_density = omitted_gravity_density(self._model.gravity_degree, math.sqrt(x[POSITION].dot(x[POSITION])))
        noise = sqrt_process_noise(self._noise, step_s, directions, white_density, empirical_factor)
        root = np.concatenate((transition.dot(state.sqrt_covariance), noise), axis=1)
        return Advance(OrbitState(end_ms, x, triangular(root)), transition, noise)

    def trace(self, gps_ms: int, x: Array, to_gps_ms: int) -> Array:
        """State vector alone, carried forwards or backwards from `gps_ms` to `to_gps_ms`."""
        longest_ms = self._model.step_max_ms
        while gps_ms != to_gps_ms:
            step_ms = max(-longest_ms, min(longest_ms, to_gps_ms - gps_ms))
            x, _, _ = self.step(gps_ms, x, step_ms * 1e-3)
            gps_ms += step_ms
        return x

    def step(self, gps_ms: int, x: Array, step_s: float) -> tuple[Array, Array, Array]:
        """One integration step, forwards or backwards. What has come down to the Earth stays where it is.

        Returns:
            The state at the end (10,), the state transition matrix (10, 10), and the acceleration per unit of the four
            Gauss-Markov processes (3, 4).
        """
        if x[POSITION].dot(x[POSITION]) < EARTH_RADIUS_M**2:
            return x, np.eye(SIZE), np.zeros((3, SIZE - DRAG))
        attitude = self._frames.at(gps_ms, STAGES * step_s)
        ecef_from_gcrf = attitude.ecef_from_gcrf
        middle = self._middle(gps_ms, x, step_s, attitude.rotation_gcrf_rad_s)
        # Sensitivities count from the start of the step, and the processes have decayed for half of it.
        by_start = middle.partials.copy()
        by_start[:, DRAG:] *= decay(self._noise, 0.5 * step_s)

        def second(stage: int, y: Array) -> Array:
            rotation = ecef_from_gcrf[stage]
            position_ecef_m = rotation.dot(y[:, 0])
            inverse = rotation.T
            _, gradient = gravity_and_gradient(position_ecef_m, _GRADIENT_DEGREE)
            result: Array = inverse.dot(gradient).dot(rotation).dot(y)
            result[:, 1:] += by_start
            result[:, 0] = inverse.dot(gravity(position_ecef_m, self._model.gravity_degree)) + middle.acceleration
            return result

        y = np.concatenate((x[POSITION, None], _PARTIALS_OF_POSITION), axis=1)
        rate = np.concatenate((x[VELOCITY, None], _PARTIALS_OF_VELOCITY), axis=1)
        y, rate = nystroem_step(y, rate, step_s, second)
        remaining = decay(self._noise, step_s)
        transition = np.zeros((SIZE, SIZE))
        transition[POSITION] = y[:, 1:]
        transition[VELOCITY] = rate[:, 1:]
        transition.flat[DRAG * (SIZE + 1) :: SIZE + 1] = remaining
        return np.concatenate((y[:, 0], rate[:, 0], remaining * x[DRAG:])), transition, middle.partials[:, DRAG:]

    def _middle(self, gps_ms: int, x: Array, step_s: float, earth_rotation: Array) -> Perturbation:
        """Perturbation halfway through a step, at a position extrapolated to a metre."""
        half_s = 0.5 * step_s
        position_m, velocity_mps = x[POSITION], x[VELOCITY]
        mean_motion_squared = GM_EARTH_M3_S2 / float(position_m.dot(position_m)) ** 1.5
        x_middle = np.empty(SIZE)
        cosine = 1.0 - 0.5 * mean_motion_squared * half_s * half_s
        x_middle[POSITION] = cosine * position_m + half_s * velocity_mps
        x_middle[VELOCITY] = cosine * velocity_mps - (half_s * mean_motion_squared) * position_m
        x_middle[DRAG:] = decay(self._noise, half_s) * x[DRAG:]
        sun_m, moon_m = self._sun_moon.at(gps_ms, half_s)
        surroundings = Surroundings(sun_m, moon_m, earth_rotation)
        return perturbation(x_middle, surroundings, self._spacecraft, minor_forces=self._model.minor_forces)
