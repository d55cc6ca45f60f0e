"""One hypothesis of the formation's filter: the joint state, what a range and a fix say of it, and its motion.

The joint state holds position, velocity and logarithm of the drag factor of each satellite, our own first, and then
one bias per pair, with a square root of its covariance.

The hypotheses that go on after a batch solution: which are left, and what that says of each partner.

Partners without ranges to each other have banks of their own: a solution's hypotheses hold the orbits of one such
group beside the best of the others, not their combinations, so that none may be true as a whole.

Each one's chi-square goes on from where the batch left it. The margin within which another hypothesis counts is the
batch's: the noise is estimated, so that differences count less the fewer observations there are.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.least_squares import scaled_inverse as inverse
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.relative_coordinates import rtn_from_gcrf
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, JointState, Partner, RelativeState
from pygnc.estimators.orbit import square_root
from pygnc.estimators.orbit.measurement import Observation
from pygnc.estimators.orbit.process_noise import decay
from pygnc.estimators.orbit.settings import ProcessNoiseSettings
from pygnc.estimators.orbit.state import DRAG

ParameterIndices: TypeAlias = npt.NDArray[np.int64]
"""Where some satellites' and pairs' unknowns are among those of a solution."""

_COINCIDENT_M: Final = 1e-3
"""Nearer than this, a range has no direction."""
_LEAST_EIGENVALUE: Final = 1e-14
"""Of correlations; less is rounding."""


class RangeInnovation(NamedTuple):
    """A measured number against what a joint state makes expect.

    Attributes:
        residual: Measured minus predicted.
        partials: Derivative of the prediction by the joint state, (n,).
        noise: Standard deviation of all that is not the state's.
        sigma: Expected standard deviation of the residual.
        curvature: The part of `noise` that stems from the prediction's not being linear in the state.
    """

    residual: float
    partials: Array
    noise: float
    sigma: float
    curvature: float

    @property
    def nis(self) -> float:
        """Normalised innovation squared."""
        return (self.residual / self.sigma) ** 2


class FilterHypothesis(NamedTuple):
    """A hypothesis at one moment.

    Attributes:
        number: Of the hypothesis in the solution.
        satellites: How many.
        x: Joint state, (n,).
        root: Lower triangular L with covariance L L', (n, n).
        chi_square: Cost of all observations so far, those of the batch included.
    """

    number: int
    satellites: int
    x: Array
    root: Array
    chi_square: float

    @property
    def states(self) -> Array:
        """Position, velocity and logarithm of drag of each satellite, (s, 7)."""
        return self.x[: STATE_SIZE * self.satellites].reshape(-1, STATE_SIZE)

    def relative(self, satellite: int) -> RelativeState:
        """A satellite, by index, minus our own."""
        states = self.states
        gcrf = states[satellite, :DRAG] - states[0, :DRAG]
        root = self._rows(satellite, DRAG) - self._rows(0, DRAG)
        covariance = root.dot(root.T)
        turn = rtn_from_gcrf(states[0, :DRAG])
        return RelativeState(turn.dot(gcrf), turn.dot(covariance).dot(turn.T), gcrf, covariance)

    def joint(self, gps_ms: int) -> JointState:
        """As a batch solution gives it."""
        states = self.states
        biases = self.x[STATE_SIZE * self.satellites :]
        return JointState(gps_ms, states[:, :DRAG].copy(), states[:, DRAG].copy(), biases, self.root.dot(self.root.T))

    def bias(self, pair: int) -> tuple[float, float]:
        """Range bias of a pair, by index, and its standard deviation, in m."""
        place = STATE_SIZE * self.satellites + pair
        return float(self.x[place]), math.sqrt(self.root[place].dot(self.root[place]))

    def expected_range(self, measured_m: float, one: int, other: int, bias: int, noise_m: float) -> RangeInnovation:
        """Compare a range with what is expected, to the second order.

        The distance's mean and variance under an uncertain relative place are those of a quadratic form (Athans,
        Wishner & Bertolini, IEEE TAC 13, 1968); places known to 100 m, 500 m away, would otherwise make ranges look
        10 m too long.
        """
        states, place = self.states, STATE_SIZE * self.satellites + bias
        relative_position_m = states[other, :3] - states[one, :3]
        distance_m = max(math.sqrt(relative_position_m.dot(relative_position_m)), _COINCIDENT_M)
        towards = relative_position_m / distance_m
        partials = np.zeros(len(self.x))
        partials[STATE_SIZE * other : STATE_SIZE * other + 3] = towards
        partials[STATE_SIZE * one : STATE_SIZE * one + 3] = -towards
        partials[place] = 1.0
        root = self._rows(other, 3) - self._rows(one, 3)
        across = root - np.outer(towards, towards.dot(root))
        curved = across.dot(across.T) / distance_m
        curvature_m = math.sqrt(0.5 * float((curved**2).sum()))
        noise_m = math.hypot(noise_m, curvature_m)
        residual = measured_m - float(self.x[place]) - distance_m - 0.5 * float(np.trace(curved))
        projected = partials.dot(self.root)
        return RangeInnovation(
            residual, partials, noise_m, math.sqrt(projected.dot(projected) + noise_m**2), curvature_m
        )

    def orbit_root(self, satellite: int) -> Array:
        """Root of the covariance of one satellite's orbit state, with no empirical accelerations, (10, n)."""
        root = np.zeros((STATE_SIZE + 3, len(self.x)))
        root[:STATE_SIZE] = self._rows(satellite, STATE_SIZE)
        return root

    def with_range(self, seen: RangeInnovation) -> "FilterHypothesis":
        """After an accepted range."""
        residual, noise = np.array((seen.residual,)), np.array((seen.noise,))
        return self._updated(residual, seen.partials[None], noise)

    def with_fix(self, seen: Observation, satellite: int) -> "FilterHypothesis":
        """After an accepted position or velocity of one satellite."""
        partials = np.zeros((len(seen.residual), len(self.x)))
        partials[:, STATE_SIZE * satellite : STATE_SIZE * (satellite + 1)] = seen.partials[:, :STATE_SIZE]
        return self._updated(seen.residual, partials, seen.sigma)

    def costing(self, more: float) -> "FilterHypothesis":
        """With so much more on its chi-square."""
        return self._replace(chi_square=self.chi_square + more)

    def moved(self, states: Array, transition: Array, noise: Array) -> "FilterHypothesis":
        """After a step to `states` (s, 7), with one transition matrix (7, 7) of all and a root of the process noise."""
        x, root, size = self.x.copy(), self.root.copy(), STATE_SIZE * self.satellites
        x[:size] = states.reshape(-1)
        root[:size] = (transition @ self.root[:size].reshape(self.satellites, STATE_SIZE, -1)).reshape(size, -1)
        return self._replace(x=x, root=square_root.triangular(np.concatenate((root, noise), axis=1)))

    def apart_from(self, other: "FilterHypothesis", satellite: int) -> float:
        """Difference of a satellite's orbit relative to ours from another hypothesis', squared over our covariance."""
        return squared_orbit_distance(other.x - self.x, self.root.dot(self.root.T), satellite)

    def _rows(self, satellite: int, count: int) -> Array:
        """The first rows of one satellite in the root."""
        return self.root[STATE_SIZE * satellite : STATE_SIZE * satellite + count]

    def _updated(self, residual: Array, partials: Array, sigma: Array) -> "FilterHypothesis":
        x, root, _ = square_root.update(self.x, self.root, residual, partials, sigma)
        return self._replace(x=x, root=root)


