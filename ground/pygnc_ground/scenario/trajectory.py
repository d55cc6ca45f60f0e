"""True trajectory of a satellite: propagated numerically by brahe under all forces, or read from an ephemeris."""

from dataclasses import dataclass
from typing import Protocol, Self

import brahe
import msgspec
import numpy as np
import numpy.typing as npt

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.settings import Forces, Orbit, Partner, Settings, Spacecraft
from pygnc_ground.truth.ephemeris import NS_PER_MS, Ephemeris

# mypy: disable-error-code="arg-type"
# brahe's stubs declare enumeration members as methods and omit None from optional arguments.


# Dormand-Prince 5(4) with these tolerances agrees to 0.2 mm over 3 h with an order-8 method at 5 s steps. Longer steps
# would show the error of the quintic interpolation between them.
_ABSOLUTE_TOLERANCE = 1e-10
_RELATIVE_TOLERANCE = 1e-12
_MAX_STEP_S = 20.0


class Trajectory:
    """Propagated trajectory of one satellite.

    Propagation takes about 0.15 s per hour at degree 100; each requested state takes 10 to 50 us.
    """

    def __init__(
        self, start_gps_ms: int, duration_s: float, state_gcrf: FloatArray, craft: Spacecraft, forces: Forces
    ) -> None:
        """Propagate position in m and velocity in m/s in GCRF, shape (6,), from the start over the whole duration."""
        self._start_gps_ms = start_gps_ms
        self.initial_state_gcrf = state_gcrf
        start, end = environment.epochs(start_gps_ms, [0.0, duration_s])
        integrator = (
            brahe.NumericalPropagationConfig.with_method(brahe.IntegrationMethod.DP54)
            .with_abs_tol(_ABSOLUTE_TOLERANCE)
            .with_rel_tol(_RELATIVE_TOLERANCE)
            .with_max_step(_MAX_STEP_S)
            .with_store_accelerations(store=True)
            .with_interpolation_method(brahe.InterpolationMethod.HERMITE_QUINTIC)
        )
        self._propagator = brahe.NumericalOrbitPropagator(start, state_gcrf, integrator, _force_model(craft, forces))
        self._propagator.propagate_to(end)

    @classmethod
    def of(cls, settings: Settings, partner: Partner | None = None) -> Self:
        """Propagate the main satellite of a scenario, or one of its partners."""
        state = initial_state_gcrf(settings.orbit)
        if partner is not None:
            state = partner_state_gcrf(state, partner)
        return cls(settings.start_gps_ms, settings.duration_s, state, settings.spacecraft, settings.forces)

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""
        instants = environment.epochs(self._start_gps_ms, t_s)
        return np.asarray(self._propagator.states_gcrf(instants)).reshape(-1, 6)

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
        instants = environment.epochs(self._start_gps_ms, t_s)
        return np.asarray(brahe.state_gcrf_to_itrf(instants, self.states_gcrf(t_s))).reshape(-1, 6)


def initial_state_gcrf(orbit: Orbit) -> FloatArray:
    """Return position in m and velocity in m/s in GCRF, shape (6,)."""
    # The order of brahe's elements is that of the fields.
    elements = np.array(msgspec.structs.astuple(orbit))
    return np.asarray(brahe.state_koe_to_eci(elements, brahe.AngleFormat.DEGREES))


def partner_state_gcrf(own_state_gcrf: FloatArray, partner: Partner) -> FloatArray:
    """Return the state of a partner in GCRF, shape (6,), from the main satellite's state and the partner's settings."""
    relative = np.array([*partner.position_rtn_m, *partner.velocity_rtn_mps])
    return np.asarray(brahe.state_rtn_to_eci(own_state_gcrf, relative))


def _force_model(craft: Spacecraft, forces: Forces) -> brahe.ForceModelConfig:
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


@dataclass(frozen=True, slots=True, eq=False)
class EphemerisTrajectory:
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


class SatellitePath(Protocol):
    """Position and velocity over the time of a scenario, propagated or read from an ephemeris."""

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
