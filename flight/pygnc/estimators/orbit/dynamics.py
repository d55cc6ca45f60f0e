"""Dynamics of the orbit state: accelerations, numerical integration, state transition and covariance.

Position and velocity are integrated together with their partial derivatives with respect to the state (variational
equations, Montenbruck & Gill, Satellite Orbits, section 7.2) as one matrix, in Nystroem steps of at most a minute in
low orbits. The Earth's gravity is evaluated at every stage of a step. All other accelerations change so little within a
step (1e-4 of 1e-6 m/s^2) that their value at its middle is used throughout.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.drag import drag_acceleration
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
from pygnc.estimators.orbit.force_model import ForceModel
from pygnc.estimators.orbit.process_noise import decay, omitted_gravity_density, sqrt_process_noise, with_pole
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState

_GRADIENT_DEGREE: Final = 8
"""Degree of the gravity gradient; higher degrees change the gradient by a relative 1e-5."""

_PARTIALS_OF_POSITION: Final = np.eye(3, SIZE)
_PARTIALS_OF_VELOCITY: Final = np.eye(3, SIZE, 3)

_STAGES: Final = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Stages of the integrator as fractions of the step."""
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


class LinearStep(NamedTuple):
    """One integration step, linearised about a state vector.

    Attributes:
        gps_ms: GPS milliseconds at the end of the step.
        x: State vector at the end, shape (10,).
        transition: State transition matrix, shape (10, 10).
        sqrt_noise: Square roots of the process noise covariance, one per factor in `linear_step`, shape (..., 10, 18).
    """

    gps_ms: int
    x: Array
    transition: Array
    sqrt_noise: Array