def filter_hypothesis(
    solution: FormationSolution, gps_ms: int, number: int, columns: ParameterIndices, noise: ProcessNoiseSettings
) -> FilterHypothesis:
    """A hypothesis of a solution at a moment of its arc, for some of its unknowns.

    Drag factors are those of the moment; the solution's are those of its epoch.
    """
    joint = solution.joint_at(gps_ms, number)
    left = float(decay(noise, (gps_ms - solution.reference.epoch_ms) * 1e-3)[0])
    states = np.concatenate((joint.states, left * joint.log_drag[:, None]), axis=1)
    scale = np.ones(len(joint.covariance))
    scale[DRAG : states.size : STATE_SIZE] = left
    covariance = (scale[:, None] * joint.covariance * scale)[columns[:, None], columns]
    x = np.concatenate((states.reshape(-1), joint.bias_m))[columns]
    satellites = int((columns < states.size).sum()) // STATE_SIZE
    return FilterHypothesis(number, satellites, x, covariance_root(covariance), solution.hypotheses[number].chi_square)


def squared_orbit_distance(change: Array, covariance: Array, satellite: int) -> float:
    """Change of a satellite's position and velocity relative to ours, squared over its covariance.

    Args:
        change: Of the joint state or of a solution's unknowns, (n,).
        covariance: Of the same, (n, n).
        satellite: Index.
    """
    own, its = slice(0, DRAG), slice(STATE_SIZE * satellite, STATE_SIZE * satellite + DRAG)
    apart = change[its] - change[own]
    mixed = covariance[its, own]
    return float(apart.dot(inverse(covariance[its, its] + covariance[own, own] - mixed - mixed.T)).dot(apart))


