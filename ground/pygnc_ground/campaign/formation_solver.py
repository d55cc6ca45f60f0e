"""The flight's formation estimator on what was measured of a world."""

import time
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.batch import FIX_GATE, FormationSolver
from pygnc.estimators.formation.equations import Loss, Noise, equations_of
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix, arc_of
from pygnc.estimators.formation.prior import prior_of
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.formation.starts import Around
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.formation import INTERVAL_S, FormationWorld, Records
from pygnc_ground.campaign.formation_home import Judged, true_unknowns
from pygnc_ground.campaign.formation_score import Estimate
from pygnc_ground.campaign.world import ORIENTATION, expecting, filtered
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.scenario.settings import Gps

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
    prior = prior_of(len(arc.satellites), len(arc.ranges), reference, None, given.settings)
    frames, receiver = EarthFrames(ORIENTATION), given.orbit_settings.measurement
    equations = equations_of(arc, given.settings.own_id, reference, prior, frames=frames, receiver=receiver)
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
