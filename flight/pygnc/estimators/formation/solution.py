"""Solution of an arc: its stages, hypotheses for the whole formation, and the knowledge of each partner's orbit.

A partner is certain if its ranges fit to within their noise, and if n ln(1 + d/n) reaches the margin of the settings,
with d the excess of chi-square of the best other solution and n the degrees of freedom: the likelihood ratio with the
noise estimated as well.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.fix_errors import FixErrors
from pygnc.estimators.formation.least_squares import differs_from
from pygnc.estimators.formation.observation_equations import Equations, Fit, Noise
from pygnc.estimators.formation.observations import Pair, RangeObservation
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, log_drag
from pygnc.estimators.formation.relative_coordinates import rtn_from_gcrf
from pygnc.estimators.formation.search import mirrored_candidates
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.kalman import scaled_inverse

_CHUNK: Final = 32
"""Number of times evaluated at once; with four satellites, their derivatives take a third of a megabyte."""


class StageResult(NamedTuple):
    """Result of one stage of a solution, from which an interrupted solution continues.

    Attributes:
        parameters: Parameters of the candidates that the stage leaves, the best first, (k, p).
        noise: Noise of the observations.
        errors: Error model of the fixes.
        unsolved: Reason why a satellite cannot be searched, by index; empty except after the search.
    """

    parameters: Array
    noise: Noise
    errors: FixErrors
    unsolved: dict[int, str]


class Stages:
    """Stages of one solution in their order.

    Args:
        recorded: Results of stages that are not computed again; new ones are appended as soon as they are known.
    """

    def __init__(self, recorded: list[StageResult]) -> None:
        self._recorded = recorded
        self._done = 0

    def next(self, compute: Callable[[], StageResult]) -> StageResult:
        """Return the recorded result of the next stage or, if there is none, compute and record it."""
        if self._done == len(self._recorded):
            stage = compute()
            # Decoded arrays are in C order; with another order here, sums could round differently after a restart.
            self._recorded.append(stage._replace(parameters=np.ascontiguousarray(stage.parameters)))
        self._done += 1
        return self._recorded[self._done - 1]


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One solution for the whole formation.

    Attributes:
        chi_square: Cost of all observations and priors. A rejected observation costs as much as one at the gate.
        parameters: Seven parameters of each satellite (position in m, velocity in m/s, log drag factor at the epoch, as
            deviations from the reference), then one bias in m per pair, shape (p,).
        covariance: Covariance of the parameters, shape (p, p).
        residual_m: Residuals of the ranges in m, in the order of `FormationSolution.ranges`.
    """

    chi_square: float
    parameters: Array
    covariance: Array
    residual_m: Array


