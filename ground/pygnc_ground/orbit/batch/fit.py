"""One arc fitted: motion, unknown forces and weights, again and again until nothing moves."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.normal import NormalEquations, Solution, choose_factors
from pygnc_ground.orbit.batch.observations import Observations
from pygnc_ground.orbit.batch.parameters import STATE, Factors
from pygnc_ground.orbit.batch.residuals import Residuals
from pygnc_ground.orbit.batch.start import FirstOrbit
from pygnc_ground.orbit.batch.trajectory import ArcDynamics, LinearMotion
from pygnc_ground.orbit.solution import FloatArray, IntArray

_ITERATIONS_MAX: Final = 30
_CHOICES: Final = 4
"""So many times the freedom of the forces is chosen: weights and freedom could chase each other for ever."""
_SETTLED_M: Final = 1.0
"""Once the orbit moves by less, weights may leave fixes out and the freedom of the forces is chosen."""
_CONVERGED_M: Final = 1e-3
_RADIUS_MIN_M: Final = 6.2e6
_RADIUS_MAX_M: Final = 1e9
_BLOCK: Final = 512
"""So many states have their derivatives in memory at once."""


class NoOrbitError(ValueError):
    """What fits the fixes best is no orbit of a satellite."""


@dataclass(frozen=True, slots=True, eq=False)
class ArcFit:
    """The orbit of an arc."""

    values: FloatArray
    """(p,), the unknowns"""
    covariance: FloatArray
    """(p, p)"""
    factors: Factors
    positions: Residuals
    velocities: Residuals
    iterations: int
    converged: bool
    _motion: LinearMotion
    _correction: FloatArray

    def states(self, gps_ms: IntArray) -> tuple[FloatArray, FloatArray]:
        """Position and velocity in GCRF (n, 6) and their covariance (n, 6, 6) at times within the arc (n,)."""
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
    """Improves the orbit of an arc step by step.

    The start lies within kilometres and the equations of motion are solved anew in each step, so steps need no damping.

    Args:
        dynamics: Of the arc.
        first: An orbit to begin with.
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
        """Improve until the orbit moves no more.

        Raises:
            numpy.linalg.LinAlgError: The observations do not determine an orbit.
            NoOrbitError: They lead out of space.
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
        raise NoOrbitError("the fixes contradict each other: no orbit of a satellite fits most of them")
