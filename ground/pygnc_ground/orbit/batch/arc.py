"""Least squares of one arc: iterations of motion, forces and weights until the orbit converges, and their summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch import forces
from pygnc_ground.orbit.batch.first_orbit import FirstOrbit, first_orbit
from pygnc_ground.orbit.batch.forces import STATE, Factors
from pygnc_ground.orbit.batch.normal_equations import NormalEquations, Solution, choose_factors
from pygnc_ground.orbit.batch.observations import (
    Observations,
    Residuals,
    inertial,
    observe_positions,
    observe_velocities,
)
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


class NoOrbitError(ValueError):
    """The solution that fits the fixes best is not an orbit of a satellite."""


@dataclass(frozen=True, slots=True, eq=False)
class ArcFit:
    """Solution of an arc."""

    values: FloatArray
    """(p,), the parameters."""
    covariance: FloatArray
    """(p, p)."""
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


class ArcFitter:
    """Iterative least squares of an arc.

    The first orbit is accurate to kilometres and the equations of motion are solved anew in each iteration, so the
    steps need no damping.

    Args:
        dynamics: Dynamics of the arc.
        first: First orbit.
        kinds: Positions and velocities, each in order of time.
        settings: Gate, least noise and a-priori sigmas.
    """

    def __init__(
        self,
        dynamics: ArcDynamics,
        first: FirstOrbit,
        kinds: tuple[Observations, Observations],
        settings: OrbitSettings,
    ) -> None:
        self._dynamics = dynamics
        self._kinds = kinds
        self._settings = settings
        self._factors = Factors()
        self._choices = 0
        self._reference = first.nodes
        self._values = dynamics.unknowns.prior(settings, self._factors).mean
        self._values[STATE] = first.begin
        self._fitted = 0.0
        self._settled = False

    def run(self) -> ArcFit:
        """Iterate until the orbit converges.

        Raises:
            numpy.linalg.LinAlgError: The observations do not determine an orbit.
            NoOrbitError: The iteration left the range of orbits.
        """
        fit = self._improved(1)
        while not fit.converged and fit.iterations < _ITERATIONS_MAX:
            fit = self._improved(fit.iterations + 1)
        return fit

    def _improved(self, iteration: int) -> ArcFit:
        _require_orbit(self._reference)
        motion = self._dynamics.linearise(self._reference, self._values)
        positions, velocities = (
            Residuals.of(kind, motion, self._settings.measurement, self._fitted, settled=self._settled)
            for kind in self._kinds
        )
        normal = NormalEquations.empty(self._dynamics.unknowns.count)
        positions.add_to(normal, motion)
        velocities.add_to(normal, motion)
        solution = self._solution(normal)
        covariance = solution.covariance
        moved = motion.nodes(solution.correction)
        shift_m = float(np.abs(moved - self._reference)[..., :3].max())
        converged = self._settled and shift_m < _CONVERGED_M
        self._reference, self._values = moved, self._values + solution.correction
        self._fitted = float((normal.matrix * covariance).sum()) / (3 * sum(map(len, self._kinds)))
        self._settled |= shift_m < _SETTLED_M
        return ArcFit(
            values=self._values,
            covariance=covariance,
            factors=self._factors,
            positions=positions,
            velocities=velocities,
            iterations=iteration,
            converged=converged,
            _motion=motion,
            _correction=solution.correction,
        )

    def _solution(self, normal: NormalEquations) -> Solution:
        unknowns = self._dynamics.unknowns
        if self._settled and self._choices < _CHOICES:
            start = self._factors if self._choices else None
            self._choices += 1
            self._factors = choose_factors(normal, unknowns, self._settings, self._values, start)
        return Solution.solve(normal, unknowns.prior(self._settings, self._factors), self._values)


def _require_orbit(nodes: FloatArray) -> None:
    radius_m = np.linalg.norm(nodes[..., :3], axis=2)
    if not (radius_m.min() > _RADIUS_MIN_M and radius_m.max() < _RADIUS_MAX_M):
        raise NoOrbitError("the fixes contradict each other: no satellite orbit fits most of them")


FIXES_MIN: Final = 4
"""With fewer fixes an outlier cannot be detected."""


class ArcError(ValueError):
    """The fixes give no orbit; the message names the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchArc:
    """Parameters and residuals of an arc."""

    first_gps_ms: int
    last_gps_ms: int
    """Times of the first and the last fix."""
    fixes: int
    positions_accepted: int
    velocities_accepted: int
    begin_gps_ms: int
    begin_gcrf: FloatArray
    """(6,), state at the beginning."""
    begin_sigma: FloatArray
    """(6,)."""
    node_gps_ms: IntArray
    """(k,), epochs of the parameters below, which are linear in between."""
    drag_factor: FloatArray
    """(k,), factor on the density of the model."""
    drag_log_sigma: FloatArray
    """(k,), of its natural logarithm."""
    empirical_rtn_mps2: FloatArray
    """(k, 3)."""
    empirical_sigma_mps2: FloatArray
    """(k, 3)."""
    reflectivity_coefficient: float
    reflectivity_sigma: float
    factors: forces.Factors
    """Estimated factors on the settings' a-priori sigmas."""
    position_noise_scale: float
    velocity_noise_scale: float
    """Factors on the receiver's sigmas."""
    position_rms_m: float
    velocity_rms_mps: float
    """RMS of the accepted residuals, 3-D; NaN for none."""
    iterations: int
    converged: bool
    """Whether the iteration converged and at least half of the positions are accepted."""


