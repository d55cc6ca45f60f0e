"""True trajectory of a satellite: propagated numerically by brahe under all forces, or read from an ephemeris."""

from __future__ import annotations  # brahe's types are not evaluated

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Literal, NamedTuple, Self, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import Conditions, FloatArray
from pygnc_ground.scenario.reference import brahe
from pygnc_ground.scenario.settings import (
    Forces,
    Impulse,
    Orbit,
    Partner,
    Settings,
    Spacecraft,
    Thrust,
    noise_generator,
)
from pygnc_ground.truth.ephemeris import NS_PER_MS, Ephemeris

# mypy: disable-error-code="arg-type"
# brahe's stubs declare enumeration members as methods and omit None from optional arguments.


_AREA_STEPS = 16
"""Steps of constant area in a period of its variation."""
DENSITY_STEP_S: Final = 10_800.0
"""Length of the steps in which the error of the density is constant."""


class Integration(NamedTuple):
    """Integrator of a trajectory, whose steps its tolerances in m and m/s choose."""

    method: Literal["DP54", "RKF78"]
    absolute_tolerance: float
    relative_tolerance: float
    max_step_s: float


PRECISE: Final = Integration("DP54", 1e-10, 1e-12, 20.0)
"""Dormand-Prince 5(4) that agrees to 0.2 mm over 3 h with an order-8 method at 5 s steps. Longer steps would show the
error of the quintic interpolation between them. An hour takes 0.15 s at degree 100, and a requested state 10 to 50 us.
"""
OVER_DAYS: Final = Integration("RKF78", 1e-6, 1e-11, 120.0)
"""Agrees to 12 m after 75 h with steps of 30 s, in a sixth of the time."""


Thrusting: TypeAlias = Callable[[float, FloatArray, FloatArray | None], FloatArray]
"""Contribution to the derivative of the state (m/s, m/s2), shape (6,), from time in s, state in GCRF (6,) and
parameters, as brahe calls it.
"""


class Manoeuvres(NamedTuple):
    """Impulses and thrusts of a satellite."""

    impulses: tuple[Impulse, ...] = ()
    thrusts: tuple[Thrust, ...] = ()

    @property
    def changes_s(self) -> list[float]:
        """Times after the start at which velocity or acceleration changes abruptly."""
        of_thrusts = (time_s for each in self.thrusts for time_s in (each.begin_s, each.begin_s + each.duration_s))
        return [*(impulse.at_s for impulse in self.impulses), *of_thrusts]

    def after_impulses(self, t_s: float, state_gcrf: FloatArray) -> FloatArray:
        """Return a state (6,) with the impulses at `t_s` seconds after the start."""
        deltas_mps = np.array([impulse.delta_v_rtn_mps for impulse in self.impulses if impulse.at_s == t_s])
        if not len(deltas_mps):
            return state_gcrf
        axes = np.asarray(brahe.rotation_rtn_to_eci(state_gcrf))
        return np.concatenate((state_gcrf[:3], state_gcrf[3:] + axes @ deltas_mps.sum(axis=0)))

    def thrust(self, t_s: float) -> Thrusting | None:
        """Return the contribution of the thrusts between the changes at `t_s` and after it; None for none."""
        active = [each.acceleration_rtn_mps2 for each in self.thrusts if 0.0 <= t_s - each.begin_s < each.duration_s]
        if not active:
            return None
        sum_rtn_mps2 = np.array(active).sum(axis=0)
        return lambda _time_s, state, _parameters: np.concatenate(
            (np.zeros(3), brahe.rotation_rtn_to_eci(state) @ sum_rtn_mps2)
        )


NO_MANOEUVRES: Final = Manoeuvres()


class SatellitePath(ABC):
    """Position, velocity and environment of a satellite over the time of a scenario."""

    start_gps_ms: int
    """Start of the scenario."""

    @abstractmethod
    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""

    @abstractmethod
    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""

    def conditions(self, t_s: npt.ArrayLike) -> Conditions:
        """Return states and environment at `t_s` seconds after the start, shape (n,)."""
        instants = environment.epochs(self.start_gps_ms, t_s)
        states_gcrf, states_itrf = self.states_gcrf(t_s), self.states_itrf(t_s)
        field_itrf_ut = environment.magnetic_field_itrf_ut(instants, states_itrf[:, :3])
        sun_gcrf_m = environment.sun_position_gcrf_m(self.start_gps_ms, t_s)
        return Conditions(
            t_s=np.asarray(t_s, dtype=np.float64),
            states_gcrf=states_gcrf,
            states_itrf=states_itrf,
            field_gcrf_ut=np.einsum("nji,nj->ni", environment.itrf_from_gcrf(instants), field_itrf_ut),
            sun_gcrf_m=sun_gcrf_m,
            sunlit_fraction=environment.sunlit_fraction(states_gcrf[:, :3], sun_gcrf_m),
        )