class OrbitDynamics:
    """Propagation of orbit states.

    Each started 30 s (60 s with the simpler force models) costs one step: five evaluations of gravity, whose cost grows
    with the square of the degree, and about as much again for everything else (0.2 to 0.4 ms in all on a desktop core).
    """

    def __init__(
        self,
        settings: OrbitSettings,
        frames: EarthFrames,
        *,
        model: ForceModel | None = None,
        gradient_degree: int = _GRADIENT_DEGREE,
    ) -> None:
        self._model = model or settings.force_model
        self._gradient_degree = gradient_degree
        self._spacecraft = settings.spacecraft
        self._noise = settings.process_noise
        self.frames = frames
        self._sun_moon = SunMoon()

    def propagate(self, state: OrbitState, gps_ms: int, empirical_factor: float = 1.0) -> OrbitState:
        """Return state and covariance at `gps_ms`.

        `empirical_factor` is a factor on the standard deviations of the empirical accelerations.

        Raises:
            ValueError: `gps_ms` is before the state.
        """
        if gps_ms < state.gps_ms:
            raise ValueError(f"gps_ms must not be before the state at {state.gps_ms} ms GPS, but is {gps_ms}")
        while state.gps_ms < gps_ms:
            end_ms, x, transition, noise = self.linear_step(state.gps_ms, state.x, gps_ms, empirical_factor)
            root = np.concatenate((transition.dot(state.sqrt_covariance), noise), axis=1)
            state = OrbitState(end_ms, x, triangular(root))
        return state

    def linear_step(self, gps_ms: int, x: Array, to_gps_ms: int, empirical_factor: float | Array) -> LinearStep:
        """Return one step from a state vector (10,) towards `to_gps_ms`, at most the longest step of the force model.

        `empirical_factor` (...) are factors on the sigmas of the empirical accelerations, each with its process noise.
        """
        model = self._model.at(x[POSITION], x[VELOCITY])
        end_ms = min(gps_ms + model.step_max_ms, to_gps_ms)
        step_s = (end_ms - gps_ms) * 1e-3
        x, transition, directions = self.step(gps_ms, x, step_s)
        white_density = omitted_gravity_density(model.gravity_degree, math.sqrt(x[POSITION].dot(x[POSITION])))
        settings = with_pole(self._noise, self.frames.orientation.pole_sigma_rad(end_ms))
        noise = sqrt_process_noise(settings, step_s, directions, white_density, empirical_factor)
        return LinearStep(end_ms, x, transition, noise)

    def step_max_ms(self, x: Array) -> int:
        """Return the longest integration step in ms of the force model at a state vector (10,)."""
        return self._model.at(x[POSITION], x[VELOCITY]).step_max_ms

    def propagate_vector(self, gps_ms: int, x: Array, to_gps_ms: int) -> tuple[Array, Array]:
        """Return state vector (10,) and transition matrix (10, 10) at `to_gps_ms`, before or after `gps_ms`."""
        transition = np.eye(SIZE)
        while gps_ms != to_gps_ms:
            longest_ms = self.step_max_ms(x)
            step_ms = max(-longest_ms, min(longest_ms, to_gps_ms - gps_ms))
            x, step, _ = self.step(gps_ms, x, step_ms * 1e-3)
            transition = step.dot(transition)
            gps_ms += step_ms
        return x, transition

    def step(self, gps_ms: int, x: Array, step_s: float) -> tuple[Array, Array, Array]:
        """Integrate over a step, forwards or backwards. A state below the Earth's surface is returned unchanged.

        Args:
            gps_ms: Time of the state, GPS ms.
            x: State vector, shape (10,).
            step_s: Step length, s; negative to integrate backwards.

        Returns:
            The state at the end (10,), the state transition matrix (10, 10), and the acceleration (GCRF, m/s^2) per
            unit of the four Gauss-Markov processes (3, 4).
        """
        if x[POSITION].dot(x[POSITION]) < EARTH_RADIUS_M**2:
            return x, np.eye(SIZE), np.zeros((3, SIZE - DRAG))
        model = self._model.at(x[POSITION], x[VELOCITY])
        attitude = self.frames.at(gps_ms, _STAGES * step_s)
        ecef_from_gcrf = attitude.ecef_from_gcrf
        middle_mps2, middle_partials = self._perturbation_at_middle(
            gps_ms, x, step_s, attitude.rotation_gcrf_rad_s, minor_forces=model.minor_forces
        )
        # The partials refer to the start of the step, and the processes decay for half a step until its middle.
        d_start = middle_partials.copy()
        d_start[:, DRAG:] *= decay(self._noise, 0.5 * step_s)

        def second_derivative(stage: int, y: Array) -> Array:
            rotation = ecef_from_gcrf[stage]
            position_ecef_m = rotation.dot(y[:, 0])
            inverse = rotation.T
            _, gradient = gravity_and_gradient(position_ecef_m, self._gradient_degree)
            result: Array = inverse.dot(gradient).dot(rotation).dot(y)
            result[:, 1:] += d_start
            result[:, 0] = inverse.dot(gravity(position_ecef_m, model.gravity_degree)) + middle_mps2
            return result

        y = np.concatenate((x[POSITION, None], _PARTIALS_OF_POSITION), axis=1)
        rate = np.concatenate((x[VELOCITY, None], _PARTIALS_OF_VELOCITY), axis=1)
        y, rate = nystroem_step(y, rate, step_s, second_derivative)
        remaining = decay(self._noise, step_s)
        transition = np.zeros((SIZE, SIZE))
        transition[POSITION] = y[:, 1:]
        transition[VELOCITY] = rate[:, 1:]
        transition.flat[DRAG * (SIZE + 1) :: SIZE + 1] = remaining
        return np.concatenate((y[:, 0], rate[:, 0], remaining * x[DRAG:])), transition, middle_partials[:, DRAG:]

    def _perturbation_at_middle(
        self, gps_ms: int, x: Array, step_s: float, earth_rotation_rad_s: Array, *, minor_forces: bool
    ) -> tuple[Array, Array]:
        """Return `perturbation` halfway through a step, at a position extrapolated to within a metre."""
        half_s = 0.5 * step_s
        position_m, velocity_mps = x[POSITION], x[VELOCITY]
        mean_motion_squared = GM_EARTH_M3_S2 / float(position_m.dot(position_m)) ** 1.5
        x_middle = np.empty(SIZE)
        cosine = 1.0 - 0.5 * mean_motion_squared * half_s * half_s
        x_middle[POSITION] = cosine * position_m + half_s * velocity_mps
        x_middle[VELOCITY] = cosine * velocity_mps - (half_s * mean_motion_squared) * position_m
        x_middle[DRAG:] = decay(self._noise, half_s) * x[DRAG:]
        sun_m, moon_m = self._sun_moon.at(gps_ms, half_s)
        return perturbation(x_middle, sun_m, moon_m, earth_rotation_rad_s, self._spacecraft, minor_forces=minor_forces)