def covariance_root(covariance: Array) -> Array:
    """Triangular root of a covariance whose unknowns have units of all sizes."""
    unit = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / unit / unit[:, None])
    return square_root.triangular(unit[:, None] * vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE)))


_DISTINCT_ORBIT_LIMIT: Final = 25.0
"""As in the batch: two orbits differ when their difference, squared over the better one's covariance, is more."""
_MERGE_LIMIT: Final = 1.0
"""Hypotheses that have come so near each other in all partners are one. Less strict than in the batch: a gap that has
widened their covariance does not make distinct ones the same."""


class HypothesisBank:
    """Hypotheses on a group of partners, in order of their chi-squares.

    Args:
        solution: Where they come from.
        group: Indices of the partners in the solution.
        gps_ms: Where they begin.
        settings: The margin.
        noise: Of the orbit's dynamics.

    Attributes:
        satellites: Indices in the solution, our own first.
        pairs: Indices in the solution of the pairs among them.
        members: Hypotheses that are left, the best first.
    """

    def __init__(
        self,
        solution: FormationSolution,
        group: Sequence[int],
        gps_ms: int,
        settings: FormationSettings,
        noise: ProcessNoiseSettings,
    ) -> None:
        self._settings = settings
        self.satellites = (0, *group)
        self._ids = tuple(solution.satellites[satellite] for satellite in self.satellites)
        self.pairs = tuple(n for n, pair in enumerate(solution.pairs) if set(self._ids) >= set(pair))
        self._freedom = max(len(solution.ranges) - len(solution.hypotheses[0].parameters), 1)
        self._beaten = [math.inf] * len(self.satellites)
        """By how much the best hypothesis that differs in each satellite was worse when it was dropped."""
        for satellite, identity in enumerate(self._ids[1:], start=1):
            told = solution.partners[identity]
            self._beaten[satellite] = told.chi_square_mirror - told.chi_square_best
        columns = self._columns(len(solution.satellites))
        self._differing = _differing_orbits(solution, columns, len(self.satellites))
        numbers: list[int] = []
        for number, hypothesis in enumerate(solution.hypotheses):
            is_near = self._is_within(hypothesis.chi_square - solution.hypotheses[0].chi_square)
            if is_near and all(self._differing[number, other].any() for other in numbers):
                numbers.append(number)
        self.members = [filter_hypothesis(solution, gps_ms, number, columns, noise) for number in numbers]

    def judge(self, members: list[FilterHypothesis], ranges: int) -> None:
        """Put these in the place of the members, after so many more ranges; in order, without those that are beaten."""
        self._freedom += ranges
        ordered = sorted(members, key=lambda member: member.chi_square)
        best = ordered[0]
        self.members = [best]
        for member in ordered[1:]:
            worse = member.chi_square - best.chi_square
            if not self._is_within(worse):
                for satellite in np.flatnonzero(self._differing[best.number, member.number]).tolist():
                    self._beaten[satellite] = worse
            elif not any(self._is_one(kept, member) for kept in self.members):
                self.members.append(member)

    def partners(self) -> dict[int, Partner]:
        """How well each partner's orbit is known, by radio id.

        Where no hypothesis is left that differs in a partner, `chi_square_mirror` keeps the distance to the best that
        the last such one had when it was dropped.
        """
        best = self.members[0]
        told = {}
        for satellite, identity in enumerate(self._ids[1:], start=1):
            others = [
                member.chi_square - best.chi_square
                for member in self.members[1:]
                if self._differing[best.number, member.number, satellite]
            ]
            mirror = best.chi_square + min(others, default=self._beaten[satellite])
            told[identity] = Partner(self._unsolved(best, satellite), bool(others), best.chi_square, mirror)
        return told

    def _columns(self, satellites: int) -> ParameterIndices:
        """Where the unknowns of this group are among those of the solution."""
        states = [STATE_SIZE * satellite + element for satellite in self.satellites for element in range(STATE_SIZE)]
        return np.array([*states, *(STATE_SIZE * satellites + pair for pair in self.pairs)], dtype=np.int64)

    def _is_within(self, worse: float) -> bool:
        """Whether a hypothesis so much worse than the best is within the margin."""
        return self._freedom * math.log1p(worse / self._freedom) < self._settings.certain_chi_square

    def _is_one(self, better: FilterHypothesis, worse: FilterHypothesis) -> bool:
        partners = range(1, better.satellites)
        return all(better.apart_from(worse, satellite) < _MERGE_LIMIT for satellite in partners)

    def _unsolved(self, best: FilterHypothesis, satellite: int) -> str | None:
        """Why a partner's orbit is not known; None when it is."""
        relative = best.relative(satellite)
        sigma_m = math.sqrt(np.trace(relative.covariance_gcrf[:3, :3]))
        distance_m = math.sqrt(relative.gcrf[:3].dot(relative.gcrf[:3]))
        if sigma_m < self._settings.solved_sigma_ratio * distance_m:
            return None
        return f"its place is known to {sigma_m:.0f} m only, {distance_m:.0f} m away"