class Trajectory(SatellitePath):
    """Propagated trajectory of one satellite."""

    def __init__(
        self,
        start_gps_ms: int,
        duration_s: float,
        state_gcrf: FloatArray,
        craft: Spacecraft,
        forces: Forces,
        *,
        manoeuvres: Manoeuvres = NO_MANOEUVRES,
        area_phase_deg: float = 0.0,
        seed: int = 0,
        integration: Integration = PRECISE,
    ) -> None:
        """Propagate position in m and velocity in m/s in GCRF, shape (6,), from the start over the whole duration.

        The error of the density follows from `seed`.
        """
        self.start_gps_ms = start_gps_ms
        # No integration step extends over an impulse, the begin or end of a thrust, or a change of area or density.
        area_step_s = craft.area_variation_period_s / _AREA_STEPS if craft.area_variation > 0.0 else duration_s
        density_step_s = DENSITY_STEP_S if forces.density_error > 0.0 else duration_s
        density = density_factors(forces, math.ceil(duration_s / density_step_s), seed)
        steps_s = [step for each in (area_step_s, density_step_s) for step in np.arange(0.0, duration_s, each).tolist()]
        changes_s = sorted({*steps_s, *(time_s for time_s in manoeuvres.changes_s if time_s < duration_s)})
        self._begins_s = np.array(changes_s)
        self._parts: list[brahe.NumericalOrbitPropagator] = []
        for begin_s, end_s in pairwise([*changes_s, duration_s]):
            begin, end = environment.epochs(start_gps_ms, [begin_s, end_s])
            state_gcrf = manoeuvres.after_impulses(begin_s, state_gcrf)
            middle_s = (begin_s // area_step_s + 0.5) * area_step_s
            seen = craft_at(craft, middle_s, area_phase_deg)
            dragged = seen.drag_coefficient * density[int(begin_s // density_step_s)]
            model = force_model(msgspec.structs.replace(seen, drag_coefficient=dragged), forces)
            part = _propagator(begin, state_gcrf, model, manoeuvres.thrust(begin_s), integration)
            part.propagate_to(end)
            state_gcrf = np.asarray(part.current_state())
            self._parts.append(part)

    @classmethod
    def of(cls, settings: Settings, partner: Partner | None = None, *, beyond_s: float = 0.0) -> Self:
        """Propagate the main satellite of a scenario, or one of its partners, until `beyond_s` after the scenario.

        Beyond a scenario, that takes days, for which a less precise integration suffices.
        """
        state, craft, phase_deg = initial_state_gcrf(settings.orbit), settings.spacecraft, 0.0
        manoeuvres = Manoeuvres(settings.impulses, settings.thrusts)
        if partner is not None:
            state, manoeuvres = partner_state_gcrf(state, partner), NO_MANOEUVRES
            craft = msgspec.structs.replace(craft, drag_coefficient=partner.drag_ratio * craft.drag_coefficient)
            phase_deg = partner.area_variation_phase_deg
        return cls(
            settings.start_gps_ms,
            settings.duration_s + beyond_s,
            state,
            craft,
            settings.forces,
            manoeuvres=manoeuvres,
            area_phase_deg=phase_deg,
            seed=settings.seed,
            integration=OVER_DAYS if beyond_s else PRECISE,
        )

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""
        times_s = np.atleast_1d(np.asarray(t_s, dtype=np.float64))
        states = np.empty((len(times_s), 6))
        number = np.searchsorted(self._begins_s[1:], times_s, side="right")
        for part, propagator in enumerate(self._parts):
            rows = number == part
            if rows.any():
                states[rows] = propagator.states_gcrf(environment.epochs(self.start_gps_ms, times_s[rows]))
        return states

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
        instants = environment.epochs(self.start_gps_ms, t_s)
        return np.asarray(brahe.state_gcrf_to_itrf(instants, self.states_gcrf(t_s))).reshape(-1, 6)


def craft_at(craft: Spacecraft, t_s: float, phase_deg: float) -> Spacecraft:
    """Return a spacecraft with the area that it has `t_s` seconds after the start."""
    phase = 2.0 * np.pi * t_s / craft.area_variation_period_s + np.radians(phase_deg)
    area_m2 = craft.area_m2 * (1.0 + craft.area_variation * float(np.sin(phase)))
    return msgspec.structs.replace(craft, area_m2=max(area_m2, 0.0))


def density_factors(forces: Forces, steps: int, seed: int) -> list[float]:
    """Return the factors on the density of consecutive steps."""
    white = noise_generator(seed, "density").normal(0.0, forces.density_error, steps)
    kept = math.exp(-DENSITY_STEP_S / forces.density_error_time_s)
    logs = accumulate(white.tolist(), lambda error, one: kept * error + math.sqrt(1.0 - kept * kept) * one)
    return [math.exp(forces.density_bias + error) for error in logs]


def initial_state_gcrf(orbit: Orbit) -> FloatArray:
    """Return position in m and velocity in m/s in GCRF, shape (6,)."""
    # The order of brahe's elements is that of the fields.
    elements = np.array(msgspec.structs.astuple(orbit))
    return np.asarray(brahe.state_koe_to_eci(elements, brahe.AngleFormat.DEGREES))


def partner_state_gcrf(own_state_gcrf: FloatArray, partner: Partner) -> FloatArray:
    """Return the state of a partner in GCRF, shape (6,), from the main satellite's state and the partner's settings.

    Raises:
        ValueError: The partner has no place yet; see `placed_partners`.
    """
    if partner.position_rtn_m is None:
        raise ValueError(f"partner {partner.id} has no position_rtn_m; add it, or draw it by a formation.shape")
    relative = np.array([*partner.position_rtn_m, *partner.velocity_rtn_mps])
    return np.asarray(brahe.state_rtn_to_eci(own_state_gcrf, relative))


def _propagator(
    start: brahe.Epoch,
    state_gcrf: FloatArray,
    model: brahe.ForceModelConfig,
    thrust: Thrusting | None,
    integration: Integration,
) -> brahe.NumericalOrbitPropagator:
    integrator = (
        brahe.NumericalPropagationConfig.with_method(getattr(brahe.IntegrationMethod, integration.method))
        .with_abs_tol(integration.absolute_tolerance)
        .with_rel_tol(integration.relative_tolerance)
        .with_max_step(integration.max_step_s)
        .with_store_accelerations(store=True)
        .with_interpolation_method(brahe.InterpolationMethod.HERMITE_QUINTIC)
    )
    return brahe.NumericalOrbitPropagator(start, state_gcrf, integrator, model, control_input=thrust)


def force_model(craft: Spacecraft, forces: Forces) -> brahe.ForceModelConfig:
    """Return the configuration of brahe's forces on a spacecraft."""
    fixed = brahe.ParameterSource.value
    gravity = brahe.GravityConfiguration.point_mass()
    if forces.gravity_degree > 0:
        gravity = brahe.GravityConfiguration(degree=forces.gravity_degree, order=forces.gravity_degree)
    area = fixed(craft.area_m2)
    drag = brahe.DragConfiguration(brahe.AtmosphericModel.NRLMSISE00, area, fixed(craft.drag_coefficient))
    radiation = brahe.SolarRadiationPressureConfiguration(
        area, fixed(craft.reflectivity_coefficient), brahe.EclipseModel.CONICAL
    )
    bodies = [
        brahe.ThirdBodyConfiguration(body, brahe.EphemerisSource.LowPrecision)
        for body in (brahe.ThirdBody.SUN, brahe.ThirdBody.MOON)
    ]
    # The EGM2008 coefficients are tide-free; AUTO therefore adds the permanent tide.
    tides = brahe.TidesConfiguration(
        permanent=brahe.PermanentTideConfig.AUTO,
        solid=brahe.SolidTideConfig(frequency_dependent=True, pole_tide=True),
    )
    return brahe.ForceModelConfig(
        gravity=gravity,
        drag=drag if forces.drag else None,
        srp=radiation if forces.radiation_pressure else None,
        third_body=bodies if forces.sun_and_moon else None,
        relativity=forces.relativity,
        tides=tides if forces.solid_tides else None,
        mass=fixed(craft.mass_kg),
    )


@dataclass(frozen=True, eq=False)
class EphemerisTrajectory(SatellitePath):
    """Trajectory of a satellite, interpolated in an ephemeris."""

    ephemeris: Ephemeris
    start_gps_ms: int

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in ITRF `t_s` seconds after the start, shape (n, 6).

        Raises:
            ValueError: A time lies in a gap of the ephemeris.
        """
        after_ns = np.rint(np.asarray(t_s, dtype=np.float64) * 1e9).astype(np.int64)
        gps_ns = self.start_gps_ms * NS_PER_MS + after_ns
        states = np.concatenate(self.ephemeris.at_ns(gps_ns), axis=1)
        unknown = np.flatnonzero(np.isnan(states).any(axis=1))
        if unknown.size:
            moment = utc_iso_from_gps_ms(int(gps_ns[unknown[0]]) // NS_PER_MS)
            raise ValueError(
                f"the ephemeris has no state at {moment}; choose a begin and a duration between its gaps"
                f" ({self.ephemeris.description})"
            )
        return states

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF `t_s` seconds after the start, shape (n, 6)."""
        instants = environment.epochs(self.start_gps_ms, t_s)
        return np.asarray(brahe.state_itrf_to_gcrf(instants, self.states_itrf(t_s))).reshape(-1, 6)
