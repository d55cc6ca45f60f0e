"""The true motion: one satellite under all forces, propagated numerically by brahe.

Where a satellite is, whether it was propagated or read from an ephemeris.
"""

from typing import Protocol

import brahe
import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario import earth
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.settings import Forces, Orbit, Partner, Spacecraft

# mypy: disable-error-code="arg-type"
# brahe's stubs declare the members of its enumerations as methods and leave None out of optional arguments.


# Dormand-Prince 5(4) with these tolerances agrees with a method of order 8 in steps of 5 s to 0.2 mm over 3 h.
# Longer steps would let the quintic interpolation between them show.
_ABSOLUTE_TOLERANCE = 1e-10
_RELATIVE_TOLERANCE = 1e-12
_MAX_STEP_S = 20.0


class Trajectory:
    """Position and velocity of one satellite from the start over a duration.

    Cost: about 0.15 s per hour at degree 100 and 10 to 50 us per state asked for.
    """

    def __init__(
        self, start_gps_ms: int, duration_s: float, state_gcrf: FloatArray, craft: Spacecraft, forces: Forces
    ) -> None:
        """Propagate.

        Args:
            start_gps_ms: GPS time of the start in milliseconds.
            duration_s: How far.
            state_gcrf: Position in m and velocity in m/s at the start, shape (6,).
            craft: Mass and surface.
            forces: Which forces act.
        """
        self._start_gps_ms = start_gps_ms
        self.initial_state_gcrf = state_gcrf
        start, end = earth.epochs(start_gps_ms, [0.0, duration_s])
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

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""
        instants = earth.epochs(self._start_gps_ms, t_s)
        return np.asarray(self._propagator.states_gcrf(instants)).reshape(-1, 6)

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
        instants = earth.epochs(self._start_gps_ms, t_s)
        return np.asarray(brahe.state_gcrf_to_itrf(instants, self.states_gcrf(t_s))).reshape(-1, 6)


def initial_state_gcrf(orbit: Orbit) -> FloatArray:
    """Position in m and velocity in m/s, shape (6,)."""
    elements = [
        orbit.semi_major_axis_m,
        orbit.eccentricity,
        orbit.inclination_deg,
        orbit.raan_deg,
        orbit.argument_of_perigee_deg,
        orbit.mean_anomaly_deg,
    ]
    return np.asarray(brahe.state_koe_to_eci(np.array(elements), brahe.AngleFormat.DEGREES))


def partner_state_gcrf(own_state_gcrf: FloatArray, partner: Partner) -> FloatArray:
    """State of a partner from that of this satellite and the relative state in RTN, shape (6,)."""
    relative = np.array([*partner.position_rtn_m, *partner.velocity_rtn_mps])
    return np.asarray(brahe.state_rtn_to_eci(own_state_gcrf, relative))


def _force_model(craft: Spacecraft, forces: Forces) -> brahe.ForceModelConfig:
    fixed = brahe.ParameterSource.value
    gravity = brahe.GravityConfiguration.point_mass()
    if forces.gravity_degree > 0:
        gravity = brahe.GravityConfiguration(degree=forces.gravity_degree, order=forces.gravity_degree)
    drag = brahe.DragConfiguration(
        model=brahe.AtmosphericModel.NRLMSISE00, area=fixed(craft.area_m2), cd=fixed(craft.drag_coefficient)
    )
    radiation = brahe.SolarRadiationPressureConfiguration(
        area=fixed(craft.area_m2),
        cr=fixed(craft.reflectivity_coefficient),
        eclipse_model=brahe.EclipseModel.CONICAL,
    )
    bodies = [
        brahe.ThirdBodyConfiguration(body, brahe.EphemerisSource.LowPrecision)
        for body in (brahe.ThirdBody.SUN, brahe.ThirdBody.MOON)
    ]
    # EGM2008's coefficients are free of tides; AUTO sees that and adds the permanent one.
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


class SatellitePath(Protocol):
    """Position and velocity over a scenario's time."""

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
