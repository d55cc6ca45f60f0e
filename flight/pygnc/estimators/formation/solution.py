"""Solution of an arc: the hypotheses on the partners' orbits and how certain each partner is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.observations import Pair, RangeObservation
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, state_indices
from pygnc.estimators.formation.relative_coordinates import rtn_from_gcrf
from pygnc.estimators.formation.relative_motion import Motion


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One solution for the whole formation.

    Attributes:
        chi_square: Cost of all observations and priors. A rejected observation costs as much as one at the gate.
        parameters: Seven parameters of each satellite (position, velocity, log drag factor at the epoch, as
            deviations from the reference), then one bias per pair, shape (p,).
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
    """Return a relative state in both frames, from our own state (6,), the relative state (6,) and its covariance."""
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
            raise ValueError(f"no solution for satellite {partner}; solved are {self.satellites[1:]}")
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
            raise ValueError(
                f"gps_ms {gps_ms} is outside the arc of the solution, which spans {self.reference.span_ms}"
            )
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
