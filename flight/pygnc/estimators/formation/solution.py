"""What comes out of an arc: every orbit of the partners that may be, and which of them is certain."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.observations import Pair, RangeObservation
from pygnc.estimators.formation.reference import STATE_SIZE, Reference
from pygnc.estimators.formation.relative_coordinates import d_elements_d_state, relative_elements, rtn_from_gcrf
from pygnc.estimators.formation.relative_motion import Motion


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One solution for the whole formation.

    Attributes:
        chi_square: Cost of all observations and priors; one that was rejected costs what the gate allows.
        unknowns: Seven of each satellite (position, velocity, logarithm of the drag factor at the epoch, as deviations
            from the reference) and one bias per pair, shape (p,).
        covariance: Of the unknowns, shape (p, p).
        motion: Of all satellites.
        residual_m: Of the ranges, in the order of `FormationSolution.ranges`.
    """

    chi_square: float
    unknowns: Array
    covariance: Array
    motion: Motion
    residual_m: Array


@dataclass(frozen=True, slots=True)
class Partner:
    """How well a partner's orbit is known.

    Attributes:
        unsolved: Why there is none; None when there is.
        ambiguous: Whether another solution fits nearly as well.
        chi_square_best: Of the best solution.
        chi_square_mirror: Of the best one in which this partner moves differently. Where every search from a mirror
            image leads back to the best solution, there is none, and this is what the best of the images costs as it
            is, unimproved; where the images differ from the best solution by less than its uncertainty, they are
            the same solution and cost the same.
    """

    unsolved: str | None
    ambiguous: bool
    chi_square_best: float
    chi_square_mirror: float


class RelativeState(NamedTuple):
    """A partner minus our satellite: positions in m, velocities in m/s.

    Attributes:
        rtn: Along radial, transverse, normal, velocity relative to these turning axes, shape (6,).
        covariance_rtn: Shape (6, 6).
        gcrf: Shape (6,).
        covariance_gcrf: Shape (6, 6).
    """

    rtn: Array
    covariance_rtn: Array
    gcrf: Array
    covariance_gcrf: Array


class JointState(NamedTuple):
    """All satellites at one moment.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        states: Position and velocity in GCRF, shape (s, 6).
        log_drag: Logarithm of the drag factors at the epoch, shape (s,).
        bias_m: By pair.
        covariance: Of position, velocity and logarithm of drag of each satellite, then of the biases, shape (p, p).
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
        reference: The orbit from which deviations are counted.
        satellites: Radio ids of those solved jointly, our own first.
        pairs: Those with ranges among them.
        hypotheses: The best first.
        partners: All that were named, by radio id.
        noise_m: Standard deviation of a range, by pair.
        ranges: The ranges in use, pair by pair.
        used: Whether they passed the gate in the best hypothesis.
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
        """A partner relative to us.

        Raises:
            ValueError: The moment is outside of the arc, or the partner was not solved.
        """
        own, gcrf, covariance_gcrf = self._apart(gps_ms, partner, hypothesis)
        turn = rtn_from_gcrf(own)
        return RelativeState(turn.dot(gcrf), turn.dot(covariance_gcrf).dot(turn.T), gcrf, covariance_gcrf)

    def elements_at(self, gps_ms: int, partner: int, hypothesis: int = 0) -> tuple[Array, Array]:
        """Relative orbital elements of a partner in m as `relative_elements` has them, (6,), and covariance (6, 6).

        Raises:
            ValueError: As `relative_at`.
        """
        own, gcrf, covariance_gcrf = self._apart(gps_ms, partner, hypothesis)
        by_state = d_elements_d_state(own, own + gcrf)
        return relative_elements(own, own + gcrf), by_state.dot(covariance_gcrf).dot(by_state.T)

    def joint_at(self, gps_ms: int, hypothesis: int = 0) -> JointState:
        """All satellites, from which a filter may go on.

        Raises:
            ValueError: The moment is outside of the arc.
        """
        count = len(self.satellites)
        deviations, partials = self._placed(gps_ms, hypothesis)
        reference = self.reference.at(np.array([float(gps_ms)])).state[0]
        unknowns, covariance = self.hypotheses[hypothesis].parameters, self.hypotheses[hypothesis].covariance
        transition = np.eye(len(unknowns))
        for satellite in range(count):
            first = STATE_SIZE * satellite
            transition[first : first + 6, first : first + STATE_SIZE] = partials[satellite]
        return JointState(
            gps_ms,
            reference + deviations,
            self.reference.log_drag + unknowns[STATE_SIZE - 1 : STATE_SIZE * count : STATE_SIZE],
            unknowns[STATE_SIZE * count :],
            transition.dot(covariance).dot(transition.T),
        )

    def bias_of(self, pair: Pair, hypothesis: int = 0) -> tuple[float, float]:
        """Range bias of a pair and its standard deviation, in m."""
        place = STATE_SIZE * len(self.satellites) + self.pairs.index(pair)
        solved = self.hypotheses[hypothesis]
        return float(solved.parameters[place]), float(np.sqrt(solved.covariance[place, place]))

    def _apart(self, gps_ms: int, partner: int, hypothesis: int) -> tuple[Array, Array, Array]:
        """Our state, the relative state and its covariance, GCRF."""
        if partner not in self.satellites[1:]:
            raise ValueError(f"there is no solution for satellite {partner}")
        place = self.satellites.index(partner)
        deviations, partials = self._placed(gps_ms, hypothesis)
        reference = self.reference.at(np.array([float(gps_ms)])).state[0]
        columns = np.concatenate((np.arange(STATE_SIZE), STATE_SIZE * place + np.arange(STATE_SIZE)))
        joint = self.hypotheses[hypothesis].covariance[columns[:, None], columns]
        by_unknowns = np.concatenate((-partials[0], partials[place]), axis=1)
        return (
            reference + deviations[0],
            deviations[place] - deviations[0],
            by_unknowns.dot(joint).dot(by_unknowns.T),
        )

    def _placed(self, gps_ms: int, hypothesis: int) -> tuple[Array, Array]:
        """Deviations from the reference (s, 6), and their derivatives by each satellite's unknowns (s, 6, 7)."""
        if not self.reference.covers(gps_ms):
            raise ValueError(f"{gps_ms} ms GPS lies outside of the arc")
        moment = np.array([float(gps_ms)])
        places, d_state_d_epoch = self.reference.node_time(moment), self.reference.at(moment).d_state_d_epoch[0]
        motion = self.hypotheses[hypothesis].motion
        deviations = motion.at(slice(None), places)[0] @ d_state_d_epoch.T
        partials = motion.partials_at(slice(None), places)
        return deviations, d_state_d_epoch if partials is None else d_state_d_epoch @ partials[0]
