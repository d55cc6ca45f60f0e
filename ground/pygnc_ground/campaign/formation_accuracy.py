"""The flight's formation estimator on a simulated formation: its errors against truth and Cramer-Rao bound."""

import time
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.batch_solver import FormationSolver
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.formation_posterior import JudgedSolution, true_parameters
from pygnc_ground.campaign.formation_world import (
    DIFFERENTIAL_DRAG_SIGMA,
    INTERVAL_S,
    OWN_ID,
    FormationWorld,
    Instruments,
    Records,
)
from pygnc_ground.campaign.orbit_world import ORIENTATION, run_filter, settings_for
from pygnc_ground.formation.bound import (
    FormationBound,
    FormationMotion,
    FormationPriors,
    formation_bound,
    linearise_formation,
)
from pygnc_ground.formation.relative import elements_nees
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.scenario.sensor_settings import Gps

SCORED_EPOCHS: Final = slice(None, None, 4)
"""Every fourth epoch of a world is evaluated; errors of orbits hardly change in between."""
WRONG_NEES: Final = 100.0
"""A NEES of six elements beyond this (ten standard deviations) belongs to a wrong solution."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Result of the formation estimator: h hypotheses on p partners at n moments, the best first."""

    relative_gcrf: FloatArray
    """Partner minus own in m and m/s, shape (h, p, n, 6); NaN for a partner without an orbit"""
    covariance_gcrf: FloatArray
    """Covariance of `relative_gcrf`, shape (h, p, n, 6, 6)"""
    ambiguous: BoolArray
    """True if the estimator reports that another orbit fits nearly as well, shape (p,)"""
    unsolved: BoolArray
    """True if the estimator reports that it does not know the partner's orbit, shape (p,)"""
    seconds: float
    """Processor time of the solution in s"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationScore:
    """Errors and flags of one estimate, each array (p,) for p partners. Values in m are 3-D RMS over all moments."""

    error_m: FloatArray
    """Position error of the best hypothesis"""
    right_error_m: FloatArray
    """Position error of the right hypothesis. If it is not given, it is the nearest to the truth among those with a
    NEES up to `WRONG_NEES`, or among all if there are none"""
    formal_m: FloatArray
    """Standard deviation of the right hypothesis's position"""
    bound_m: FloatArray
    """Cramer-Rao bound of the position error"""
    nees: FloatArray
    """NEES of the right hypothesis's relative orbital elements in the middle of the arc, 6 degrees of freedom"""
    found: BoolArray
    """True if any hypothesis has a NEES up to `WRONG_NEES`"""
    ambiguous: BoolArray
    unsolved: BoolArray
    wrong: BoolArray
    """True if the best hypothesis has a NEES above `WRONG_NEES`"""
    seconds: float
    """Processor time of the solution in s"""

    @property
    def flagged(self) -> BoolArray:
        """True if a partner is reported as ambiguous or unsolved, (p,)."""
        return self.ambiguous | self.unsolved

    @property
    def wrong_and_certain(self) -> int:
        """Number of partners that are not flagged although the best hypothesis is wrong."""
        return int((self.wrong & ~self.flagged).sum())


def true_motion(world: FormationWorld) -> FormationMotion:
    """Return the motion linearised along the truth, at the moments of the measurements."""
    moments = world.moments_gps_ms
    return linearise_formation(moments, world.states_gcrf(moments), OrbitSettings(), EarthFrames(ORIENTATION))


def world_bound(world: FormationWorld, motion: FormationMotion, instruments: Instruments) -> FormationBound:
    """Return the Cramer-Rao bound with the distributions from which the world was drawn as priors."""
    priors = FormationPriors(bias_m=instruments.bias_sigma_m, differential_log_drag=DIFFERENTIAL_DRAG_SIGMA)
    return formation_bound(motion, world.bound_measurements(world.records(instruments)), priors)


def score_estimate(
    estimate: Estimate, bound: FormationBound, right_hypothesis: IntArray | None = None
) -> FormationScore:
    """Compare an estimate at the epochs `SCORED_EPOCHS` with the truth.

    Args:
        estimate: All hypotheses.
        bound: Cramer-Rao bound of the same world.
        right_hypothesis: Right hypothesis of each partner, (p,); chosen by its error if None.
    """
    states = bound.motion.states_gcrf[:, SCORED_EPOCHS]
    error = estimate.relative_gcrf - (states[1:] - states[:1])
    error_m = rms_over_moments(error)
    partner, middle = np.arange(error.shape[1]), error.shape[2] // 2
    own, partners = states[0, middle], states[1:, middle]
    nees = elements_nees(
        own, own + estimate.relative_gcrf[:, :, middle], partners, estimate.covariance_gcrf[:, :, middle]
    )
    is_right = nees <= WRONG_NEES
    found = np.asarray(is_right.any(axis=0))
    candidates_m = np.where(is_right | ~found, error_m, np.inf)
    right = np.argmin(np.nan_to_num(candidates_m, nan=np.inf), axis=0) if right_hypothesis is None else right_hypothesis
    variance = np.trace(estimate.covariance_gcrf[right, partner, :, :3, :3], axis1=-2, axis2=-1)
    return FormationScore(
        error_m=error_m[0],
        right_error_m=error_m[right, partner],
        formal_m=np.sqrt(variance.mean(axis=1)),
        bound_m=np.sqrt(np.mean(bound.position_m[:, SCORED_EPOCHS] ** 2, axis=1)),
        nees=nees[right, partner],
        found=found,
        ambiguous=estimate.ambiguous,
        unsolved=estimate.unsolved,
        wrong=~is_right[0],
        seconds=estimate.seconds,
    )


