"""Solution of an arc: the hypotheses on the partners' orbits and how certain each partner is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.observations import Pair, RangeObservation
from pygnc.estimators.formation.reference import STATE_SIZE, Reference
from pygnc.estimators.formation.relative_coordinates import d_elements_d_state, relative_elements, rtn_from_gcrf
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
        residual_m: Residuals of the ranges, in the order of `FormationSolution.ranges`.
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
        ambiguous: Whether another solution fits nearly as well.
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
        covariance_rtn: Shape (6, 6).
        gcrf: Shape (6,).
        covariance_gcrf: Shape (6, 6).
    """

    rtn: Array
    covariance_rtn: Array
    gcrf: Array
    covariance_gcrf: Array


class JointState(NamedTuple):
    """States of all satellites at one moment.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        states: Position and velocity in GCRF, shape (s, 6).
        log_drag: Logarithm of the drag factors, shape (s,).
        bias_m: Range biases by pair.
        covariance: Covariance of position, velocity and log drag factor of each satellite, then of the biases, (p, p).
    """

    gps_ms: int
    states: Array
    log_drag: Array
    bias_m: Array
    covariance: Array


@dataclass(frozen=True, slots=True, eq=False)
class FormationSolution:
    """Solution of an arc.

    Attributes:
        reference: Reference orbit of the deviations.
        satellites: Radio ids of the satellites solved jointly, our own first.
        pairs: Pairs with ranges among them.
        hypotheses: Hypotheses, the best first.
        partners: All partners in the observations, by radio id.
        noise_m: Standard deviation of a range, by pair.
        ranges: Ranges in use, pair by pair.
        used: Whether each range passed the gate in the best hypothesis.
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
        """Return the state of a partner relative to us.

        Raises:
            ValueError: The moment is outside the arc, or the partner is not solved.
        """
        own, gcrf, covariance_gcrf = self._relative_state(gps_ms, partner, hypothesis)
        rotation = rtn_from_gcrf(own)
        return RelativeState(rotation.dot(gcrf), rotation.dot(covariance_gcrf).dot(rotation.T), gcrf, covariance_gcrf)

    def elements_at(self, gps_ms: int, partner: int, hypothesis: int = 0) -> tuple[Array, Array]:
        """Return the relative orbital elements (6,) of a partner in m, and their covariance (6, 6).

        Raises:
            ValueError: The moment is outside the arc, or the partner is not solved.
        """
        own, gcrf, covariance_gcrf = self._relative_state(gps_ms, partner, hypothesis)
        d_elements = d_elements_d_state(own, own + gcrf)
        return relative_elements(own, own + gcrf), d_elements.dot(covariance_gcrf).dot(d_elements.T)

    def joint_at(self, gps_ms: int, hypothesis: int = 0) -> JointState:
        """Return the joint state of all satellites, the initial state of a filter.

        Raises:
            ValueError: The moment is outside the arc.
        """
        count = len(self.satellites)
        deviations, partials = self._deviations(gps_ms, hypothesis)
        reference = self.reference.at(np.array([float(gps_ms)])).state[0]
        parameters, covariance = self.hypotheses[hypothesis].parameters, self.hypotheses[hypothesis].covariance
        transition = np.eye(len(parameters))
        for satellite in range(count):
            first = STATE_SIZE * satellite
            transition[first : first + 6, first : first + STATE_SIZE] = partials[satellite]
        return JointState(
            gps_ms,
            reference + deviations,
            self.reference.log_drag + parameters[STATE_SIZE - 1 : STATE_SIZE * count : STATE_SIZE],
            parameters[STATE_SIZE * count :],
            transition.dot(covariance).dot(transition.T),
        )

    def bias_of(self, pair: Pair, hypothesis: int = 0) -> tuple[float, float]:
        """Return the range bias of a pair and its standard deviation, in m."""
        index = STATE_SIZE * len(self.satellites) + self.pairs.index(pair)
        solved = self.hypotheses[hypothesis]
        return float(solved.parameters[index]), float(np.sqrt(solved.covariance[index, index]))

    def _relative_state(self, gps_ms: int, partner: int, hypothesis: int) -> tuple[Array, Array, Array]:
        """Return our state, the relative state and its covariance, GCRF."""
        if partner not in self.satellites[1:]:
            raise ValueError(f"no solution for satellite {partner}; solved are {self.satellites[1:]}")
        index = self.satellites.index(partner)
        deviations, partials = self._deviations(gps_ms, hypothesis)
        reference = self.reference.at(np.array([float(gps_ms)])).state[0]
        columns = np.concatenate((np.arange(STATE_SIZE), STATE_SIZE * index + np.arange(STATE_SIZE)))
        joint = self.hypotheses[hypothesis].covariance[columns[:, None], columns]
        d_relative = np.concatenate((-partials[0], partials[index]), axis=1)
        return (
            reference + deviations[0],
            deviations[index] - deviations[0],
            d_relative.dot(joint).dot(d_relative.T),
        )

    def _deviations(self, gps_ms: int, hypothesis: int) -> tuple[Array, Array]:
        """Return deviations from the reference (s, 6) and their derivatives by each satellite's state (s, 6, 7)."""
        if not self.reference.covers(gps_ms):
            raise ValueError(f"gps_ms {gps_ms} is outside the arc of the solution")
        moment = np.array([float(gps_ms)])
        node_time, d_state_d_epoch = self.reference.node_time(moment), self.reference.at(moment).d_state_d_epoch[0]
        motion = self.hypotheses[hypothesis].motion
        deviations = motion.at(slice(None), node_time)[0] @ d_state_d_epoch.T
        partials = motion.partials_at(slice(None), node_time)
        return deviations, d_state_d_epoch if partials is None else d_state_d_epoch @ partials[0]


def unsolved_reason(sigma_m: float, distance_m: float, sigma_ratio_max: float) -> str | None:
    """Return why a partner's orbit counts as unknown; None if its uncertainty is small relative to its distance."""
    if sigma_m < sigma_ratio_max * distance_m:
        return None
    return f"standard deviation of its position {sigma_m:.0f} m at a distance of {distance_m:.0f} m"
