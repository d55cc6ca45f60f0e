"""Least squares of one arc: iterations of motion, forces and weights until the orbit converges, and their summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.first_orbit import first_orbit
from pygnc_ground.orbit.batch.forces import FIRST_NODE, PER_NODE, STATE, Factors
from pygnc_ground.orbit.batch.normal_equations import NormalEquations, choose_factors, solve
from pygnc_ground.orbit.batch.observations import Observations, Residuals, inertial, observe
from pygnc_ground.orbit.batch.trajectory import ArcDynamics, Grid, LinearMotion
from pygnc_ground.orbit.solution import FloatArray, IntArray

_ITERATIONS_MAX: Final = 30
_CHOICES: Final = 4
"""How often the factors on the a-priori sigmas are chosen; without a limit, weights and factors could alternate for
ever.
"""
_SETTLED_M: Final = 1.0
"""Once the orbit moves by less, weights may exclude fixes and the factors are chosen."""
_CONVERGED_M: Final = 1e-3
_RADIUS_MIN_M: Final = 6.2e6
_RADIUS_MAX_M: Final = 1e9
_BLOCK: Final = 512
"""Number of states whose derivatives are in memory at once."""


FIXES_MIN: Final = 4
"""Least number of fixes at different times; with fewer an outlier cannot be detected."""


class ArcError(ValueError):
    """Error raised when fixes give no orbit; the message names the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class ArcFit:
    """Solution of an arc."""

    values: FloatArray
    """Parameters, shape (p,)."""
    covariance: FloatArray
    """Covariance of the parameters, shape (p, p)."""
    factors: Factors
    positions: Residuals
    velocities: Residuals
    iterations: int
    converged: bool
    _motion: LinearMotion
    _correction: FloatArray

    def states(self, gps_ms: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return position and velocity in GCRF (n, 6) and their covariance (n, 6, 6) at times within the arc (n,)."""
        states, covariance = np.empty((len(gps_ms), 6)), np.empty((len(gps_ms), 6, 6))
        for first in range(0, len(gps_ms), _BLOCK):
            rows = slice(first, first + _BLOCK)
            on_time = np.zeros(len(gps_ms[rows]))
            derivatives = self._motion.derivatives(gps_ms[rows], on_time)
            acting = derivatives.shape[2]
            states[rows] = self._motion.states(gps_ms[rows], on_time) + derivatives @ self._correction[:acting]
            covariance[rows] = derivatives @ self.covariance[:acting, :acting] @ derivatives.transpose(0, 2, 1)
        return states, covariance


@dataclass(frozen=True, slots=True, eq=False)
class BatchArc:
    """Parameters and residuals of an arc."""

    first_gps_ms: int
    last_gps_ms: int
    """Times of the first and the last fix, GPS milliseconds."""
    positions_accepted: int
    """Number of positions that the fit uses."""
    drag_factor: FloatArray
    """Factor on the density of the model at every quarter of an hour, shape (k,)."""
    factors: Factors
    """Estimated factors on the settings' a-priori sigmas."""
    position_noise_scale: float
    """Factor on the receiver's position sigmas."""
    position_rms_m: float
    velocity_rms_mps: float
    """RMS of the accepted residuals, 3-D; NaN if there is none."""
    iterations: int
    converged: bool
    """True if the iteration converged and at least half of the positions are accepted."""


def solve_arc(
    fixes: Sequence[Fix], times_gps_ms: IntArray, settings: OrbitSettings, frames: EarthFrames
) -> tuple[BatchArc, ArcFit]:
    """Fit the fixes of an arc, in order of time; the fit covers them and the times `times_gps_ms`, shape (n,).

    Raises:
        ArcError: The fixes give no orbit.
    """
    times = {fix.gps_ms for fix in fixes}
    if len(times) < FIXES_MIN:
        raise ArcError(f"only {len(times)} fixes at different times; at least {FIXES_MIN} are required")
    first_ms, last_ms = fixes[0].gps_ms, fixes[-1].gps_ms
    grid = Grid(min((first_ms, *times_gps_ms.tolist())), max((last_ms, *times_gps_ms.tolist())))
    try:
        fit = _fit(observe(fixes, frames, settings.measurement), grid, settings, frames)
    except np.linalg.LinAlgError:
        raise ArcError(f"{len(fixes)} fixes do not determine an orbit") from None
    accepted = int(fit.positions.accepted.sum())
    return BatchArc(
        first_gps_ms=first_ms,
        last_gps_ms=last_ms,
        positions_accepted=accepted,
        drag_factor=np.exp(fit.values[FIRST_NODE::PER_NODE]),
        factors=fit.factors,
        position_noise_scale=fit.positions.scale,
        position_rms_m=fit.positions.rms,
        velocity_rms_mps=fit.velocities.rms,
        iterations=fit.iterations,
        converged=fit.converged and 2 * accepted >= len(fixes),
    ), fit


def _fit(kinds: tuple[Observations, Observations], grid: Grid, settings: OrbitSettings, frames: EarthFrames) -> ArcFit:
    """Fit positions and velocities, each in order of time.

    The first orbit is accurate to kilometres and the equations of motion are solved anew in each iteration, so the
    steps need no damping.
    """
    spin = frames.at(int(kinds[0].gps_ms[0]), np.zeros(1)).rotation_gcrf_rad_s
    pole = spin / np.linalg.norm(spin)
    first = first_orbit(kinds[0].gps_ms, *inertial(*kinds, pole), grid, pole)
    if first is None:
        raise ArcError("no velocity, and no two positions close enough in time to give one")
    begin, reference = first
    dynamics = ArcDynamics(grid, frames, settings.spacecraft)
    unknowns, factors, choices = dynamics.unknowns, Factors(), 0
    values = unknowns.prior(settings, factors).mean
    values[STATE] = begin
    fitted, settled, converged, iteration = 0.0, False, False, 0
    while not converged and iteration < _ITERATIONS_MAX:
        iteration += 1
        radius_m = np.linalg.norm(reference[..., :3], axis=2)
        if not (radius_m.min() > _RADIUS_MIN_M and radius_m.max() < _RADIUS_MAX_M):
            raise ArcError("the fixes contradict each other: no satellite orbit fits most of them")
        motion = dynamics.linearise(reference, values)
        positions, velocities = (
            Residuals.of(kind, motion, settings.measurement, fitted, settled=settled) for kind in kinds
        )
        normal = NormalEquations.empty(unknowns.count)
        positions.add_to(normal, motion)
        velocities.add_to(normal, motion)
        if settled and choices < _CHOICES:
            factors = choose_factors(normal, unknowns, settings, values, factors if choices else None)
            choices += 1
        solution = solve(normal, unknowns.prior(settings, factors), values)
        covariance, moved = solution.covariance(), motion.nodes(solution.correction)
        shift_m = float(np.abs(moved - reference)[..., :3].max())
        reference, values = moved, values + solution.correction
        fitted = float((normal.matrix * covariance).sum()) / (3 * sum(map(len, kinds)))
        converged = settled and shift_m < _CONVERGED_M
        settled |= shift_m < _SETTLED_M
    return ArcFit(values, covariance, factors, positions, velocities, iteration, converged, motion, solution.correction)
