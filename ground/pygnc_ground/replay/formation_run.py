"""Formation of a replay: arrays from the messages and the newest solution of the flight software."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from pygnc.bus.messages import ClosestApproach, FormationEstimate, FormationMessage
from pygnc.configuration.settings import Settings
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.approach import relative_tracks
from pygnc.estimators.formation.filter import initial_memory
from pygnc.estimators.formation.least_squares import SAME_ORBIT_LIMIT
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.state import LOWER
from pygnc_ground.formation.conjunction import Conjunction, conjunction
from pygnc_ground.formation.relative import relative_truth
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.choices import COMBINED_RADIUS_M
from pygnc_ground.replay.result import (
    CandidateOrbit,
    FormationResult,
    LinkResult,
    PartnerResult,
    RelativeStates,
    column,
)
from pygnc_ground.truth.orbit_truth import OrbitTruth

_STEP_MS: Final = 90_000
_MOMENTS: Final = (60, 240)
"""Minimum and maximum number of times of a track."""


def formation_result(
    messages: Sequence[FormationMessage],
    solution: FormationSolution | None,
    settings: FormationSettings,
    truths: Mapping[int, OrbitTruth | None],
    *,
    conjunctions: tuple[Conjunction, ...] = (),
    radius_m: float = COMBINED_RADIUS_M,
) -> FormationResult | None:
    """Return the arrays, or None without partners; this takes at most 0.25 s per candidate orbit.

    `solution` is the newest of the flight software. `truths` holds true orbits by radio id; without that of our
    satellite, true orbits of partners have no effect.
    """
    estimates = [message for message in messages if isinstance(message, FormationEstimate)]
    if not estimates:
        return None
    times = _track_times(estimates, solution)
    margin = math.nan if solution is None else _margin(solution, settings)
    partners = []
    for partner in sorted({estimate.partner_id for estimate in estimates}):
        own = [estimate for estimate in estimates if estimate.partner_id == partner]
        newest, by_time = own[-1], {estimate.gps_ms: estimate for estimate in own}
        truth = partial(relative_truth, truths.get(settings.own_id), truths.get(partner))
        partners.append(
            PartnerResult(
                partner=partner,
                cause=newest.cause,
                ambiguous=newest.ambiguous,
                chi2_best=math.nan if newest.chi2_best is None else newest.chi2_best,
                chi2_mirror=math.nan if newest.chi2_mirror is None else newest.chi2_mirror,
                states=_states(sorted(by_time.values(), key=lambda estimate: estimate.gps_ms), truth),
                orbits=() if solution is None else _orbits(solution, partner, times, margin),
                true_track=truth(times),
            )
        )
    return FormationResult(
        own_id=settings.own_id,
        partners=tuple(partners),
        links=() if solution is None else _links(solution),
        chi_square=np.array([] if solution is None else [one.chi_square for one in solution.hypotheses]),
        margin=margin,
        track_gps_ms=times,
        conjunctions=conjunctions,
        fix_components=0 if solution is None else _fix_components(solution),
        chi_square_common=0.0 if solution is None else solution.equations.prior.cost,
        collision_radius_m=radius_m,
    )


def _fix_components(solution: FormationSolution) -> int:
    """Return the number of components of the fixes that are not part of the prior."""
    return 3 * sum(int(fixes.available.sum()) for fixes in solution.equations.fixes)


def _states(rows: Sequence[FormationEstimate], truth: Callable[[IntArray], FloatArray]) -> RelativeStates:
    gps_ms = column((row.gps_ms for row in rows), dtype=np.int64)
    rtn, covariance = np.full((len(rows), 6), np.nan), np.full((len(rows), 6, 6), np.nan)
    for place, row in enumerate(rows):
        if row.position_rtn_m is not None and row.velocity_rtn_mps is not None and row.covariance_rtn is not None:
            rtn[place] = (*row.position_rtn_m, *row.velocity_rtn_mps)
            covariance[place][LOWER] = row.covariance_rtn
            covariance[place].T[LOWER] = row.covariance_rtn
    mirror_rtn_m = column((row.mirror_rtn_m for row in rows), 3)
    return RelativeStates(gps_ms, rtn, covariance, mirror_rtn_m, truth(gps_ms))


def _track_times(estimates: Sequence[FormationEstimate], solution: FormationSolution | None) -> IntArray:
    """Return evenly spaced times, shape (k,), over the part of the arc with ranges or estimates."""
    times: list[int] = []
    if solution is not None:
        times += [seen.gps_ms for seen in solution.ranges]
        times += [estimate.gps_ms for estimate in estimates if solution.reference.covers(estimate.gps_ms)]
    if not times:
        return np.empty(0, dtype=np.int64)
    count = int(np.clip((max(times) - min(times)) // _STEP_MS, *_MOMENTS))
    return np.unique(np.linspace(min(times), max(times), count).round().astype(np.int64))


def _margin(solution: FormationSolution, settings: FormationSettings) -> float:
    """Return the margin above the best chi-square; it is wider for few ranges because their noise is estimated."""
    freedom = max(len(solution.ranges) - len(solution.hypotheses[0].parameters), 1)
    return float(freedom * np.expm1(settings.certain_chi_square / freedom))


def _orbits(solution: FormationSolution, partner: int, times: IntArray, margin: float) -> tuple[CandidateOrbit, ...]:
    """Return the distinct orbits of one partner, best first."""
    if partner not in solution.satellites or not len(times):
        return ()
    middle = int(times[len(times) // 2])
    found: list[CandidateOrbit] = []
    states: list[tuple[FloatArray, FloatArray]] = []
    for number, hypothesis in enumerate(solution.hypotheses):
        excluded = hypothesis.chi_square - solution.hypotheses[0].chi_square > margin
        if excluded and len(found) > 1:
            break
        state = solution.relative_at(middle, partner, number)
        others = ((state.rtn - rtn, covariance) for rtn, covariance in states)
        if all(float(change @ np.linalg.solve(covariance, change)) > SAME_ORBIT_LIMIT for change, covariance in others):
            states.append((state.rtn, state.covariance_rtn))
            track = list(solution.relative_states(times.tolist(), partner, number))
            rtn, covariance_rtn = (np.array([getattr(at, name) for at in track]) for name in ("rtn", "covariance_rtn"))
            found.append(CandidateOrbit(number, hypothesis.chi_square, rtn, covariance_rtn))
    return tuple(found)


def _links(solution: FormationSolution) -> tuple[LinkResult, ...]:
    pairs = np.array([solution.pairs.index(seen.pair) for seen in solution.ranges], dtype=np.int64)
    gps_ms = np.array([seen.gps_ms for seen in solution.ranges], dtype=np.int64)
    range_m = np.array([seen.range_m for seen in solution.ranges])
    links = []
    for number, pair in enumerate(solution.pairs):
        rows = np.flatnonzero(pairs == number)
        rows = rows[np.argsort(gps_ms[rows], kind="stable")]
        bias_m, bias_sigma_m = solution.bias_of(pair)
        links.append(
            LinkResult(
                pair=pair,
                gps_ms=gps_ms[rows],
                range_m=range_m[rows],
                residual_m=solution.hypotheses[0].residual_m[rows],
                used=solution.used[rows],
                bias_m=bias_m,
                bias_sigma_m=bias_sigma_m,
                noise_m=float(solution.noise_m[number]),
            )
        )
    return tuple(links)


def predicted_conjunctions(
    messages: Sequence[FormationMessage],
    solution: FormationSolution | None,
    settings: Settings,
    frames: EarthFrames,
    radius_m: float,
) -> tuple[Conjunction, ...]:
    """Return the encounters within a day by the hypotheses of the newest solution, ordered by partner and hypothesis.

    The prediction is that of the flight software; there is none for partners about which it reports no approach.
    """
    partners = {message.partner_id for message in messages if isinstance(message, ClosestApproach)}
    if solution is None or not partners:
        return ()
    memory = initial_memory(solution, settings.formation, settings.orbit.process_noise)
    groups = [(bank.satellites, bank.hypotheses) for bank in memory.banks]
    tracks = relative_tracks(memory.gps_ms, groups, settings.formation, settings.orbit, frames)
    found = [conjunction(track, radius_m) for track in tracks if track.partner in partners]
    return tuple(sorted(found, key=lambda each: (each.partner, each.hypothesis)))
