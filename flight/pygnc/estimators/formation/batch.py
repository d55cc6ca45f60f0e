"""Batch solution: relative orbits of a formation from an arc of ranges and fixes.

1. Determine our own orbit and those of partners with enough fixes.
2. Search candidates for all other partners (`search`).
3. Improve every candidate and every mirror image by a joint fit of all observations.
4. Estimate the noise from the residuals of the best solution, and fit again without outliers.
5. Decide which solutions are distinct, compute their covariances (`ridge`) and whether each partner is ambiguous.

A partner is certain if n ln(1 + d/n), with d the excess of chi-square of the best other solution and n the degrees of
freedom, reaches the margin of the settings: the likelihood ratio with the noise estimated as well.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
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
from pygnc.estimators.formation.observations import Arc, RangeObservation, SatelliteFix, connected_groups, select_arc
from pygnc.estimators.formation.reference import STATE_SIZE, Reference
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.ridge import ridge_covariances
from pygnc.estimators.formation.search import (
    KnownOrbits,
    SearchContext,
    formation_candidates,
    mirrored_candidates,
    orbit_from_fixes,
)
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, Hypothesis, Partner, unsolved_reason
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState

FIX_GATE: Final = 4.6
"""Gate of a fix in standard deviations of three components together; 1e-4 of good fixes lie beyond."""
_RANGES_UNLIMITED: Final = 1_000_000_000
_SEARCH_ITERATIONS: Final = 12
_ITERATIONS: Final = 30
_ROUNDS: Final = 3
"""Rounds of fitting and estimating the noise."""
_COST_MARGIN: Final = 2_000.0
"""Solutions whose cost exceeds the best by more are dropped."""
_SOLUTIONS_MAX: Final = 40
"""Maximum number of distinct solutions in the last fits."""
_ARC_FRACTIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Moments of the arc at which the uncertainty of a position is evaluated."""


class _Refinement(NamedTuple):
    """Refined solutions.

    Attributes:
        result: Distinct solutions, the best first.
        noise: Estimated noise.
        loss: Loss of the last fit.
        intermediate: Parameters (k, p) that were distinct after the first fit.
    """

    result: Minima
    noise: Noise
    loss: Loss
    intermediate: Array