def perturbation(
    x: Array,
    sun_m: Array,
    moon_m: Array,
    earth_rotation_rad_s: Array,
    spacecraft: SpacecraftSettings,
    *,
    minor_forces: bool = True,
) -> tuple[Array, Array]:
    """Return the acceleration by Sun, Moon, drag, empirical acceleration and, as minor forces, tides and sunlight.

    The partials neglect the gravity gradient of Sun and Moon (1e-13 1/s^2) and the rotation of the RTN axes of the
    empirical acceleration with the orbit.

    Args:
        x: State vector, shape (10,).
        sun_m: Geocentric position of the Sun, GCRF, m, shape (3,).
        moon_m: Geocentric position of the Moon, GCRF, m, shape (3,).
        earth_rotation_rad_s: Angular velocity of the Earth, GCRF, rad/s, shape (3,).
        spacecraft: Mass, area and coefficients.
        minor_forces: True to include solid Earth tides and radiation pressure.

    Returns:
        Acceleration in m/s^2, GCRF, shape (3,), and its derivative with respect to the state, (3, 10), of which the
        position columns contain drag only.
    """
    position_m, velocity_mps = x[POSITION], x[VELOCITY]
    axes = rtn_axes(position_m, velocity_mps)
    drag_area = spacecraft.drag_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
    partials = np.zeros((3, SIZE))
    drag, partials[:, POSITION], partials[:, VELOCITY] = drag_acceleration(
        position_m, velocity_mps, sun_m, earth_rotation_rad_s, drag_area, math.exp(x[DRAG])
    )
    partials[:, DRAG] = drag
    partials[:, EMPIRICAL] = axes
    acceleration = third_body_acceleration(position_m, sun_m, moon_m) + drag
    acceleration += axes.dot(x[EMPIRICAL])
    if minor_forces:
        light_area = spacecraft.reflectivity_coefficient * spacecraft.area_m2 / spacecraft.mass_kg
        acceleration += solid_tide_acceleration(position_m, sun_m, moon_m)
        acceleration += radiation_pressure_acceleration(position_m, sun_m, light_area)
    return acceleration, partials


def nystroem_step(
    y: Array, rate: Array, step_s: float, second_derivative: Callable[[int, Array], Array]
) -> tuple[Array, Array]:
    """Integrate y'' = f(t, y) over a step with a sixth-order Runge-Kutta-Nystroem method of five stages.

    Source: J. Albrecht, ZAMM 35 (1955) 100-101.

    Args:
        y: Initial value, any shape.
        rate: Initial dy/dt, shape of `y`.
        step_s: Step length, s; it may be negative.
        second_derivative: Returns d2y/dt2 for y at stage 0 to 4, at the quarters of the step.

    Returns:
        y and dy/dt at the end.
    """
    straight = y.ravel() + (_STAGES * step_s)[:, None] * rate.ravel()
    weights = _STAGE_WEIGHTS * (step_s * step_s)
    curvature = np.zeros(straight.shape)
    for stage in range(len(_STAGES)):
        y_stage = straight[stage] + weights[stage].dot(curvature)
        curvature[stage] = second_derivative(stage, y_stage.reshape(y.shape)).ravel()
    end, end_rate = _END_WEIGHTS.dot(curvature).reshape(2, *y.shape)
    return y + step_s * (rate + step_s * end), rate + step_s * end_rate
