"""Batch solution: relative orbits of a formation from an arc of ranges and fixes.

1. Determine our own orbit and those of partners with enough fixes.
2. Search candidates for all other partners (`search`).
3. Improve every candidate and every mirror image by a joint fit of all observations.
4. Estimate the noise from the residuals of the best solution, and fit again without outliers.
5. Decide which solutions are distinct, compute their covariances (`ridge`) and whether each partner is ambiguous.

A partner is certain if n ln(1 + d/n), with d the excess of chi-square of the best other solution and n the degrees of
freedom, reaches the margin of the settings: the likelihood ratio with the noise estimated as well.

The result is a `FormationSolution`. Each of its hypotheses is a solution for the whole formation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.least_squares import (
    Minima,
    apparent_noise,
    differs_from,
    distinct_solutions,
    minimise,
    refined_noise,
    robust_noise,
)
from pygnc.estimators.formation.observation_equations import (
    Equations,
    Loss,
    initial_prior,
    linearise_observations,
    scaled_inverse,
)
from pygnc.estimators.formation.observations import (
    Arc,
    Pair,
    RangeObservation,
    SatelliteFix,
    connected_groups,
    select_arc,
)
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, state_indices
from pygnc.estimators.formation.relative_coordinates import rtn_from_gcrf
from pygnc.estimators.formation.relative_motion import Motion
from pygnc.estimators.formation.ridge import ridge_covariances
from pygnc.estimators.formation.search import FormationSearch, mirrored_candidates
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One solution for the whole formation.

    Attributes:
        chi_square: Cost of all observations and priors. A rejected observation costs as much as one at the gate.
        parameters: Seven parameters of each satellite (position in m, velocity in m/s, log drag factor at the epoch, as
            deviations from the reference), then one bias in m per pair, shape (p,).
        covariance: Covariance of the parameters, shape (p, p).
        motion: Motion of all satellites.
        residual_m: Residuals of the ranges in m, in the order of `FormationSolution.ranges`.
    """

    chi_square: float
    parameters: Array
    covariance: Array
    motion: Motion
    residual_m: Array


@dataclass(frozen=True, slots=True)
class Partner:
    """Knowledge of a partner's orbit.

    Attributes:
        unsolved: Reason why there is no orbit; None if there is one.
        ambiguous: True if another solution fits nearly as well.
        chi_square_best: Chi-square of the best solution.
        chi_square_mirror: Chi-square of the best solution in which this partner moves differently. If all searches
            from its mirror images lead back to the best solution, chi-square of the best image without improvement.
            If the images differ from the best solution by less than its uncertainty, equal to `chi_square_best`.
    """

    unsolved: str | None
    ambiguous: bool
    chi_square_best: float
    chi_square_mirror: float


class RelativeState(NamedTuple):
    """Partner minus our satellite: positions in m, velocities in m/s.

    Attributes:
        rtn: Radial, transverse, normal; velocities relative to the rotating axes; shape (6,).
        covariance_rtn: Covariance of `rtn`, shape (6, 6).
        gcrf: Position and velocity, GCRF, shape (6,).
        covariance_gcrf: Covariance of `gcrf`, shape (6, 6).
    """

    rtn: Array
    covariance_rtn: Array
    gcrf: Array
    covariance_gcrf: Array


def relative_state(own: Array, gcrf: Array, covariance_gcrf: Array) -> RelativeState:
    """Return a relative state in RTN and GCRF, from our state (6,), the relative state (6,) and its covariance."""
    rotation = rtn_from_gcrf(own)
    return RelativeState(rotation.dot(gcrf), rotation.dot(covariance_gcrf).dot(rotation.T), gcrf, covariance_gcrf)