def solve_arc(
    fixes: Sequence[Fix], times_gps_ms: IntArray, settings: OrbitSettings, frames: EarthFrames
) -> tuple[BatchArc, ArcFit]:
    """Fit the fixes of an arc, in order of time; the fit covers them and `times_gps_ms` (n,).

    Raises:
        ArcError: The fixes give no orbit.
    """
    times = {fix.gps_ms for fix in fixes}
    if len(times) < FIXES_MIN:
        raise ArcError(f"only {len(times)} fixes at different times; at least {FIXES_MIN} are required")
    first_ms, last_ms = fixes[0].gps_ms, fixes[-1].gps_ms
    positions = observe_positions(fixes, frames, settings.measurement)
    velocities = observe_velocities(fixes, frames, settings.measurement)
    grid = Grid(min((first_ms, *times_gps_ms.tolist())), max((last_ms, *times_gps_ms.tolist())))
    dynamics = ArcDynamics(grid, frames, settings.spacecraft)
    spin = frames.at(first_ms, np.zeros(1)).rotation_gcrf_rad_s
    pole = spin / np.linalg.norm(spin)
    first = first_orbit(inertial(positions, velocities, pole), grid, pole)
    if first is None:
        raise ArcError("no velocity, and no two positions close enough in time to give one")
    try:
        fit = ArcFitter(dynamics, first, (positions, velocities), settings).run()
    except NoOrbitError as error:
        raise ArcError(str(error)) from None
    except np.linalg.LinAlgError:
        raise ArcError(f"{len(fixes)} fixes do not determine an orbit") from None
    return _summary(fixes, fit, grid, dynamics.unknowns), fit


def _summary(fixes: Sequence[Fix], fit: ArcFit, grid: Grid, unknowns: forces.ArcParameters) -> BatchArc:
    sigma = np.sqrt(np.diagonal(fit.covariance))
    by_node = fit.values[forces.FIRST_NODE :].reshape(unknowns.nodes, forces.PER_NODE)
    sigma_by_node = sigma[forces.FIRST_NODE :].reshape(unknowns.nodes, forces.PER_NODE)
    accepted = int(fit.positions.accepted.sum())
    return BatchArc(
        first_gps_ms=fixes[0].gps_ms,
        last_gps_ms=fixes[-1].gps_ms,
        fixes=len(fixes),
        positions_accepted=accepted,
        velocities_accepted=int(fit.velocities.accepted.sum()),
        begin_gps_ms=grid.begin_gps_ms,
        begin_gcrf=fit.values[forces.STATE],
        begin_sigma=sigma[forces.STATE],
        node_gps_ms=grid.begin_gps_ms + round(1e3 * forces.INTERVAL_S) * np.arange(unknowns.nodes),
        drag_factor=np.exp(by_node[:, 0]),
        drag_log_sigma=sigma_by_node[:, 0],
        empirical_rtn_mps2=by_node[:, 1:],
        empirical_sigma_mps2=sigma_by_node[:, 1:],
        reflectivity_coefficient=float(fit.values[forces.RADIATION]),
        reflectivity_sigma=float(sigma[forces.RADIATION]),
        factors=fit.factors,
        position_noise_scale=fit.positions.scale,
        velocity_noise_scale=fit.velocities.scale,
        position_rms_m=fit.positions.rms,
        velocity_rms_mps=fit.velocities.rms,
        iterations=fit.iterations,
        converged=fit.converged and 2 * accepted >= len(fixes),
    )
