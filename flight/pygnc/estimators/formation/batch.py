"""Relative orbits of a formation from an arc of ranges and fixes, all at once.

The steps: our own orbit and those of partners with enough fixes; candidates for all others; every candidate and every
mirror image as the start of a joint fit of all observations; noise from the residuals of the best; a last fit with
outliers left out; which of the solutions found differ, and by how much they are worse.

Whether the best solution is certain, and of use.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.equations import (
    SEARCH_LOSS,
    Equations,
    Loss,
    Noise,
    Prior,
    initial_prior,
    linearise_observations,
)
from pygnc.estimators.formation.least_squares import (
    Minima,
    differs_from,
    distinct_solutions,
    evaluate,
    minimise,
    scaled_inverse,
    select_solutions,
)
from pygnc.estimators.formation.noise import apparent_noise, expected_noise, refined_noise, robust_noise
from pygnc.estimators.formation.observations import Arc, RangeObservation, SatelliteFix, select_arc
from pygnc.estimators.formation.reference import STATE_SIZE, Reference
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.ridge import ridge_covariances
from pygnc.estimators.formation.search import (
    KnownOrbits,
    SearchContext,
    connected_groups,
    formation_candidates,
    mirrored_candidates,
    orbit_from_fixes,
)
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, Hypothesis, Partner
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState

_ARC_FRACTIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def judge_partners(
    equations: Equations,
    context: SearchContext,
    result: Minima,
    passed: Array,
    uncertain: Array,
    *,
    noise: Noise,
    loss: Loss,
) -> dict[int, Partner]:
    """The partners' ambiguity.

    Args:
        equations: Of all.
        context: XX
        result: Distinct solutions, the best first.
        passed: Guesses (k, p) that the search passed through. Where the last fit slides from one of them into another
            solution, the cost has a shelf rather than a minimum; fitting nearly as well, it is as good a rival.
        uncertain: Covariance of the best solution, (p, p).
        noise: Of the observations.
        loss: That of the last fit.
    """
    settings, count = context.settings, len(equations.satellites)
    shelves = evaluate(equations, context.dynamics, passed, noise, loss).cost
    cost = np.concatenate((result.fit.cost, shelves))
    different = differs_from(result, 0, np.concatenate((result.parameters, passed)), count)
    best = float(cost[0])
    freedom = max(sum(len(rows.node_time) for rows in equations.ranges) - equations.parameter_count, 1)
    by_partner = {}
    for partner in range(1, count):
        rivals = cost[different[:, partner]].tolist()
        mirror = (
            min(rivals) if rivals else _mirror_image_cost(equations, context, result, partner, noise=noise, loss=loss)
        )
        # As a ratio of likelihoods with the noise unknown too.
        worse = freedom * math.log1p(max(mirror - best, 0.0) / freedom) if rivals else math.inf
        by_partner[equations.satellites[partner]] = Partner(
            _unsolved_reason(equations, context, result, partner, uncertain),
            worse < settings.certain_chi_square,
            best,
            mirror,
        )
    return by_partner


def _mirror_image_cost(
    equations: Equations, context: SearchContext, result: Minima, partner: int, *, noise: Noise, loss: Loss
) -> float:
    """Least cost of the best solution with this partner flipped, or the best cost if its images are no other orbits."""
    images = mirrored_candidates(result.parameters[:1], (partner,), context.reference)[1:, 0]
    guesses = images[differs_from(result, 0, images, len(equations.satellites))[:, partner]]
    if not len(guesses):
        return float(result.fit.cost[0])
    return float(evaluate(equations, context.dynamics, guesses, noise, loss).cost.min())


def _unsolved_reason(
    equations: Equations, context: SearchContext, result: Minima, partner: int, uncertain: Array
) -> str | None:
    """Why a partner's orbit is not known; None when it is."""
    reference = context.reference
    places = 2.0 * reference.epoch_node * np.array(_ARC_FRACTIONS)
    points = reference.nodes.d_state_d_epoch[places.astype(np.int64), :3]
    columns = np.concatenate((np.arange(STATE_SIZE), STATE_SIZE * partner + np.arange(STATE_SIZE)))
    # A valley that ends sooner than linear ranges make expect is one that the data hardly close.
    joint = np.stack((scaled_inverse(result.fit.information[0]), uncertain))[:, columns[:, None], columns]
    motion = context.dynamics.propagate(equations.states(result.parameters[:1]), partials=False)
    constants = motion.at(slice(None), places)
    relative_position_m = (points @ (constants[:, partner] - constants[:, 0])[..., None])[..., 0]
    by_unknowns = np.concatenate((-points, points), axis=2)
    placed = by_unknowns @ joint[:, None] @ by_unknowns.swapaxes(1, 2)
    variance = np.trace(placed, axis1=2, axis2=3).mean(axis=1).max()
    sigma_m, distance_m = math.sqrt(variance), math.sqrt((relative_position_m**2).sum(axis=1).mean())
    if sigma_m < context.settings.solved_sigma_ratio * distance_m:
        return None
    return f"its place is known to {sigma_m:.0f} m only, {distance_m:.0f} m away"