@dataclass(frozen=True, slots=True, eq=False)
class FormationSolution:
    """Solution of an arc.

    Attributes:
        reference: Reference orbit of the deviations.
        satellites: Radio ids of the satellites solved jointly, our own first.
        pairs: Pairs with ranges among them.
        hypotheses: Hypotheses, the best first.
        partners: All partners in the observations, by radio id.
        noise_m: Standard deviation of the ranges of each pair, in m.
        ranges: Ranges in use, pair by pair.
        used: True for each range that passed the gate in the best hypothesis.
    """

    reference: Reference
    satellites: tuple[int, ...]
    pairs: tuple[Pair, ...]
    hypotheses: tuple[Hypothesis, ...]
    partners: dict[int, Partner]
    noise_m: Array
    ranges: tuple[RangeObservation, ...]
    used: npt.NDArray[np.bool_]

    def relative_at(self, gps_ms: int, partner: int, hypothesis: int = 0) -> RelativeState:
        """Return the state of a partner, by radio id, relative to us.

        Raises:
            ValueError: The moment is outside the arc, or the partner is not solved.
        """
        if partner not in self.satellites[1:]:
            raise ValueError(f"satellite {partner} is not solved; choose from {self.satellites[1:]}")
        index = self.satellites.index(partner)
        reference, deviations, partials = self._states(gps_ms, hypothesis)
        columns = np.concatenate((state_indices(0), state_indices(index)))
        joint = self.hypotheses[hypothesis].covariance[columns[:, None], columns]
        d_relative = np.concatenate((-partials[0], partials[index]), axis=1)
        covariance = d_relative.dot(joint).dot(d_relative.T)
        return relative_state(reference + deviations[0], deviations[index] - deviations[0], covariance)

    def joint_at(self, gps_ms: int, hypothesis: int = 0) -> tuple[Array, Array]:
        """Return the joint state of all satellites and its covariance, the initial state of a filter.

        Returns:
            Position and velocity (GCRF, m and m/s) and log drag factor of each satellite, then the range biases in m,
            shape (p,), and the covariance, shape (p, p).

        Raises:
            ValueError: The moment is outside the arc.
        """
        reference, deviations, partials = self._states(gps_ms, hypothesis)
        parameters, covariance = self.hypotheses[hypothesis].parameters, self.hypotheses[hypothesis].covariance
        joint, transition = parameters.copy(), np.eye(len(parameters))
        for satellite, (deviation, d_state) in enumerate(zip(deviations, partials, strict=True)):
            first = STATE_SIZE * satellite
            joint[first : first + 6] = reference + deviation
            joint[first + 6] = self.reference.log_drag + parameters[first + 6]
            transition[first : first + 6, first : first + STATE_SIZE] = d_state
        return joint, transition.dot(covariance).dot(transition.T)

    def bias_of(self, pair: Pair, hypothesis: int = 0) -> tuple[float, float]:
        """Return the range bias of a pair and its standard deviation, in m."""
        index = STATE_SIZE * len(self.satellites) + self.pairs.index(pair)
        solved = self.hypotheses[hypothesis]
        return float(solved.parameters[index]), float(np.sqrt(solved.covariance[index, index]))

    def _states(self, gps_ms: int, hypothesis: int) -> tuple[Array, Array, Array]:
        """Return the reference (6,), deviations (s, 6) and their derivatives by each satellite's state (s, 6, 7)."""
        if not self.reference.covers(gps_ms):
            first_ms, last_ms = self.reference.span_ms
            raise ValueError(f"gps_ms {gps_ms} is outside the arc of the solution, {first_ms} to {last_ms}")
        moment = np.array([float(gps_ms)])
        node_time, reference = self.reference.node_time(moment), self.reference.at(moment)
        motion, d_state_d_epoch = self.hypotheses[hypothesis].motion, reference.d_state_d_epoch[0]
        deviations = motion.at(slice(None), node_time)[0] @ d_state_d_epoch.T
        partials = motion.partials_at(slice(None), node_time)
        return reference.state[0], deviations, d_state_d_epoch if partials is None else d_state_d_epoch @ partials[0]


def unsolved_reason(sigma_m: float, distance_m: float, sigma_ratio_max: float) -> str | None:
    """Return the reason why a partner's orbit is unknown; None if its uncertainty is small relative to its distance."""
    if sigma_m < sigma_ratio_max * distance_m:
        return None
    return f"standard deviation of its position {sigma_m:.0f} m at a distance of {distance_m:.0f} m"


