"""Solution of an arc: relative orbits of a formation from ranges and fixes by least squares.

1. Determine our own orbit and those of partners with enough fixes, and integrate a reference orbit for each.
2. Search candidates for all other partners (`search`).
3. Improve every candidate and every mirror image by a joint fit of all observations.
4. Add drag modes, fit with the loss of the search, estimate the noise from the residuals of the best solution, and fit
   again without outliers. Rejecting outliers earlier could reject what the drag modes explain, for good.
5. Decide which solutions are distinct, compute their covariances (`ridge`) and whether each partner is ambiguous
   (`solution`).

The results of steps 2 to 4 are recorded, so that an interrupted solution continues (`StageResult`).

The result is a `FormationSolution`. Each of its hypotheses is a solution for the whole formation.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.fix_errors import WHITE_ERRORS
from pygnc.estimators.formation.least_squares import (
    apparent_noise,
    differs_from,
    distinct_solutions,
    likely_errors,
    minimise,
    refined_noise,
    robust_noise,
)
from pygnc.estimators.formation.monitors import contradictions
from pygnc.estimators.formation.observation_equations import SEARCH_LOSS, Equations, Fit, white_noise
from pygnc.estimators.formation.observations import (
    Arc,
    RangeObservation,
    SatelliteFix,
    connected_groups,
    fix_equations,
    initial_prior,
    range_equations,
    select_arc,
    with_shared_times,
)
from pygnc.estimators.formation.reference import (
    DRAG_MODES,
    STATE_SIZE,
    OrbitPath,
    PathStart,
    Reference,
    Track,
    epoch_of,
    log_drag,
    log_factor,
    state_indices,
)
from pygnc.estimators.formation.relative_motion import GRADIENT_DEGREE, RelativeDynamics, orbit_vector
from pygnc.estimators.formation.ridge import ridge_covariances
from pygnc.estimators.formation.search import FormationSearch, FoundOrbits, orbit_from_fixes
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import (
    FormationSolution,
    Hypothesis,
    Partner,
    StageResult,
    Stages,
    judge_partners,
)
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState

_NEAR_M: Final = 100.0
"""Maximum deviation from a reference on each axis over the arc, in m, for which motion relative to it is linear."""
_FIRST_ITERATIONS: Final = 12
_MODE_SIGMAS: Final = (0.3, 0.3, 0.15, 0.15, 0.2, 0.1)
"""Standard deviations of the density in the drag modes, in the order of `DRAG_MODES`, relative to the density."""


class FormationSolver:
    """Solver of the orbits of a formation from the observations of an arc.

    Attributes:
        paths: Orbits of the references by radio id, which the next solution continues.
        found: Orbits of the partners without enough fixes, with which the next solution begins; None to search.
    """

    def __init__(self, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames) -> None:
        self._settings = settings
        self._orbit = orbit
        self._frames = frames
        self._dynamics = OrbitDynamics(orbit, frames, gradient_degree=GRADIENT_DEGREE)
        self.paths: dict[int, OrbitPath] = {}
        self.found: FoundOrbits | None = None

    def resume(self, starts: dict[int, PathStart], found: FoundOrbits | None) -> None:
        """Continue an earlier solver, whose `paths` had these starts."""
        self.found = found
        self.paths = {identity: OrbitPath(start, self._dynamics) for identity, start in starts.items()}

    def solve(
        self,
        orbit: OrbitState,
        fixes: Sequence[SatelliteFix],
        ranges: Sequence[RangeObservation],
        recorded: list[StageResult] | None = None,
    ) -> FormationSolution | None:
        """Estimate the orbits of all satellites from the observations of an arc.

        Args:
            orbit: Our orbit at a time in the arc. Our reference follows from it; if the arc has fewer of our fixes than
                `own_fixes_min`, it is also the prior of our orbit.
            fixes: Fixes of all satellites, in any order, with or without duplicates.
            ranges: Ranges of all pairs, in any order, with or without duplicates.
            recorded: Results of the stages that an interrupted solution of the same observations has completed; those
                of further stages are appended.

        Returns:
            The solution, or None if the arc holds no observation except a few fixes of our own.
        """
        settings = self._settings
        arc = select_arc(settings, orbit.gps_ms, fixes, ranges)
        if arc is None:
            return None
        own = None
        if len(arc.fixes[settings.own_id]) < settings.own_fixes_min:
            # The orbit estimate was made from these fixes, which must not be used twice.
            own, arc = orbit, Arc({**arc.fixes, settings.own_id: ()}, arc.ranges)
            if not arc.ranges and not any(arc.fixes.values()):
                return None
        tracks = self._tracks(arc, orbit, own)
        equations = self._linearised(arc, tracks, own)
        equations = replace(equations, noise=apparent_noise(equations, settings))
        stages = Stages([] if recorded is None else recorded)
        found = self._usable(equations, arc)
        searched = stages.next(partial(_searched, equations, settings, found))
        reasons = {equations.satellites[number]: reason for number, reason in searched.unsolved.items()}
        solved = [number for number in range(len(equations.satellites)) if number not in searched.unsolved]
        candidates = searched.parameters[:, equations.parameter_indices(solved)]
        equations, correlated = equations.subset(solved), self._orbit.measurement.correlated_errors
        preliminary = stages.next(partial(_preliminary, equations, settings, candidates, correlated=correlated))
        moved = self._moved_to(equations, preliminary.parameters[0], arc, tracks)
        if moved != tracks:
            equations = self._linearised(arc, moved, own).subset(solved)
        equations = replace(equations, noise=preliminary.noise, errors=preliminary.errors)
        equations, result, intermediate, contradicted = _refined(equations, settings, preliminary.parameters, stages)
        solution = _solution(
            arc, settings, equations, result, intermediate, contradicted=contradicted, unsolved=reasons
        )
        self.found = _found(solution, found.searched_ms if found else arc.span_ms[1] - arc.span_ms[0])
        return solution

    def _usable(self, equations: Equations, arc: Arc) -> FoundOrbits | None:
        """Return the orbits of the last solution if they can replace a search."""
        found, (first_ms, last_ms) = self.found, arc.span_ms
        searched = tuple(equations.satellites[number] for number in equations.nonlinear)
        if found is None or found.satellites != searched or not first_ms <= found.gps_ms <= last_ms:
            return None
        return found if last_ms - first_ms < 2 * found.searched_ms else None

    def _linearised(self, arc: Arc, tracks: dict[int, Track], own: OrbitState | None) -> Equations:
        """Return the observation equations, linearised at the references, with the noise of the settings.

        `own` is the orbit from which our reference was made, if it is the prior of our state, else None.
        """
        settings, receiver = self._settings, self._orbit.measurement
        satellites = (settings.own_id, *(each for each in arc.satellites if each != settings.own_id))
        ordered, pairs = tuple(tracks[satellite] for satellite in satellites), tuple(arc.ranges)
        indices = [(satellites.index(one), satellites.index(other)) for one, other in pairs]
        return Equations(
            satellites,
            pairs,
            ordered,
            tuple(
                fix_equations(arc.fixes.get(satellite, ()), track, self._frames, receiver)
                for satellite, track in zip(satellites, ordered, strict=True)
            ),
            with_shared_times(
                range_equations(arc.ranges[pair], index, ordered) for pair, index in zip(pairs, indices, strict=True)
            ),
            initial_prior(len(satellites), pairs, ordered[0].reference, own, settings),
            RelativeDynamics(ordered[0].reference),
            white_noise(np.full(len(pairs), settings.range_noise_m), np.ones(len(satellites))),
            SEARCH_LOSS,
        )

    def _tracks(self, arc: Arc, orbit: OrbitState, own: OrbitState | None) -> dict[int, Track]:
        """Return the track of each satellite, with a reference of its own if its fixes determine an orbit."""
        own_id = self._settings.own_id
        known = self._known_reference(own_id, arc) if own is None else None
        ours = Track(known or self._reference(own_id, orbit, arc), np.zeros(STATE_SIZE), is_linear=True)
        if own is None:
            moved = self._track_from_fixes(arc, own_id, ours) or ours
            ours = Track(moved.reference, np.zeros(STATE_SIZE), is_linear=True)
        tracks = {own_id: ours}
        for satellite in arc.satellites:
            if satellite != own_id:
                known = self._known_reference(satellite, arc)
                initial = ours if known is None else _track(known, ours.reference)
                found = self._track_from_fixes(arc, satellite, initial)
                tracks[satellite] = found or ours._replace(is_linear=False)
        return tracks

    def _known_reference(self, satellite: int, arc: Arc) -> Reference | None:
        """Return the reference of a satellite of an earlier solution over this arc; None if that began too early."""
        path = self.paths.get(satellite)
        # Only the start is in a checkpoint, so the nodes that the path has so far must not decide.
        if path is None or arc.span_ms[0] - path.start.gps_ms > 1e3 * self._settings.arc_max_s:
            return None
        return Reference(path, arc.span_ms)

    def _reference(self, satellite: int, orbit: OrbitState, arc: Arc) -> Reference:
        """Return the new reference of a satellite over an arc."""
        self.paths[satellite] = OrbitPath.of_orbit(orbit, epoch_of(arc.span_ms), self._dynamics)
        return Reference(self.paths[satellite], arc.span_ms)

    def _moved_to(
        self, equations: Equations, parameters: Array, arc: Arc, tracks: dict[int, Track]
    ) -> dict[int, Track]:
        """Return the tracks, with new references for partners whose orbit in `parameters` (p,) is far from theirs."""
        ours, moved = equations.tracks[0].reference, dict(tracks)
        for number, identity in enumerate(equations.satellites[1:], start=1):
            track = tracks[identity]
            change = parameters[state_indices(number)] - track.offset
            # A large change of the log drag factor makes the motion nonlinear, too.
            far = track.reference.largest_deviation_m(change) > _NEAR_M or abs(change[DRAG]) > 0.3
            if track.is_linear and far:
                state = ours.nodes.state[ours.epoch_node] + parameters[state_indices(number)][:6]
                orbit = _exact_orbit(ours.epoch_ms, state, track.reference.log_drag + log_factor(change[DRAG]))
                moved[identity] = _track(self._reference(identity, orbit, arc), ours)
        return moved

    def _track_from_fixes(self, arc: Arc, satellite: int, track: Track) -> Track | None:
        """Return a track with a reference near the satellite's fixes; None if they do not determine an orbit."""
        fixes, origin = arc.fixes.get(satellite, ()), track.reference
        # 128 evenly chosen fixes suffice for a reference.
        fixes = fixes[:: -(-len(fixes) // 128) or 1]
        for attempt in range(4):
            at_reference = track._replace(offset=np.zeros(STATE_SIZE))
            change = orbit_from_fixes(fix_equations(fixes, at_reference, self._frames, self._orbit.measurement))
            if change is None:
                return None
            # At the epoch alone, a reference with another velocity, kilometres away at the ends of the arc, looks near.
            if track.reference.largest_deviation_m(np.append(change, 0.0)) < _NEAR_M:
                return track._replace(is_linear=True)
            state = track.reference.nodes.state[origin.epoch_node] + change
            orbit = _exact_orbit(origin.epoch_ms, state, track.reference.log_drag)
            # Far from our reference the linear fit is inaccurate, and a single fix gives a better initial orbit.
            if np.abs(change[:3]).max() > 50_000.0 and attempt == 0:
                orbit = self.orbit_of_fix(fixes, origin.epoch_ms) or orbit
            track = _track(self._reference(satellite, orbit, arc), origin)
        return track

    def orbit_of_fix(self, fixes: Sequence[Fix], epoch_ms: int) -> OrbitState | None:
        """Return the orbit, with zero covariance, of the fix with velocity nearest to `epoch_ms`; None without any."""
        complete = [fix for fix in fixes if fix.velocity_ecef_mps is not None]
        fix = min(complete, key=lambda each: abs(each.gps_ms - epoch_ms), default=None)
        if fix is None or fix.velocity_ecef_mps is None:
            return None
        ecef = np.append(fix.position_ecef_m, fix.velocity_ecef_mps)
        state = np.linalg.solve(self._frames.ecef_state_from_gcrf(fix.gps_ms), ecef)
        return _exact_orbit(fix.gps_ms, np.asarray(state, dtype=np.float64), 0.0)


def _track(reference: Reference, ours: Reference) -> Track:
    """Return a track with a reference of its own, whose offset is relative to our reference `ours`."""
    offset = reference.nodes.state[ours.epoch_node] - ours.nodes.state[ours.epoch_node]
    return Track(reference, np.append(offset, reference.log_drag - ours.log_drag), is_linear=True)


def _exact_orbit(gps_ms: int, state: Array, log_drag_factor: float) -> OrbitState:
    """Return an orbit of GCRF position and velocity (6,) with zero covariance and no empirical accelerations."""
    return OrbitState(gps_ms, orbit_vector(np.append(state, log_drag_factor)), np.zeros((SIZE, SIZE)))


def _minima(equations: Equations, parameters: Array, iterations: int = 30) -> Fit:
    """Return the distinct minima reached from parameters (k, p); the first row determines which fixes are outliers."""
    minima = minimise(equations.folded(parameters[0]), parameters, iterations=iterations)
    return distinct_solutions(minima, len(equations.satellites))


def _searched(equations: Equations, settings: FormationSettings, found: FoundOrbits | None) -> StageResult:
    parameters, unsolved = FormationSearch(equations, settings).candidates(found)
    return StageResult(parameters, equations.noise, equations.errors, unsolved)


def _found(solution: FormationSolution, searched_ms: int) -> FoundOrbits | None:
    """Return the orbits of partners without enough fixes; None without any, or if observations of one do not fit."""
    equations, reference = solution.equations, solution.reference
    if (
        not equations.nonlinear
        or not solution.partners.keys() <= set(solution.satellites)
        or not all(partner.fits for partner in solution.partners.values())
    ):
        return None
    states = np.stack([each.parameters for each in solution.hypotheses])[:, : STATE_SIZE * len(equations.satellites)]
    states = states.reshape(len(states), -1, STATE_SIZE)[:, equations.nonlinear]
    states[..., :DRAG] += reference.nodes.state[reference.epoch_node]
    states[..., DRAG] = reference.log_drag + np.log1p(np.maximum(states[..., DRAG], -0.9))
    satellites = tuple(equations.satellites[number] for number in equations.nonlinear)
    return FoundOrbits(satellites, searched_ms, reference.epoch_ms, states)


def _preliminary(
    equations: Equations, settings: FormationSettings, parameters: Array, *, correlated: bool
) -> StageResult:
    """Refine candidates (k, p) with the search loss, estimate the noise and, if `correlated`, select an error model."""
    parameters = _minima(equations, parameters, _FIRST_ITERATIONS).parameters[:40]  # limits the cost of the last fits
    equations = replace(equations, noise=robust_noise(equations, parameters[:1], settings))
    if correlated:
        equations = replace(equations, errors=likely_errors(equations, parameters[0]))
        if equations.errors != WHITE_ERRORS:
            # The minima move, because the candidates were fitted with white errors.
            parameters = _minima(equations, parameters, _FIRST_ITERATIONS).parameters
    return StageResult(parameters, equations.noise, equations.errors, {})


def _refined(
    equations: Equations, settings: FormationSettings, parameters: Array, stages: Stages
) -> tuple[Equations, Fit, Array, dict[int, str]]:
    """Refine parameters (k, p) with drag modes, and estimate the noise from the residuals of the best solution.

    The loss is graduated: the first fit only gives outliers less weight, the others reject them. The fits before had no
    drag modes, so their residuals at the ends of a long arc may be model errors that the modes will explain.

    Returns:
        Equations with the estimated noise; the distinct solutions, the best first; the initial parameters with drag
        modes of zero, (k, p); and what contradicts the best solution, by the index of the partner.
    """
    count = len(equations.satellites)
    added = np.zeros((len(parameters), DRAG_MODES * count))
    intermediate = parameters = np.concatenate((parameters, added), axis=1)
    rejecting = SEARCH_LOSS._replace(limit=settings.range_gate_sigma, hard=True)
    for loss in (SEARCH_LOSS, rejecting, rejecting):  # noise and solution depend on each other
        covariance = _mode_covariance(equations, parameters[0], settings.differential_share)
        equations = replace(equations.with_drag_modes(covariance, _MODE_SIGMAS), loss=loss)
        refined = stages.next(partial(_refined_once, equations, settings, parameters))
        equations, parameters = replace(equations, noise=refined.noise), refined.parameters
    folded = equations.folded(parameters[0])
    result = distinct_solutions(folded.fit(parameters), count)
    return folded, result, intermediate, contradictions(equations, result.parameters[0])


def _refined_once(equations: Equations, settings: FormationSettings, parameters: Array) -> StageResult:
    result = _minima(equations, parameters)
    # Solutions that are this improbable would only take time.
    kept = result.parameters[result.cost <= result.cost[0] + 2_000.0]
    if equations.loss.hard:
        return StageResult(kept, refined_noise(equations, result, settings), equations.errors, {})
    return StageResult(kept, robust_noise(equations, result.parameters[:1], settings), equations.errors, {})


def _mode_covariance(equations: Equations, parameters: Array, share: float) -> Array:
    """Return the prior covariance of a drag mode of all satellites for a density variation of 1, (s, s).

    The density acts on each in proportion to its drag; the fraction `share` of it differs between satellites.
    """
    drags = [log_drag(track, parameters, number) for number, track in enumerate(equations.tracks)]
    factors = np.exp(np.subtract(drags, [track.reference.log_drag for track in equations.tracks]))
    covariance: Array = np.outer(factors, factors) * (1.0 + share**2 * np.eye(len(factors)))
    return covariance


def _solution(
    arc: Arc,
    settings: FormationSettings,
    equations: Equations,
    result: Fit,
    intermediate: Array,
    *,
    contradicted: dict[int, str],
    unsolved: dict[int, str],
) -> FormationSolution:
    count = len(equations.satellites)
    # Solutions are evaluated one by one: the motion of all over half a day would take megabytes.
    residual_m = [_range_residuals(equations, parameters[None]) for parameters in result.parameters]
    sigma_m = np.repeat(equations.noise.range_sigma_m, [len(rows.range_m) for rows in equations.ranges])
    groups = connected_groups(range(1, count), equations.index_pairs)
    covariance = ridge_covariances(equations, result, groups, settings.certain_chi_square)
    rows = range(len(result.parameters))
    hypotheses = tuple(
        Hypothesis(float(result.cost[row]), result.parameters[row], covariance[row], residual_m[row]) for row in rows
    )
    partners = {
        identity: Partner(reason, fits=True, ambiguous=False, chi_square_best=math.nan, chi_square_mirror=math.nan)
        for identity, reason in unsolved.items()
    }
    judged = judge_partners(equations, settings, result, intermediate, covariance[0])
    for number, reason in contradicted.items():
        identity = equations.satellites[number]
        judged[identity] = replace(judged[identity], unsolved=reason, fits=False)
    partners |= judged
    worse = np.stack([differs_from(result, row, result.parameters, count) for row in rows])
    worse[np.tril_indices(len(worse))] = False  # the covariance of the better solution decides
    return FormationSolution(
        equations,
        hypotheses,
        worse | worse.swapaxes(0, 1),
        partners,
        tuple(observation for pair in equations.pairs for observation in arc.ranges[pair]),
        np.abs(residual_m[0]) <= equations.loss.limit * sigma_m,
    )


def _range_residuals(equations: Equations, parameters: Array) -> Array:
    """Return the residuals of all ranges, pair by pair, in m, for parameters (1, p)."""
    motion = equations.motion(parameters, partials=False)
    pairs = range(len(equations.pairs))
    return np.concatenate(
        [np.zeros(0), *(equations.range_residuals(pair, parameters, motion)[0][:, 0] for pair in pairs)]
    )