FIX_GATE: Final = 4.6
"""In standard deviations of three components together; 1e-4 of good fixes lie farther off."""
_NO_THINNING: Final = 1_000_000_000
_SEARCH_ITERATIONS: Final = 12
_ITERATIONS: Final = 30
_ROUNDS: Final = 3
"""Of fitting and estimating the noise."""
_COST_MARGIN: Final = 2_000.0
"""Solutions that are worse by so much are not looked at any more."""
_SOLUTIONS_MAX: Final = 40
"""Distinct solutions that are fitted to the end."""


class _Refinement(NamedTuple):
    result: Minima
    noise: Noise
    loss: Loss
    passed: Array
    """Guesses (k, p) that were distinct on the way."""


class FormationSolver:
    """Solves arcs with one set of settings and models.

    Args:
        settings: Of the formation.
        orbit: Forces, and how far receivers are believed.
        frames: Earth orientation.
    """

    def __init__(self, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames) -> None:
        self._settings = settings
        self._orbit = orbit
        self._frames = frames
        self._dynamics = OrbitDynamics(orbit, frames)

    def solve(
        self, orbit: OrbitState, fixes: Sequence[SatelliteFix], ranges: Sequence[RangeObservation]
    ) -> FormationSolution | None:
        """Solve an arc.

        Args:
            orbit: Ours, somewhere in the arc; the reference, and with few fixes of ours in the arc their substitute.
            fixes: Of all satellites, in any order, repeated or not.
            ranges: Likewise.

        Returns:
            None when there is no observation in the arc but perhaps a few fixes of our own.
        """
        settings = self._settings
        arc = select_arc(settings.own_id, orbit.gps_ms, round(1e3 * settings.arc_max_s), fixes, ranges)
        if arc is None:
            return None
        own = None
        if len(arc.fixes[settings.own_id]) < settings.own_fixes_min:
            # The orbit was made from these fixes: they are not to count twice.
            own, arc = orbit, Arc({**arc.fixes, settings.own_id: ()}, arc.ranges)
            if not arc.ranges and not any(arc.fixes.values()):
                return None
        reference = Reference(
            orbit,
            arc.span_ms,
            dynamics=self._dynamics,
            step_max_ms=self._orbit.force_model.step_max_ms,
            frames=self._frames,
        )
        prior = initial_prior(len(arc.satellites), len(arc.ranges), reference, own, settings)
        equations = linearise_observations(
            arc, settings.own_id, reference, prior, frames=self._frames, receiver=self._orbit.measurement
        )
        apparent_m = apparent_noise(equations, settings).range_sigma_m.tolist()
        noise_m = dict(zip(equations.pairs, apparent_m, strict=True))
        context = SearchContext(reference, RelativeDynamics(reference), settings, noise_m)
        starts = formation_candidates(equations, self._known(equations, context), context)
        kept = [number for number in range(len(equations.satellites)) if number not in starts.unsolved]
        lost = {equations.satellites[number]: reason for number, reason in starts.unsolved.items()}
        guesses = starts.parameters
        if lost:
            fewer = initial_prior(len(kept), len(equations.pairs_among(kept)), reference, own, settings)
            columns = equations.parameter_indices(kept)
            equations = equations.subset(kept, fewer, kept, _NO_THINNING)
            guesses = guesses[:, columns]
        solved = self._refined(equations, context, guesses)
        return self._solution(arc, equations, context, solved, lost)

    def _known(self, equations: Equations, context: SearchContext) -> KnownOrbits:
        """Orbits that fixes tell, or the prior."""
        guess = equations.prior.mean.copy()
        placed = [0]
        for satellite in range(len(equations.satellites)):
            start = orbit_from_fixes(equations, satellite)
            if start is not None:
                guess[STATE_SIZE * satellite : STATE_SIZE * satellite + 6] = start[:6]
                placed = sorted({*placed, satellite})
        states = STATE_SIZE * len(equations.satellites)
        prior = Prior(equations.prior.mean[:states], equations.prior.information[:states, :states])
        alone = Equations(equations.satellites, (), equations.fixes, (), prior)
        noise = expected_noise(alone, self._settings)
        result = minimise(
            alone, context.dynamics, guess[None, :states], noise, SEARCH_LOSS, iterations=_SEARCH_ITERATIONS
        )
        guess[:states] = result.parameters[0]
        everything = scaled_inverse(result.fit.information[0])
        information = np.zeros((len(equations.satellites), STATE_SIZE, STATE_SIZE))
        for satellite in placed:
            of = slice(STATE_SIZE * satellite, STATE_SIZE * (satellite + 1))
            information[satellite] = scaled_inverse(everything[of, of])
        return KnownOrbits(placed, guess, information)

    def _refined(self, equations: Equations, context: SearchContext, guesses: Array) -> _Refinement:
        """Distinct solutions, the best first, with the noise that its residuals show."""
        settings, dynamics, count = self._settings, context.dynamics, len(equations.satellites)
        noise = apparent_noise(equations, settings)
        result = minimise(equations, dynamics, guesses, noise, SEARCH_LOSS, iterations=_SEARCH_ITERATIONS)
        result = distinct_solutions(result, count)
        passed = result.parameters[:_SOLUTIONS_MAX]
        noise = robust_noise(equations, dynamics, result, settings)
        result = minimise(
            equations, dynamics, result.parameters[:_SOLUTIONS_MAX], noise, SEARCH_LOSS, iterations=_ITERATIONS
        )
        result = distinct_solutions(result, count)
        hopeful = int((result.fit.cost <= result.fit.cost[0] + _COST_MARGIN).sum())
        result = select_solutions(result, list(range(hopeful)))
        loss = Loss(settings.range_gate_sigma, FIX_GATE, hard=True)
        for _ in range(_ROUNDS):
            result = minimise(equations, dynamics, result.parameters, noise, loss, iterations=_ITERATIONS)
            result = distinct_solutions(result, count)
            noise = refined_noise(equations, dynamics, result, settings, noise=noise, loss=loss)
        fit = evaluate(equations, dynamics, result.parameters, noise, loss)
        return _Refinement(distinct_solutions(Minima(result.parameters, fit), count), noise, loss, passed)

    def _solution(
        self, arc: Arc, equations: Equations, context: SearchContext, solved: _Refinement, lost: dict[int, str]
    ) -> FormationSolution:
        result, noise, loss, passed = solved
        count = len(equations.satellites)
        motion = context.dynamics.propagate(equations.states(result.parameters), partials=False)
        residuals = [equations.range_residuals(result.parameters, pair, motion) for pair in range(len(equations.pairs))]
        gates = [loss.limit * sigma for sigma in noise.range_sigma_m]
        used = [np.abs(residual[0]) <= gate for residual, gate in zip(residuals, gates, strict=True)]
        groups = connected_groups(equations, range(1, count))
        uncertain = ridge_covariances(equations, context, result, groups, noise=noise, loss=loss)
        hypotheses = tuple(
            Hypothesis(
                float(result.fit.cost[row]),
                result.parameters[row],
                uncertain[row],
                context.dynamics.with_partials(motion.select(slice(count * row, count * (row + 1)))),
                np.concatenate([residual[row] for residual in residuals]) if residuals else np.zeros(0),
            )
            for row in range(len(result.parameters))
        )
        partners = {
            identity: Partner(reason, ambiguous=False, chi_square_best=math.nan, chi_square_mirror=math.nan)
            for identity, reason in lost.items()
        }
        partners |= judge_partners(equations, context, result, passed, uncertain[0], noise=noise, loss=loss)
        return FormationSolution(
            context.reference,
            equations.satellites,
            equations.pairs,
            hypotheses,
            partners,
            noise.range_sigma_m,
            tuple(seen for pair in equations.pairs for seen in arc.ranges[pair]),
            np.concatenate(used) if used else np.zeros(0, dtype=np.bool_),
        )
