"""What an estimator says of a formation, beside the truth and the bound.

The flight's formation estimator on what was measured of a world.
"""

import time
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.batch import FIX_GATE, FormationSolver
from pygnc.estimators.formation.equations import Loss, Noise, initial_prior, linearise_observations
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix, arc_of
from pygnc.estimators.formation.relative_coordinates import relative_elements
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.search import Around
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.formation_posterior import Judged, true_unknowns
from pygnc_ground.campaign.formation_world import (
    DIFFERENTIAL_DRAG_SIGMA,
    INTERVAL_S,
    FormationWorld,
    Instruments,
    Records,
)
from pygnc_ground.campaign.orbit_world import ORIENTATION, expecting, filtered
from pygnc_ground.formation.bound import (
    FormationBound,
    FormationMotion,
    FormationPriors,
    formation_bound,
    linearise_formation,
)
from pygnc_ground.formation.relative import elements_by_relative_state
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.scenario.settings import Gps

SCORED: Final = slice(None, None, 4)
"""Of the moments of a world; errors of orbits hardly change in between."""
WRONG_NEES: Final = 100.0
"""A normalised squared error of six elements beyond this, ten standard deviations, is another solution, no bad luck."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """h hypotheses on p partners at n moments, the best one first."""

    relative_gcrf: FloatArray
    """(h, p, n, 6), partner minus own; NaN for a partner without any orbit"""
    covariance_gcrf: FloatArray
    """(h, p, n, 6, 6)"""
    ambiguous: BoolArray
    """(p,)"""
    unsolved: BoolArray
    """(p,), whether the estimator itself says that it does not know the partner's orbit"""
    seconds: float
    """Of the processor"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationScore:
    """Of one world; all (p,), errors RMS over all moments in m."""

    error_m: FloatArray
    """Of the best hypothesis"""
    right_error_m: FloatArray
    """Of the right one: if not given, the nearest to the truth of those that are not wrong, or of all if all are"""
    formal_m: FloatArray
    """Standard deviation that it claims"""
    bound_m: FloatArray
    nees: FloatArray
    """Its normalised squared error of the relative orbital elements in the middle of the arc"""
    found: BoolArray
    """Whether any hypothesis is not wrong"""
    ambiguous: BoolArray
    unsolved: BoolArray
    wrong: BoolArray
    """Best hypothesis is not the truth, by its own covariance"""
    seconds: float

    @property
    def flagged(self) -> BoolArray:
        """Partners of which nothing is claimed to be certain, (p,)."""
        return self.ambiguous | self.unsolved

    @property
    def wrong_and_certain(self) -> int:
        """Partners of which something false is claimed."""
        return int((self.wrong & ~self.flagged).sum())


def motion_of(world: FormationWorld) -> FormationMotion:
    """Linearised along the truth, at the moments of its measurements."""
    moments = world.moments_gps_ms
    return linearise_formation(moments, world.states_gcrf(moments), OrbitSettings(), EarthFrames(ORIENTATION))


def bound_of(world: FormationWorld, motion: FormationMotion, instruments: Instruments) -> FormationBound:
    """Knowing beforehand how the world was drawn."""
    priors = FormationPriors(bias_m=instruments.bias_sigma_m, differential_log_drag=DIFFERENTIAL_DRAG_SIGMA)
    return formation_bound(motion, world.sightings(instruments), priors)


def score_of(estimate: Estimate, bound: FormationBound, home: IntArray | None = None) -> FormationScore:
    """Compare an estimate at the moments `SCORED` with the truth.

    Args:
        estimate: All hypotheses.
        bound: Of the same world.
        home: The right hypothesis of each partner, (p,), if it is not to be chosen by its error.
    """
    states = bound.motion.states_gcrf[:, SCORED]
    error = estimate.relative_gcrf - (states[1:] - states[:1])
    error_m = rms_over_moments(error)
    partner, middle = np.arange(error.shape[1]), error.shape[2] // 2
    nees = elements_nees(estimate, states[:, middle], middle)
    is_right = nees <= WRONG_NEES
    found = np.asarray(is_right.any(axis=0))
    candidates_m = np.where(is_right | ~found, error_m, np.inf)
    right = np.argmin(np.nan_to_num(candidates_m, nan=np.inf), axis=0) if home is None else home
    variance = np.trace(estimate.covariance_gcrf[right, partner, :, :3, :3], axis1=-2, axis2=-1)
    return FormationScore(
        error_m=error_m[0],
        right_error_m=error_m[right, partner],
        formal_m=np.sqrt(variance.mean(axis=1)),
        bound_m=np.sqrt(np.mean(bound.position_m[:, SCORED] ** 2, axis=1)),
        nees=nees[right, partner],
        found=found,
        ambiguous=estimate.ambiguous,
        unsolved=estimate.unsolved,
        wrong=~is_right[0],
        seconds=estimate.seconds,
    )


def rms_over_moments(error: FloatArray) -> FloatArray:
    """Of the positions in states (..., n, 6)."""
    rms: FloatArray = np.sqrt((error[..., :3] ** 2).sum(axis=-1).mean(axis=-1))
    return rms


def elements_nees(estimate: Estimate, states_gcrf: FloatArray, moment: int) -> FloatArray:
    """Normalised squared errors of the relative orbital elements at one moment, (h, p); 6 degrees of freedom.

    Args:
        estimate: All hypotheses.
        states_gcrf: True states then, (s, 6).
        moment: Its index.
    """
    own, partners = states_gcrf[0], states_gcrf[1:]
    found = own + estimate.relative_gcrf[:, :, moment]
    error = relative_elements(own, found) - relative_elements(own, partners)
    by_state = elements_by_relative_state(own, found)
    covariance = by_state @ estimate.covariance_gcrf[:, :, moment] @ np.swapaxes(by_state, -1, -2)
    nees: FloatArray = (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(axis=-1)
    return nees


_KNOWN_BIAS_SIGMA_M: Final = 1e-3
"""For the estimator's prior, which is to be positive."""