class RelativeState(NamedTuple):
    """State of a partner minus that of our satellite: positions in m, velocities in m/s.

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


@dataclass(frozen=True, slots=True)
class Partner:
    """Knowledge of a partner's orbit.

    Attributes:
        unsolved: Reason why there is no orbit; None if there is one.
        fits: False if even the best solution does not fit the observations, which more observations cannot mend.
        ambiguous: True if another solution fits nearly as well, or if even the best one does not fit.
        chi_square_best: Chi-square of the best solution.
        chi_square_mirror: Chi-square of the best solution in which this partner moves differently. If all searches
            from its mirror images lead back to the best solution, chi-square of the best image without improvement.
            If no image differs from the best solution by more than its uncertainty, equal to `chi_square_best`.
    """

    unsolved: str | None
    fits: bool
    ambiguous: bool
    chi_square_best: float
    chi_square_mirror: float


@dataclass(frozen=True, slots=True, eq=False)
class FormationSolution:
    """Solution of an arc.

    Attributes:
        equations: Equations of the last fit, with all satellites solved jointly.
        hypotheses: Hypotheses, the best first.
        differing: True where two hypotheses have different orbits of a satellite, shape (h, h, s).
        partners: All partners in the observations, by radio id.
        ranges: Ranges in use, pair by pair.
        used: True for each range that passed the gate in the best hypothesis.
    """

    equations: Equations
    hypotheses: tuple[Hypothesis, ...]
    differing: npt.NDArray[np.bool_]
    partners: dict[int, Partner]
    ranges: tuple[RangeObservation, ...]
    used: npt.NDArray[np.bool_]

    @property
    def reference(self) -> Reference:
        """Our reference orbit, from which the parameters deviate."""
        return self.equations.dynamics.reference

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids of the satellites solved jointly, our own first."""
        return self.equations.satellites

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs with ranges among them."""
        return self.equations.pairs

    @property
    def noise_m(self) -> Array:
        """Standard deviation of the ranges of each pair without model error, in m."""
        return self.equations.noise.white_sigma_m

    @property
    def freedom(self) -> int:
        """Degrees of freedom: ranges in use minus parameters, at least 0."""
        return max(0, int(self.used.sum()) - len(self.hypotheses[0].parameters))

    def relative_at(self, gps_ms: int, partner: int, hypothesis: int = 0) -> RelativeState:
        """Return the state of a partner, by radio id, relative to us in a hypothesis; 0 is the best.

        Raises:
            ValueError: The time is outside the arc, or the partner is not solved.
        """
        return next(self.relative_states((gps_ms,), partner, hypothesis))

    def relative_states(self, gps_ms: Sequence[int], partner: int, hypothesis: int = 0) -> Iterator[RelativeState]:
        """Yield the states of a partner, by radio id, relative to us at several times in ascending order.

        Raises:
            ValueError: A time is outside the arc, or the partner is not solved.
        """
        if partner not in self.satellites[1:]:
            raise ValueError(f"satellite {partner} is not solved; choose from {self.satellites[1:]}")
        index, covariance = self.satellites.index(partner), self.hypotheses[hypothesis].covariance
        for states, partials in self._states(gps_ms, hypothesis):
            relative, d_relative = states[index] - states[0], partials[index] - partials[0]
            covariances = d_relative @ covariance @ d_relative.swapaxes(1, 2)
            yield from (relative_state(*each) for each in zip(states[0], relative, covariances, strict=True))

    def joint_at(self, gps_ms: int, hypothesis: int = 0) -> tuple[Array, Array]:
        """Return the joint state of all satellites and its covariance, from which a filter starts.

        Returns:
            Position and velocity (GCRF, m and m/s) and log drag factor of each satellite, then the range biases in m,
            shape (n,), and the covariance, shape (n, n).

        Raises:
            ValueError: The time is outside the arc.
        """
        states, partials = (part[:, 0] for part in next(self._states((gps_ms,), hypothesis)))
        parameters, covariance = self.hypotheses[hypothesis].parameters, self.hypotheses[hypothesis].covariance
        size = STATE_SIZE * len(self.satellites) + len(self.pairs)
        joint, transition = parameters[:size].copy(), np.eye(size, len(parameters))
        for satellite, (state, d_state) in enumerate(zip(states, partials, strict=True)):
            first = STATE_SIZE * satellite
            joint[first : first + 6] = state
            track = self.equations.tracks[satellite]
            joint[first + 6] = log_drag(track, parameters, satellite)
            transition[first : first + 6] = d_state
            transition[first + 6] *= math.exp(track.reference.log_drag - joint[first + 6])
        return joint, transition.dot(covariance).dot(transition.T)

    def bias_of(self, pair: Pair) -> tuple[float, float]:
        """Return the range bias of a pair and its standard deviation in the best hypothesis, in m."""
        index, best = STATE_SIZE * len(self.satellites) + self.pairs.index(pair), self.hypotheses[0]
        return float(best.parameters[index]), float(np.sqrt(best.covariance[index, index]))

    def noise_of(self, pair: Pair) -> float:
        """Return the standard deviation of the ranges of a pair without model error, in m."""
        return float(self.noise_m[self.pairs.index(pair)])

    def _states(self, gps_ms: Sequence[int], hypothesis: int) -> Iterator[tuple[Array, Array]]:
        """Yield positions and velocities (s, m, 6) and their derivatives by the parameters, for up to 32 times each."""
        for moment in gps_ms:
            if not self.reference.covers(moment):
                first_ms, last_ms = self.reference.span_ms
                raise ValueError(f"gps_ms {moment} is outside the arc of the solution, {first_ms} to {last_ms}")
        parameters, times = self.hypotheses[hypothesis].parameters, np.array(gps_ms, dtype=np.float64)
        # The motion is computed again: stored for half a day, it would take half a megabyte per hypothesis.
        motion = self.equations.motion(parameters[None])
        for first in range(0, len(times), _CHUNK):
            yield self.equations.states_at(times[first : first + _CHUNK], parameters, motion)


def unsolved_reason(sigma_m: float, distance_m: float, sigma_ratio_max: float) -> str | None:
    """Return the reason why a partner's orbit is unknown; None if its uncertainty is small relative to its distance."""
    if sigma_m < sigma_ratio_max * distance_m:
        return None
    return f"standard deviation of its position {sigma_m:.0f} m at a distance of {distance_m:.0f} m"