class FormationSolver:
    """Solves arcs with one set of settings and models.

    Args:
        settings: Settings of the formation estimator.
        orbit: Force model and measurement model of the orbit filter.
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
            orbit: Our orbit at a moment in the arc: the reference and, if the arc has few of our fixes, the prior of
                our orbit.
            fixes: Fixes of all satellites, in any order, with or without duplicates.
            ranges: Ranges, likewise.

        Returns:
            The solution, or None if the arc holds no observation except a few fixes of our own.
        """
        settings = self._settings
        arc = select_arc(settings.own_id, orbit.gps_ms, round(1e3 * settings.arc_max_s), fixes, ranges)
        if arc is None:
            return None
        own = None
        if len(arc.fixes[settings.own_id]) < settings.own_fixes_min:
            # The orbit estimate was made from these fixes; they must not be used twice.
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
        search = formation_candidates(equations, self._known(equations, context), context)
        solved_indices = [number for number in range(len(equations.satellites)) if number not in search.unsolved]
        unsolved = {equations.satellites[number]: reason for number, reason in search.unsolved.items()}
        parameters = search.parameters
        if unsolved:
            reduced_prior = initial_prior(
                len(solved_indices), len(equations.pairs_among(solved_indices)), reference, own, settings
            )
            columns = equations.parameter_indices(solved_indices)
            equations = equations.subset(solved_indices, reduced_prior, solved_indices, _RANGES_UNLIMITED)
            parameters = parameters[:, columns]
        solved = self._refined(equations, context, parameters)
        return self._solution(arc, equations, context, solved, unsolved)

    def _known(self, equations: Equations, context: SearchContext) -> KnownOrbits:
        """Return the orbits known from fixes or, for our own, from the prior."""
        parameters = equations.prior.mean.copy()
        known = [0]
        for satellite in range(len(equations.satellites)):
            state = orbit_from_fixes(equations, satellite)
            if state is not None:
                parameters[STATE_SIZE * satellite : STATE_SIZE * satellite + 6] = state[:6]
                known = sorted({*known, satellite})
        states = STATE_SIZE * len(equations.satellites)
        prior = Prior(equations.prior.mean[:states], equations.prior.information[:states, :states])
        without_ranges = Equations(equations.satellites, (), equations.fixes, (), prior)
        noise = expected_noise(without_ranges, self._settings)
        result = minimise(
            without_ranges,
            context.dynamics,
            parameters[None, :states],
            noise,
            SEARCH_LOSS,
            iterations=_SEARCH_ITERATIONS,
        )
        parameters[:states] = result.parameters[0]
        joint_covariance = scaled_inverse(result.fit.information[0])
        information = np.zeros((len(equations.satellites), STATE_SIZE, STATE_SIZE))
        for satellite in known:
            columns = slice(STATE_SIZE * satellite, STATE_SIZE * (satellite + 1))
            information[satellite] = scaled_inverse(joint_covariance[columns, columns])
        return KnownOrbits(known, parameters, information)

    def _refined(self, equations: Equations, context: SearchContext, parameters: Array) -> _Refinement:
        """Return the distinct solutions, the best first, with the noise from its residuals."""
        settings, dynamics, count = self._settings, context.dynamics, len(equations.satellites)
        noise = apparent_noise(equations, settings)
        result = minimise(equations, dynamics, parameters, noise, SEARCH_LOSS, iterations=_SEARCH_ITERATIONS)
        result = distinct_solutions(result, count)
        intermediate = result.parameters[:_SOLUTIONS_MAX]
        noise = robust_noise(equations, dynamics, result, settings)
        result = minimise(
            equations, dynamics, result.parameters[:_SOLUTIONS_MAX], noise, SEARCH_LOSS, iterations=_ITERATIONS
        )
        result = distinct_solutions(result, count)
        plausible = int((result.fit.cost <= result.fit.cost[0] + _COST_MARGIN).sum())
        result = select_solutions(result, list(range(plausible)))
        loss = Loss(settings.range_gate_sigma, FIX_GATE, hard=True)
        for _ in range(_ROUNDS):
            result = minimise(equations, dynamics, result.parameters, noise, loss, iterations=_ITERATIONS)
            result = distinct_solutions(result, count)
            noise = refined_noise(equations, dynamics, result, settings, noise=noise, loss=loss)
        fit = evaluate(equations, dynamics, result.parameters, noise, loss)
        return _Refinement(distinct_solutions(Minima(result.parameters, fit), count), noise, loss, intermediate)

    def _solution(
        self, arc: Arc, equations: Equations, context: SearchContext, solved: _Refinement, unsolved: dict[int, str]
    ) -> FormationSolution:
        result, noise, loss, intermediate = solved
        count = len(equations.satellites)
        motion = context.dynamics.propagate(equations.states(result.parameters), partials=False)
        residuals = [equations.range_residuals(result.parameters, pair, motion) for pair in range(len(equations.pairs))]
        gates = [loss.limit * sigma for sigma in noise.range_sigma_m]
        used = [np.abs(residual[0]) <= gate for residual, gate in zip(residuals, gates, strict=True)]
        groups = connected_groups(range(1, count), equations.index_pairs)
        covariance = ridge_covariances(equations, context, result, groups, noise=noise, loss=loss)
        hypotheses = tuple(
            Hypothesis(
                float(result.fit.cost[row]),
                result.parameters[row],
                covariance[row],
                context.dynamics.with_partials(motion.select(slice(count * row, count * (row + 1)))),
                np.concatenate([residual[row] for residual in residuals]) if residuals else np.zeros(0),
            )
            for row in range(len(result.parameters))
        )
        partners = {
            identity: Partner(reason, ambiguous=False, chi_square_best=math.nan, chi_square_mirror=math.nan)
            for identity, reason in unsolved.items()
        }
        partners |= _judge_partners(equations, context, result, intermediate, covariance[0], noise=noise, loss=loss)
        return FormationSolution(
            context.reference,
            equations.satellites,
            equations.pairs,
            hypotheses,
            partners,
            noise.range_sigma_m,
            tuple(observation for pair in equations.pairs for observation in arc.ranges[pair]),
            np.concatenate(used) if used else np.zeros(0, dtype=np.bool_),
        )


