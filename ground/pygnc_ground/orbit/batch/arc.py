"""One arc from its fixes to an orbit, and what is worth knowing of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch import parameters
from pygnc_ground.orbit.batch.fit import ArcFit, ArcFitter, NoOrbitError
from pygnc_ground.orbit.batch.observations import inertial, observe_positions, observe_velocities
from pygnc_ground.orbit.batch.start import first_orbit
from pygnc_ground.orbit.batch.trajectory import ArcDynamics, Grid
from pygnc_ground.orbit.solution import FloatArray, IntArray

FIXES_MIN: Final = 4
"""Fewer leave nothing to tell a wild one by."""


class ArcFailed(ValueError):  # noqa: N818 - what happened, as in the report
    """The fixes give no orbit; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchArc:
    """Parameters and residuals of an arc."""

    first_gps_ms: int
    last_gps_ms: int
    """Of the fixes"""
    fixes: int
    positions_accepted: int
    velocities_accepted: int
    begin_gps_ms: int
    begin_gcrf: FloatArray
    """(6,), the state there"""
    begin_sigma: FloatArray
    """(6,)"""
    node_gps_ms: IntArray
    """(k,), where the parameters below hold; linear in between"""
    drag_factor: FloatArray
    """(k,), on the density of the model"""
    drag_log_sigma: FloatArray
    """(k,), of its natural logarithm"""
    empirical_rtn_mps2: FloatArray
    """(k, 3)"""
    empirical_sigma_mps2: FloatArray
    """(k, 3)"""
    reflectivity_coefficient: float
    reflectivity_sigma: float
    factors: parameters.Factors
    """On the settings' a-priori sigmas, as the fixes want them"""
    position_noise_scale: float
    velocity_noise_scale: float
    """On the receiver's sigmas"""
    position_rms_m: float
    velocity_rms_mps: float
    """Of the accepted residuals, 3-D; NaN for none"""
    iterations: int
    converged: bool
    """Whether nothing moves any more, and at least half of the positions are accepted"""


def solve_arc(
    fixes: Sequence[Fix], times_gps_ms: IntArray, settings: OrbitSettings, frames: EarthFrames
) -> tuple[BatchArc, ArcFit]:
    """Fit the fixes of an arc, in order of time; the fit covers them and `times_gps_ms` (n,).

    Raises:
        ArcFailed: The fixes give no orbit.
    """
    times = {fix.gps_ms for fix in fixes}
    if len(times) < FIXES_MIN:
        raise ArcFailed(f"only {len(times)} fixes at times of their own, at least {FIXES_MIN} are needed")
    first_ms, last_ms = fixes[0].gps_ms, fixes[-1].gps_ms
    positions = observe_positions(fixes, frames, settings.measurement)
    velocities = observe_velocities(fixes, frames, settings.measurement)
    grid = Grid(min((first_ms, *times_gps_ms.tolist())), max((last_ms, *times_gps_ms.tolist())))
    dynamics = ArcDynamics(grid, frames, settings.spacecraft)
    spin = frames.at(first_ms, np.zeros(1)).rotation_gcrf_rad_s
    pole = spin / np.linalg.norm(spin)
    first = first_orbit(inertial(positions, velocities, pole), grid, pole)
    if first is None:
        raise ArcFailed("no velocity, and no two positions near enough to each other to make one")
    try:
        fit = ArcFitter(dynamics, first, (positions, velocities), settings).run()
    except NoOrbitError as error:
        raise ArcFailed(str(error)) from None
    except np.linalg.LinAlgError:
        raise ArcFailed(f"{len(fixes)} fixes do not determine an orbit") from None
    return _summary(fixes, fit, grid, dynamics.unknowns), fit


def _summary(fixes: Sequence[Fix], fit: ArcFit, grid: Grid, unknowns: parameters.Unknowns) -> BatchArc:
    sigma = np.sqrt(np.diagonal(fit.covariance))
    by_node = fit.values[parameters.FIRST_NODE :].reshape(unknowns.nodes, parameters.PER_NODE)
    sigma_by_node = sigma[parameters.FIRST_NODE :].reshape(unknowns.nodes, parameters.PER_NODE)
    accepted = int(fit.positions.accepted.sum())
    return BatchArc(
        first_gps_ms=fixes[0].gps_ms,
        last_gps_ms=fixes[-1].gps_ms,
        fixes=len(fixes),
        positions_accepted=accepted,
        velocities_accepted=int(fit.velocities.accepted.sum()),
        begin_gps_ms=grid.begin_gps_ms,
        begin_gcrf=fit.values[parameters.STATE],
        begin_sigma=sigma[parameters.STATE],
        node_gps_ms=grid.begin_gps_ms + round(1e3 * parameters.INTERVAL_S) * np.arange(unknowns.nodes),
        drag_factor=np.exp(by_node[:, 0]),
        drag_log_sigma=sigma_by_node[:, 0],
        empirical_rtn_mps2=by_node[:, 1:],
        empirical_sigma_mps2=sigma_by_node[:, 1:],
        reflectivity_coefficient=float(fit.values[parameters.RADIATION]),
        reflectivity_sigma=float(sigma[parameters.RADIATION]),
        factors=fit.factors,
        position_noise_scale=fit.positions.scale,
        velocity_noise_scale=fit.velocities.scale,
        position_rms_m=fit.positions.rms,
        velocity_rms_mps=fit.velocities.rms,
        iterations=fit.iterations,
        converged=fit.converged and 2 * accepted >= len(fixes),
    )