def partner_groups(solution: FormationSolution) -> list[list[int]]:
    """The partners by index, in groups that have ranges among themselves."""
    label = {satellite: satellite for satellite in range(1, len(solution.satellites))}
    for pair in solution.pairs:
        one, other = (solution.satellites.index(end) for end in pair)
        if one in label and other in label:
            joined, kept = label[other], label[one]
            label = {satellite: kept if of == joined else of for satellite, of in label.items()}
    return [[satellite for satellite, of in label.items() if of == kept] for kept in dict.fromkeys(label.values())]


def _differing_orbits(solution: FormationSolution, columns: ParameterIndices, satellites: int) -> npt.NDArray[np.bool_]:
    """Which satellites move differently in any two hypotheses of a solution, (h, h, s)."""
    count = len(solution.hypotheses)
    differing = np.zeros((count, count, satellites), dtype=np.bool_)
    for better, one in enumerate(solution.hypotheses):
        covariance = one.covariance[columns[:, None], columns]
        for worse in range(better + 1, count):
            change = (solution.hypotheses[worse].parameters - one.parameters)[columns]
            for satellite in range(1, satellites):
                is_other = squared_orbit_distance(change, covariance, satellite) > _DISTINCT_ORBIT_LIMIT
                differing[better, worse, satellite] = differing[worse, better, satellite] = is_other
    return differing