_FIX_GATE: Final = 4.6
"""Gate of a fix in standard deviations of three components together; 1e-4 of good fixes lie beyond."""
_FIRST_ITERATIONS: Final = 12
_ITERATIONS: Final = 30
_ROUNDS: Final = 3
"""Rounds of fitting and estimating the noise."""
_COST_MARGIN: Final = 2_000.0
"""Solutions whose cost exceeds the best by more are dropped."""
_SOLUTIONS_MAX: Final = 40
"""Maximum number of distinct solutions in the last fits."""
_ARC_FRACTIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Moments of the arc, as fractions of its length, at which the uncertainty of a position is evaluated."""


class FormationSolver:
    """Solver of the orbits of a formation from the observations of an arc.

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
        """Estimate the orbits of all satellites from the observations of an arc.

        Args:
            orbit: Our orbit at a moment in the arc: the reference and, if the arc has few of our fixes, the prior of
                our orbit.
            fixes: Fixes of all satellites, in any order, with or without duplicates.
            ranges: Ranges of all pairs, in any order, with or without duplicates.

        Returns:
            The solution, or None if the arc holds no observation except a few fixes of our own.
        """
        settings = self._settings
        arc = select_arc(settings, orbit.gps_ms, fixes, ranges)
        if arc is None:
            return None
        own = None
        if len(arc.fixes[settings.own_id]) < settings.own_fixes_min:
            # The orbit estimate was made from these fixes; they must not be used twice.
            own, arc = orbit, Arc({**arc.fixes, settings.own_id: ()}, arc.ranges)
            if not arc.ranges and not any(arc.fixes.values()):
                return None
        equations = self.equations(arc, orbit, own)
        equations = replace(equations, noise=apparent_noise(equations, settings))
        parameters, unsolved = FormationSearch(equations, settings).candidates()
        reasons = {equations.satellites[number]: reason for number, reason in unsolved.items()}
        if unsolved:
            solved = [number for number in range(len(equations.satellites)) if number not in unsolved]
            parameters = parameters[:, equations.parameter_indices(solved)]
            pairs = len(equations.pairs_among(solved))
            prior = initial_prior(len(solved), pairs, equations.dynamics.reference, own, settings)
            equations = equations.subset(solved, prior=prior)
        return _solution(arc, settings, *_refined(equations, settings, parameters), unsolved=reasons)

    def equations(self, arc: Arc, orbit: OrbitState, own: OrbitState | None) -> Equations:
        """Return the observation equations of an arc, linearised at our orbit propagated from `orbit`.

        Args:
            arc: Observations.
            orbit: Our orbit at a moment in the arc.
            own: `orbit` if it is the prior of our state; None if our fixes determine our orbit.
        """
        step_max_ms = self._orbit.force_model.step_max_ms
        reference = Reference(orbit, arc.span_ms, dynamics=self._dynamics, step_max_ms=step_max_ms, frames=self._frames)
        return linearise_observations(
            arc, reference, own, self._settings, frames=self._frames, receiver=self._orbit.measurement
        )


def last_loss(settings: FormationSettings) -> Loss:
    """Return the loss of the last fit, which rejects outliers."""
    return Loss(settings.range_gate_sigma, _FIX_GATE, hard=True)


def _refined(equations: Equations, settings: FormationSettings, parameters: Array) -> tuple[Equations, Minima, Array]:
    """Refine candidates (k, p) and estimate the noise from the residuals of the best solution.

    Returns:
        Equations with the estimated noise and the loss of the last fit; the distinct solutions, the best first; and
        the parameters (k, p) that were distinct after the first fit.
    """
    count = len(equations.satellites)
    result = distinct_solutions(minimise(equations, parameters, iterations=_FIRST_ITERATIONS), count)
    intermediate = result.parameters[:_SOLUTIONS_MAX]
    equations = replace(equations, noise=robust_noise(equations, result.parameters[:1], settings))
    result = distinct_solutions(minimise(equations, intermediate, iterations=_ITERATIONS), count)
    plausible = int((result.fit.cost <= result.fit.cost[0] + _COST_MARGIN).sum())
    parameters = result.parameters[:plausible]
    equations = replace(equations, loss=last_loss(settings))
    for _ in range(_ROUNDS):
        result = distinct_solutions(minimise(equations, parameters, iterations=_ITERATIONS), count)
        equations = replace(equations, noise=refined_noise(equations, result, settings))
        parameters = result.parameters
    return equations, distinct_solutions(Minima(parameters, equations.fit(parameters)), count), intermediate