def judge_partners(
    equations: Equations, settings: FormationSettings, result: Fit, intermediate: Array, covariance: Array
) -> dict[int, Partner]:
    """Return the knowledge of each partner's orbit, by radio id.

    Args:
        equations: Equations of all satellites.
        settings: Margins of certainty and of the uncertainty of a position.
        result: Distinct solutions, the best first.
        intermediate: Parameters (k, p) from earlier stages. Some may be on a plateau of the cost, from which the last
            fit moves into another solution. They count as other solutions if they fit nearly as well.
        covariance: Covariance of the best solution, (p, p).
    """
    count = len(equations.satellites)
    cost = np.concatenate((result.cost, equations.fit(intermediate).cost))
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
        fits = _fits(equations, partner, distance_m)
        by_partner[equations.satellites[partner]] = Partner(
            unsolved_reason(sigma_m, distance_m, settings.solved_sigma_ratio),
            fits,
            excess < settings.certain_chi_square or not fits,
            best,
            mirror,
        )
    return by_partner


def _fits(equations: Equations, partner: int, distance_m: float) -> bool:
    """Return True if the model fits a partner's ranges to within their noise and is valid at its distance in m."""
    tracks = equations.tracks
    # The motion of a partner without fixes is accurate up to this distance.
    if distance_m > 50_000.0 and not tracks[partner].is_linear:
        return False
    # For a partner with an orbit by fixes, ranges to partners with a less accurate model show nothing, so skip these.
    known = tracks[partner].is_linear
    pairs = [
        number
        for number, pair in enumerate(equations.index_pairs)
        if partner in pair and (not known or all(tracks[end].is_linear for end in pair))
    ]
    noise = equations.noise
    # Model errors may enlarge the noise by at most a tenth.
    return bool((noise.range_sigma_m[pairs] <= 1.1 * noise.white_sigma_m[pairs]).all())


def _mirror_image_cost(equations: Equations, result: Fit, partner: int) -> float:
    """Return the least cost of a partner's mirror images, or the best cost if none is a distinct orbit."""
    images = mirrored_candidates(result.parameters[:1], (partner,), equations.dynamics.reference)[1:, 0]
    parameters = images[differs_from(result, 0, images, len(equations.satellites))[:, partner]]
    return float(equations.fit(parameters).cost.min() if len(parameters) else result.cost[0])


def _position_uncertainty(equations: Equations, result: Fit, partner: int, covariance: Array) -> tuple[float, float]:
    """Return standard deviation and distance of a partner's position in the best solution, in m.

    Both are RMS values over five times of the arc. The larger of the linear covariance and `covariance` counts.
    """
    first_ms, last_ms = equations.dynamics.reference.span_ms
    moments = first_ms + (last_ms - first_ms) * np.linspace(0.0, 1.0, 5)
    best = result.parameters[0]
    states, partials = equations.states_at(moments, best, equations.motion(best[None]))
    relative_position_m, d_relative = (part[partner, :, :3] - part[0, :, :3] for part in (states, partials))
    # Take the larger one, because a ridge shorter than its linear covariance is hardly bounded by the data.
    joint = np.stack((scaled_inverse(result.information[0]), covariance))
    propagated = d_relative @ joint[:, None] @ d_relative.swapaxes(1, 2)
    variance = np.trace(propagated, axis1=2, axis2=3).mean(axis=1).max()
    return math.sqrt(variance), math.sqrt((relative_position_m**2).sum(axis=1).mean())
