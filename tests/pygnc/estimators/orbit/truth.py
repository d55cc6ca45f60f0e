"""A satellite's true path by brahe, with forces the filter does not have, and the fixes a receiver makes of it."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix, RejectCause
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.update import OrbitUpdate
from tests.pygnc.environment.authority import brahe, ecef_state, epoch, orientation_table

CADENCE_S = 25
ORIENTATION = orientation_table()
MASS_KG, AREA_M2, DRAG_COEFFICIENT, REFLECTIVITY = 1.58, 0.02, 2.2, 1.3


@dataclass(frozen=True, eq=False)
class Truth:
    """States each 25 s: GPS milliseconds (n,), GCRF (n, 6) and ITRF (n, 6)."""

    gps_ms: list[int]
    gcrf: Array
    ecef: Array

    def index(self, gps_ms: int) -> int:
        return self.gps_ms.index(gps_ms)


@cache
def sun_synchronous(hours: float = 3.0, altitude_m: float = 500e3, cadence_s: int = CADENCE_S) -> Truth:
    """Gravity 70x70, Sun, Moon, tides, NRLMSISE-00 drag with real space weather, radiation pressure, relativity."""
    elements = np.array([brahe.R_EARTH + altitude_m, 0.001, 97.4, 30.0, 90.0, 45.0])
    start = np.asarray(brahe.state_koe_to_eci(elements, brahe.AngleFormat.DEGREES), dtype=np.float64)
    begin_ms = gps_ms_from_utc_iso("2024-02-07T00:00:00Z")
    gps_ms = [begin_ms + 1000 * cadence_s * k for k in range(round(hours * 3600 / cadence_s) + 1)]
    gcrf = propagate(start, gps_ms, drag=True, radiation=True, tides=True, relativity=True)
    ecef = np.array([ecef_state(ms, state) for ms, state in zip(gps_ms, gcrf, strict=True)])
    return Truth(gps_ms, gcrf, ecef)


def propagate(
    state: Array,
    gps_ms: list[int],
    degree: int = 70,
    *,
    drag: bool = False,
    radiation: bool = False,
    tides: bool = False,
    relativity: bool = False,
) -> Array:
    """States (n, 6) in GCRF at `gps_ms`, the first of which is `state`'s."""
    parameter = brahe.ParameterSource.parameter_index
    low_precision = brahe.EphemerisSource.LowPrecision
    forces = brahe.ForceModelConfig(
        gravity=brahe.GravityConfiguration(degree=degree, order=degree, model_type=brahe.GravityModelType.EGM2008_120),
        third_body=[
            brahe.ThirdBodyConfiguration(body, low_precision) for body in (brahe.ThirdBody.SUN, brahe.ThirdBody.MOON)
        ],
        drag=brahe.DragConfiguration(brahe.AtmosphericModel.NRLMSISE00, parameter(1), parameter(2)) if drag else None,
        srp=brahe.SolarRadiationPressureConfiguration(
            area=parameter(1), cr=parameter(3), eclipse_model=brahe.EclipseModel.CONICAL
        )
        if radiation
        else None,
        tides=brahe.TidesConfiguration(brahe.PermanentTideConfig.AUTO, brahe.SolidTideConfig(frequency_dependent=True))
        if tides
        else None,
        relativity=relativity,
        mass=parameter(0),
    )
    integrator = brahe.IntegratorConfig.adaptive(abs_tol=1e-7, rel_tol=1e-11)
    propagator = brahe.NumericalOrbitPropagator(
        epoch(gps_ms[0]),
        state,
        brahe.NumericalPropagationConfig(brahe.IntegrationMethod.RKF78, integrator, brahe.VariationalConfig()),
        forces,
        np.array([MASS_KG, AREA_M2, DRAG_COEFFICIENT, REFLECTIVITY]),
    )
    states = [state]
    for ms in gps_ms[1:]:
        propagator.propagate_to(epoch(ms))
        states.append(np.asarray(propagator.current_state(), dtype=np.float64)[:6])
    return np.array(states)


def make_fixes(
    truth: Truth,
    position_sigma_m: float = 10.0,
    velocity_sigma_mps: float = 0.01,
    *,
    seed: int = 1,
    claim: float = 1.0,
) -> list[Fix]:
    """Fixes with white noise; the receiver claims `claim` times its true standard deviations."""
    random = np.random.default_rng(seed)
    return [
        Fix(
            gps_ms=gps_ms,
            position_ecef_m=state[:3] + random.normal(0.0, position_sigma_m, 3),
            position_sigma_m=np.full(3, claim * position_sigma_m),
            velocity_ecef_mps=state[3:] + random.normal(0.0, velocity_sigma_mps, 3),
            velocity_sigma_mps=np.full(3, claim * velocity_sigma_mps),
            velocity_latency_s=0.0,
            seq=seq,
        )
        for seq, (gps_ms, state) in enumerate(zip(truth.gps_ms, truth.ecef, strict=True))
    ]


def displaced(fix: Fix, by_m: Array) -> Fix:
    """The fix with a wrong position."""
    return replace(fix, position_ecef_m=fix.position_ecef_m + by_m)


def position_only(fix: Fix) -> Fix:
    """The fix without its velocity."""
    return replace(fix, velocity_ecef_mps=None, velocity_sigma_mps=None)


def run(fixes: list[Fix], settings: OrbitSettings | None = None) -> tuple[OrbitFilter, list[OrbitUpdate]]:
    """Return the filter after all fixes, and its results."""
    orbit = OrbitFilter(settings or OrbitSettings(), ORIENTATION)
    updates = [update for fix in fixes for update in orbit.process(fix)]
    return orbit, [*updates, *orbit.initialise_from_buffered()]


def position_errors(updates: list[OrbitUpdate], truth: Truth) -> dict[int, float]:
    """Distance of each estimate from the truth in m, by the fix's GPS milliseconds."""
    return {
        update.fix.gps_ms: float(np.linalg.norm(update.state.x[:3] - truth.gcrf[truth.index(update.fix.gps_ms), :3]))
        for update in updates
        if update.state is not None
    }


def last_error_m(updates: list[OrbitUpdate], truth: Truth) -> float:
    """Return the error of the last position in m."""
    return list(position_errors(updates, truth).values())[-1]


def causes(updates: list[OrbitUpdate]) -> dict[int, RejectCause]:
    """Return the causes of rejected positions by number of the fix."""
    return {update.fix.seq: update.position_cause for update in updates if update.position_cause}