def _judge_partners(
    equations: Equations,
    context: SearchContext,
    result: Minima,
    intermediate: Array,
    covariance: Array,
    *,
    noise: Noise,
    loss: Loss,
) -> dict[int, Partner]:
    """Return how well each partner's orbit is known, by radio id.

    Args:
        equations: Equations of all satellites.
        context: Models and settings.
        result: Distinct solutions, the best first.
        intermediate: Parameters (k, p) from earlier stages. If the last fit moves one of them into another solution,
            the cost has a plateau there instead of a minimum; if it fits nearly as well, it counts as another
            solution.
        covariance: Covariance of the best solution, (p, p).
        noise: Measurement noise.
        loss: Loss of the last fit.
    """
    settings, count = context.settings, len(equations.satellites)
    intermediate_cost = evaluate(equations, context.dynamics, intermediate, noise, loss).cost
    cost = np.concatenate((result.fit.cost, intermediate_cost))
    differs = differs_from(result, 0, np.concatenate((result.parameters, intermediate)), count)
    best = float(cost[0])
    freedom = max(sum(len(rows.node_time) for rows in equations.ranges) - equations.parameter_count, 1)
    by_partner = {}
    for partner in range(1, count):
        competitors = cost[differs[:, partner]].tolist()
        mirror = (
            min(competitors)
            if competitors
            else _mirror_image_cost(equations, context, result, partner, noise=noise, loss=loss)
        )
        # Likelihood ratio with the noise estimated as well.
        excess = freedom * math.log1p(max(mirror - best, 0.0) / freedom) if competitors else math.inf
        by_partner[equations.satellites[partner]] = Partner(
            _partner_unsolved_reason(equations, context, result, partner, covariance),
            excess < settings.certain_chi_square,
            best,
            mirror,
        )
    return by_partner


def _mirror_image_cost(
    equations: Equations, context: SearchContext, result: Minima, partner: int, *, noise: Noise, loss: Loss
) -> float:
    """Return the least cost of this partner's mirror images, or the best cost if they are not distinct orbits."""
    images = mirrored_candidates(result.parameters[:1], (partner,), context.reference)[1:, 0]
    parameters = images[differs_from(result, 0, images, len(equations.satellites))[:, partner]]
    if not len(parameters):
        return float(result.fit.cost[0])
    return float(evaluate(equations, context.dynamics, parameters, noise, loss).cost.min())


def _partner_unsolved_reason(
    equations: Equations, context: SearchContext, result: Minima, partner: int, covariance: Array
) -> str | None:
    """Return why a partner's orbit is not known; None if it is."""
    reference = context.reference
    node_time = 2.0 * reference.epoch_node * np.array(_ARC_FRACTIONS)
    d_position = reference.nodes.d_state_d_epoch[node_time.astype(np.int64), :3]
    columns = np.concatenate((np.arange(STATE_SIZE), STATE_SIZE * partner + np.arange(STATE_SIZE)))
    # The larger of both: a ridge that is shorter than its linear covariance is hardly bounded by the data.
    joint = np.stack((scaled_inverse(result.fit.information[0]), covariance))[:, columns[:, None], columns]
    motion = context.dynamics.propagate(equations.states(result.parameters[:1]), partials=False)
    constants = motion.at(slice(None), node_time)
    relative_position_m = (d_position @ (constants[:, partner] - constants[:, 0])[..., None])[..., 0]
    d_relative = np.concatenate((-d_position, d_position), axis=2)
    propagated = d_relative @ joint[:, None] @ d_relative.swapaxes(1, 2)
    variance = np.trace(propagated, axis1=2, axis2=3).mean(axis=1).max()
    sigma_m, distance_m = math.sqrt(variance), math.sqrt((relative_position_m**2).sum(axis=1).mean())
    return unsolved_reason(sigma_m, distance_m, context.settings.solved_sigma_ratio)