class Given(NamedTuple):
    """What a user would declare and hand over, nothing of the truth."""

    settings: FormationSettings
    orbit_settings: OrbitSettings
    own: OrbitState
    fixes: list[SatelliteFix]
    ranges: list[RangeObservation]


def given_of(world: FormationWorld, records: Records) -> Given:
    """What the estimator is told of a world.

    Raises:
        RuntimeError: There is no orbit of our own.
    """
    instruments = records.instruments
    settings = replace(
        FormationSettings(),
        own_id=world.ids[0],
        range_noise_m=instruments.range_noise_m,
        range_bias_sigma_m=max(instruments.bias_sigma_m, _KNOWN_BIAS_SIGMA_M),
    )
    orbit_settings = expecting(Gps(), world.minutes / 60.0, INTERVAL_S)
    fixes = [SatelliteFix(world.ids[satellite], fix) for satellite, fix in records.fixes]
    ranges = [
        RangeObservation(moment, world.ids[one], world.ids[other], range_m)
        for moment, one, other, range_m in zip(*(column.tolist() for column in records.ranges), strict=True)
    ]
    own = own_orbit([fix for satellite, fix in records.fixes if satellite == 0], orbit_settings)
    return Given(settings, orbit_settings, own, fixes, ranges)


def solved(world: FormationWorld, records: Records, gps_ms: IntArray) -> Estimate:
    """Solve, and tell all hypotheses at n moments (n,).

    Raises:
        RuntimeError: There is no orbit of our own, or no solution at all.
    """
    solution, seconds = _solution(given_of(world, records))
    return _estimate(solution, world.ids[1:], gps_ms, seconds)


def solved_to_judge(world: FormationWorld, records: Records, gps_ms: IntArray) -> tuple[Estimate, Judged]:
    """The same, and what the hypotheses were made of.

    Raises:
        RuntimeError: There is no orbit of our own, or no solution at all.
    """
    given = given_of(world, records)
    solution, seconds = _solution(given)
    arc = arc_of(
        given.settings.own_id,
        given.own.gps_ms,
        round(1e3 * given.settings.arc_max_s),
        given.fixes,
        given.ranges,
    )
    if arc is None:
        raise RuntimeError("the formation estimator found no observation")
    reference = solution.reference
    prior = initial_prior(len(arc.satellites), len(arc.ranges), reference, None, given.settings)
    frames, receiver = EarthFrames(ORIENTATION), given.orbit_settings.measurement
    equations = linearise_observations(arc, given.settings.own_id, reference, prior, frames=frames, receiver=receiver)
    return _estimate(solution, world.ids[1:], gps_ms, seconds), Judged(
        equations,
        Around(reference, RelativeDynamics(reference), given.settings, {}),
        Noise(solution.noise_m, np.ones(len(equations.satellites))),
        Loss(given.settings.range_gate_sigma, FIX_GATE, hard=True),
        np.array([hypothesis.unknowns for hypothesis in solution.hypotheses]),
        np.array([hypothesis.covariance for hypothesis in solution.hypotheses]),
        true_unknowns(world, records, equations, reference),
    )


def _solution(given: Given) -> tuple[FormationSolution, float]:
    """With the seconds of the processor that it took."""
    solver = FormationSolver(given.settings, given.orbit_settings, EarthFrames(ORIENTATION))
    began = time.process_time()
    solution = solver.solve(given.own, given.fixes, given.ranges)
    seconds = time.process_time() - began
    if solution is None:
        raise RuntimeError("the formation estimator found no observation")
    return solution, seconds


def own_orbit(fixes: list[Fix], settings: OrbitSettings) -> OrbitState:
    """What the orbit's filter knows after the last of the fixes."""
    _, updates = filtered(fixes, settings)
    state = updates[-1].state
    if state is None:
        raise RuntimeError("the orbit filter did not start")
    return state


def _estimate(solution: FormationSolution, partners: tuple[int, ...], gps_ms: IntArray, seconds: float) -> Estimate:
    shape = (len(solution.hypotheses), len(partners), len(gps_ms))
    relative, covariance = np.full((*shape, 6), np.nan), np.full((*shape, 6, 6), np.nan)
    for number, partner in enumerate(partners):
        if partner not in solution.satellites:
            continue
        for hypothesis in range(shape[0]):
            for row, moment in enumerate(gps_ms.tolist()):
                found = solution.relative_at(moment, partner, hypothesis)
                relative[hypothesis, number, row] = found.gcrf
                covariance[hypothesis, number, row] = found.covariance_gcrf
    told = [solution.partners[partner] for partner in partners]
    return Estimate(
        relative_gcrf=relative,
        covariance_gcrf=covariance,
        ambiguous=np.array([each.ambiguous for each in told]),
        unsolved=np.array([each.unsolved is not None for each in told]),
        seconds=seconds,
    )