def _solution(
    arc: Arc,
    settings: FormationSettings,
    equations: Equations,
    result: Minima,
    intermediate: Array,
    *,
    unsolved: dict[int, str],
) -> FormationSolution:
    count, noise_m = len(equations.satellites), equations.noise.range_sigma_m
    motion = equations.motion(result.parameters, partials=False)
    residuals = [
        equations.range_residuals(result.parameters, pair, equations.relative_positions(pair, motion)[1])
        for pair in range(len(equations.pairs))
    ]
    residual_m = np.concatenate(residuals, axis=1) if residuals else np.zeros((len(result.parameters), 0))
    used = [
        np.abs(residual[0]) <= equations.loss.limit * sigma_m
        for residual, sigma_m in zip(residuals, noise_m, strict=True)
    ]
    groups = connected_groups(range(1, count), equations.index_pairs)
    covariance = ridge_covariances(equations, result, groups, settings.certain_chi_square)
    hypotheses = tuple(
        Hypothesis(
            float(result.fit.cost[row]),
            result.parameters[row],
            covariance[row],
            equations.dynamics.with_partials(motion.select(slice(count * row, count * (row + 1)))),
            residual_m[row],
        )
        for row in range(len(result.parameters))
    )
    partners = {
        identity: Partner(reason, ambiguous=False, chi_square_best=math.nan, chi_square_mirror=math.nan)
        for identity, reason in unsolved.items()
    }
    partners |= _judge_partners(equations, settings, result, intermediate, covariance[0])
    return FormationSolution(
        equations.dynamics.reference,
        equations.satellites,
        equations.pairs,
        hypotheses,
        partners,
        noise_m,
        tuple(observation for pair in equations.pairs for observation in arc.ranges[pair]),
        np.concatenate(used) if used else np.zeros(0, dtype=np.bool_),
    )


def _judge_partners(
    equations: Equations, settings: FormationSettings, result: Minima, intermediate: Array, covariance: Array
) -> dict[int, Partner]:
    """Return the knowledge of each partner's orbit, by radio id.

    Args:
        equations: Equations of all satellites.
        settings: Margins of certainty and of the uncertainty of a position.
        result: Distinct solutions, the best first.
        intermediate: Parameters (k, p) from earlier stages. If the last fit moves some of them into another solution,
            the cost has a plateau there instead of a minimum. If they fit nearly as well, they count as other
            solutions.
        covariance: Covariance of the best solution, (p, p).
    """
    count = len(equations.satellites)
    cost = np.concatenate((result.fit.cost, equations.fit(intermediate).cost))
    differs = differs_from(result, 0, np.concatenate((result.parameters, intermediate)), count)
    best = float(cost[0])
    freedom = max(equations.range_count - equations.parameter_count, 1)
    by_partner = {}
    for partner in range(1, count):
        competitors = cost[differs[:, partner]].tolist()
        mirror = min(competitors) if competitors else _mirror_image_cost(equations, result, partner)
        # Likelihood ratio with the noise estimated as well.
        excess = freedom * math.log1p(max(mirror - best, 0.0) / freedom) if competitors else math.inf
        sigma_m, distance_m = _position_uncertainty(equations, result, partner, covariance)
        by_partner[equations.satellites[partner]] = Partner(
            unsolved_reason(sigma_m, distance_m, settings.solved_sigma_ratio),
            excess < settings.certain_chi_square,
            best,
            mirror,
        )
    return by_partner


def _mirror_image_cost(equations: Equations, result: Minima, partner: int) -> float:
    """Return the least cost of this partner's mirror images, or the best cost if they are not distinct orbits."""
    images = mirrored_candidates(result.parameters[:1], (partner,), equations.dynamics.reference)[1:, 0]
    parameters = images[differs_from(result, 0, images, len(equations.satellites))[:, partner]]
    return float(equations.fit(parameters).cost.min() if len(parameters) else result.fit.cost[0])


def _position_uncertainty(equations: Equations, result: Minima, partner: int, covariance: Array) -> tuple[float, float]:
    """Return standard deviation and distance of a partner's position in the best solution, in m.

    Both are RMS values over some moments of the arc. The larger of the linear covariance and `covariance` counts.
    """
    reference = equations.dynamics.reference
    node_time = 2.0 * reference.epoch_node * np.array(_ARC_FRACTIONS)
    d_position = reference.nodes.d_state_d_epoch[node_time.astype(np.int64), :3]
    columns = np.concatenate((np.arange(STATE_SIZE), STATE_SIZE * partner + np.arange(STATE_SIZE)))
    # The larger of both: a ridge that is shorter than its linear covariance is hardly bounded by the data.
    joint = np.stack((scaled_inverse(result.fit.information[0]), covariance))[:, columns[:, None], columns]
    constants = equations.motion(result.parameters[:1], partials=False).at(slice(None), node_time)
    relative_position_m = (d_position @ (constants[:, partner] - constants[:, 0])[..., None])[..., 0]
    d_relative = np.concatenate((-d_position, d_position), axis=2)
    propagated = d_relative @ joint[:, None] @ d_relative.swapaxes(1, 2)
    variance = np.trace(propagated, axis1=2, axis2=3).mean(axis=1).max()
    return math.sqrt(variance), math.sqrt((relative_position_m**2).sum(axis=1).mean())