def rms_over_moments(error: FloatArray) -> FloatArray:
    """Return the RMS over n moments of the position in state errors (..., n, 6), in m, shape (...)."""
    rms: FloatArray = np.sqrt((error[..., :3] ** 2).sum(axis=-1).mean(axis=-1))
    return rms


_KNOWN_BIAS_SIGMA_M: Final = 1e-3
"""Standard deviation of a known bias; the estimator's prior must be positive."""


class _Run(NamedTuple):
    solution: FormationSolution
    seconds: float


def solve_world(world: FormationWorld, records: Records, gps_ms: IntArray) -> Estimate:
    """Solve a world and return all hypotheses at n moments (n,).

    Raises:
        RuntimeError: The orbit filter did not start, or there is no solution.
    """
    return _estimate(_run(world, records), world.ids[1:], gps_ms)


def solve_with_truth(world: FormationWorld, records: Records, gps_ms: IntArray) -> tuple[Estimate, JudgedSolution]:
    """Solve a world as `solve_world`; also return the problem with the truth for consistency checks.

    Raises:
        RuntimeError: The orbit filter did not start, or there is no solution.
    """
    run = _run(world, records)
    equations = run.solution.equations
    return _estimate(run, world.ids[1:], gps_ms), JudgedSolution(
        equations,
        np.array([hypothesis.parameters for hypothesis in run.solution.hypotheses]),
        np.array([hypothesis.covariance for hypothesis in run.solution.hypotheses]),
        true_parameters(world, records, equations),
    )


def _run(world: FormationWorld, records: Records) -> _Run:
    """Solve a world with settings that contain nothing of its truth."""
    settings = replace(
        FormationSettings(),
        own_id=OWN_ID,
        range_noise_m=records.instruments.range_noise_m,
    )
    if records.instruments.calibrated:
        sigma_m = max(records.instruments.bias_sigma_m, _KNOWN_BIAS_SIGMA_M)
        settings = replace(settings, range_bias_m=records.instruments.bias_m, range_bias_sigma_m=sigma_m)
    orbit_settings = settings_for(Gps(), world.minutes / 60.0, INTERVAL_S)
    own = own_orbit_state([entry.fix for entry in records.fixes if entry.satellite == OWN_ID], orbit_settings)
    solver = FormationSolver(settings, orbit_settings, EarthFrames(ORIENTATION))
    began = time.process_time()
    solution = solver.solve(own, records.fixes, records.ranges)
    seconds = time.process_time() - began
    if solution is None:
        raise RuntimeError(f"world of seed {world.seed}: the formation estimator found no observation in the arc")
    return _Run(solution, seconds)


def own_orbit_state(fixes: list[Fix], settings: OrbitSettings) -> OrbitState:
    """Return the state of the orbit filter after the last of the fixes.

    Raises:
        RuntimeError: The orbit filter did not start.
    """
    _, updates = run_filter(fixes, settings)
    state = updates[-1].state
    if state is None:
        raise RuntimeError(f"the orbit filter did not start with {len(fixes)} fixes")
    return state


def _estimate(run: _Run, partners: tuple[int, ...], gps_ms: IntArray) -> Estimate:
    solution = run.solution
    shape = (len(solution.hypotheses), len(partners), len(gps_ms))
    relative, covariance = np.full((*shape, 6), np.nan), np.full((*shape, 6, 6), np.nan)
    for hypothesis, number in np.ndindex(shape[:2]):
        if partners[number] in solution.satellites:
            found = list(solution.relative_states(gps_ms.tolist(), partners[number], hypothesis))
            relative[hypothesis, number] = [state.gcrf for state in found]
            covariance[hypothesis, number] = [state.covariance_gcrf for state in found]
    judged = [solution.partners[partner] for partner in partners]
    return Estimate(
        relative_gcrf=relative,
        covariance_gcrf=covariance,
        ambiguous=np.array([partner.ambiguous for partner in judged]),
        unsolved=np.array([partner.unsolved is not None for partner in judged]),
        seconds=run.seconds,
    )
