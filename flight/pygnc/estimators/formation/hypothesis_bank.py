"""Hypotheses of the sequential filter, and the bank that holds those of one group of partners.

A hypothesis is a square-root extended Kalman filter of the joint state: position, velocity and log drag factor of each
satellite, our own first, then one range bias per pair. Its chi-square continues that of the solution; each observation
with innovation v and innovation covariance S adds

    min(v' S^-1 v, gate).

A bank drops a hypothesis if n ln(1 + d/n) reaches `certain_chi_square`, with d its excess of chi-square over the best
and n the degrees of freedom: the noise is estimated, so differences count less with fewer observations.

Groups of partners without ranges between the groups have separate banks. A hypothesis of the solution combines the
orbits of one group with the best orbits of the others, so possibly none of them is right as a whole.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators import kalman
from pygnc.estimators.formation.least_squares import squared_orbit_distances
from pygnc.estimators.formation.monitors import REJECTED_MAX, rejection_sum
from pygnc.estimators.formation.observations import Pair
from pygnc.estimators.formation.reference import COINCIDENT_M, STATE_SIZE
from pygnc.estimators.formation.relative_motion import orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import (
    FormationSolution,
    Partner,
    RelativeState,
    relative_state,
    unsolved_reason,
)
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.measurement import Gate
from pygnc.estimators.orbit.process_noise import decay
from pygnc.estimators.orbit.settings import ProcessNoiseSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState


class RangeInnovations(NamedTuple):
    """Innovations of a range in h hypotheses.

    Attributes:
        observation: Linearised range in m, with a leading axis of length h; its noise includes the second-order term.
        nis: Normalised innovations squared, (h,).
        curvature_m: Standard deviations of the second-order term of the distance, in m, (h,).
    """

    observation: Observation
    nis: Array
    curvature_m: Array


class FilterHypothesis(NamedTuple):
    """State of a hypothesis at one time.

    Attributes:
        number: Index of the hypothesis in the solution.
        satellites: Number of satellites, our own included.
        x: Joint state as described in the module, GCRF, m and m/s, (n,).
        root: Lower triangular L with joint covariance L L', (n, n).
        chi_square: Cost of all observations so far, including those of the solution.
    """

    number: int
    satellites: int
    x: Array
    root: Array
    chi_square: float

    @property
    def states(self) -> Array:
        """Position (m) and velocity (m/s), GCRF, and log drag factor of each satellite, (s, 7)."""
        return self.x[: STATE_SIZE * self.satellites].reshape(-1, STATE_SIZE)

    @property
    def covariance(self) -> Array:
        """Covariance of the joint state, (n, n)."""
        covariance: Array = self.root.dot(self.root.T)
        return covariance

    def relative(self, satellite: int) -> RelativeState:
        """Return the state of a satellite, by index, relative to ours, with its covariance."""
        states = self.states
        root = self._rows(satellite, DRAG) - self._rows(0, DRAG)
        return relative_state(states[0, :DRAG], states[satellite, :DRAG] - states[0, :DRAG], root.dot(root.T))

    def position_uncertainty(self, satellite: int) -> tuple[float, float]:
        """Return standard deviation and distance of a satellite's position, by index, relative to ours, in m."""
        root, states = self._rows(satellite, 3) - self._rows(0, 3), self.states
        position_m = states[satellite, :3] - states[0, :3]
        return math.sqrt(float((root**2).sum())), math.sqrt(position_m.dot(position_m))

    def bias(self, pair: int) -> tuple[float, float]:
        """Return the range bias of a pair, by index, and its standard deviation, in m."""
        index = STATE_SIZE * self.satellites + pair
        return float(self.x[index]), math.sqrt(self.root[index].dot(self.root[index]))

    def orbit(self, satellite: int, gps_ms: int) -> OrbitState:
        """Return the orbit of a satellite, by index, without empirical accelerations; its root is (10, n)."""
        root = np.zeros((SIZE, len(self.x)))
        root[:STATE_SIZE] = self._rows(satellite, STATE_SIZE)
        return OrbitState(gps_ms, orbit_vector(self.states[satellite]), root)

    def _rows(self, satellite: int, count: int) -> Array:
        """Return the first `count` of the seven rows that a satellite, by index, has in the root."""
        return self.root[STATE_SIZE * satellite : STATE_SIZE * satellite + count]


def _stacked(hypotheses: Sequence[FilterHypothesis]) -> tuple[Array, Array]:
    """Return the states (h, n) and roots (h, n, n) of hypotheses."""
    return np.stack([each.x for each in hypotheses]), np.stack([each.root for each in hypotheses])


def range_innovations(
    hypotheses: Sequence[FilterHypothesis], measured_m: float, ends: tuple[int, int], bias: int, noise_m: float
) -> RangeInnovations:
    """Return the innovations of a range between two satellites in several hypotheses, to second order.

    `ends` and `bias` are the indices of the satellites and of their pair. Mean and variance of the distance between
    uncertain positions are those of a quadratic form (Athans, Wishner & Bertolini, IEEE TAC 13, 1968). Without these
    terms, positions known to 100 m at a distance of 500 m would make ranges appear 10 m too long.
    """
    x, root = _stacked(hypotheses)
    one, other = (slice(STATE_SIZE * end, STATE_SIZE * end + 3) for end in ends)
    index = STATE_SIZE * hypotheses[0].satellites + bias
    relative_position_m, relative_root = x[:, other] - x[:, one], root[:, other] - root[:, one]
    distance_m = np.maximum(np.sqrt((relative_position_m**2).sum(axis=1)), COINCIDENT_M)
    line_of_sight = relative_position_m / distance_m[:, None]
    partials = np.zeros((len(x), 1, x.shape[1]))
    partials[:, 0, other], partials[:, 0, one], partials[:, 0, index] = line_of_sight, -line_of_sight, 1.0
    along = (line_of_sight[:, None] @ relative_root)[:, 0]
    across = relative_root - line_of_sight[:, :, None] * along[:, None]
    second_order = across @ across.swapaxes(1, 2) / distance_m[:, None, None]
    curvature_m = np.sqrt(0.5 * (second_order**2).sum(axis=(1, 2)))
    sigma_m = np.hypot(noise_m, curvature_m)
    residual_m = measured_m - x[:, index] - distance_m - 0.5 * np.trace(second_order, axis1=1, axis2=2)
    variance_m2 = ((along + root[:, index]) ** 2).sum(axis=1) + sigma_m**2
    observation = Observation(residual_m[:, None], partials, sigma_m[:, None])
    return RangeInnovations(observation, residual_m**2 / variance_m2, curvature_m)


def fix_innovations(
    hypotheses: Sequence[FilterHypothesis], linearised: Observation, about: Array, satellite: int
) -> tuple[Observation, Array]:
    """Return the innovations of a position or velocity in h hypotheses, with their normalised squares, (h,).

    Args:
        hypotheses: The hypotheses.
        linearised: The measurement, linearised about `about`. The neglected terms are micrometres per second at 10 km.
        about: Position and velocity, (6,).
        satellite: Index of the satellite that made the fix.
    """
    x, root = _stacked(hypotheses)
    columns = slice(STATE_SIZE * satellite, STATE_SIZE * satellite + DRAG)
    by_state = linearised.partials[:, :DRAG]
    residual = linearised.residual - (x[:, columns] - about) @ by_state.T
    partials = np.zeros((len(x), len(by_state), x.shape[1]))
    partials[..., columns] = by_state
    projected = by_state @ root[:, columns]
    covariance = projected @ projected.swapaxes(1, 2) + np.diag(linearised.sigma**2)
    nis = (residual[:, None] @ np.linalg.solve(covariance, residual[..., None]))[:, 0, 0]
    return Observation(residual, partials, np.tile(linearised.sigma, (len(x), 1))), nis


def updated(
    hypotheses: Sequence[FilterHypothesis], observation: Observation, nis: Array, gate: float
) -> list[FilterHypothesis]:
    """Return the hypotheses after an observation with a leading axis for them.

    One whose NIS exceeds `gate` only adds `gate` to its chi-square, and keeps the array of its state.
    """
    costs = np.minimum(nis, gate).tolist()
    results = [each._replace(chi_square=each.chi_square + cost) for each, cost in zip(hypotheses, costs, strict=True)]
    accepted = np.flatnonzero(nis <= gate)
    if len(accepted):
        used = (part[accepted] for part in (*_stacked(hypotheses), *observation))
        x, root, *_ = kalman.update_stacked(*used)
        for place, row in enumerate(accepted.tolist()):
            results[row] = results[row]._replace(x=x[place], root=root[place])
    return results


def propagated(
    hypotheses: Sequence[FilterHypothesis], states: Array, transition: Array, noise: Array
) -> list[FilterHypothesis]:
    """Return the hypotheses at the end of a propagation step.

    Args:
        hypotheses: The hypotheses at its beginning.
        states: States at the end, (h, s, 7).
        transition: Transition matrix that holds for each satellite, (7, 7).
        noise: Square root of the process noise covariance, (n, 7 s + 7).
    """
    x, root = _stacked(hypotheses)
    count, satellites, _ = states.shape
    size = STATE_SIZE * satellites
    x[:, :size] = states.reshape(count, size)
    moved = transition @ root[:, :size].reshape(count, satellites, STATE_SIZE, -1)
    root[:, :size] = moved.reshape(count, size, -1)
    root = kalman.triangular(np.concatenate((root, np.broadcast_to(noise, (count, *noise.shape))), axis=2))
    return [each._replace(x=x[row], root=root[row]) for row, each in enumerate(hypotheses)]


class HypothesisBank(msgspec.Struct, eq=False):
    """Hypotheses on the partners of one group, ordered by chi-square, and the noise of their observations.

    A decoded copy of an encoded bank continues with identical results.

    Attributes:
        settings: Settings of the formation estimator.
        satellites: Radio ids, our own first.
        pairs: Pairs of radio ids whose range bias is part of the state.
        range_noise_m: Standard deviation of the ranges of each pair, in m.
        freedom: Degrees of freedom, at least 1: ranges of the solution plus those accepted since, minus parameters.
        judged: Knowledge of each partner in the solution, by radio id.
        dropped_excess: For each satellite, excess of chi-square over the best of the last dropped hypothesis in which
            its orbit differs; of several dropped at once, that of the best.
        rejections: Cumulative sum of the ranges of each pair that the best hypothesis rejected (see `monitors`).
        contradicted: Reason why ranges contradict the orbit of a partner since the solution, by radio id.
        differing: True where two hypotheses of the solution have different orbits of a satellite, shape (h, h, s).
        hypotheses: Remaining hypotheses, the best first.
        predicted: Hypotheses predicted to the time of the next observation.
        gates: Innovation gates of position and velocity with their noise factors, by radio id.
    """

    settings: FormationSettings
    satellites: tuple[int, ...]
    pairs: tuple[Pair, ...]
    range_noise_m: list[float]
    freedom: int
    judged: dict[int, Partner]
    dropped_excess: list[float]
    differing: npt.NDArray[np.bool_]
    hypotheses: list[FilterHypothesis]
    predicted: list[FilterHypothesis]
    gates: dict[int, tuple[Gate, Gate]]
    rejections: list[int]
    contradicted: dict[int, str] = {}

    @classmethod
    def of_group(
        cls,
        solution: FormationSolution,
        group: Sequence[int],
        gps_ms: int,
        settings: FormationSettings,
        noise: ProcessNoiseSettings,
    ) -> "HypothesisBank":
        """Return the bank of a group of partners, by their indices in the solution, at a time inside its arc."""
        chosen = [0, *group]
        satellites = tuple(solution.satellites[satellite] for satellite in chosen)
        pairs = solution.equations.pairs_among(chosen)
        judged = {identity: solution.partners[identity] for identity in satellites[1:]}
        excess = [partner.chi_square_mirror - partner.chi_square_best for partner in judged.values()]
        bank = cls(
            settings,
            satellites,
            tuple(solution.pairs[number] for number in pairs),
            solution.noise_m[pairs].tolist(),
            max(len(solution.ranges) - len(solution.hypotheses[0].parameters), 1),
            judged,
            [math.inf, *excess],
            solution.differing[..., chosen],
            [],
            [],
            {satellite: (Gate(), Gate()) for satellite in satellites},
            [0] * len(pairs),
        )
        # The drag modes are the last parameters and are left out: the filter has process noise instead.
        columns = solution.equations.parameter_indices(chosen)[: STATE_SIZE * len(chosen) + len(pairs)]
        for number, hypothesis in enumerate(solution.hypotheses):
            is_competitive = bank._is_within_margin(hypothesis.chi_square - solution.hypotheses[0].chi_square)
            if is_competitive and all(bank.differing[number, other.number].any() for other in bank.hypotheses):
                x, root = _initial_state(solution, gps_ms, number, columns, noise)
                bank.hypotheses.append(FilterHypothesis(number, len(chosen), x, root, hypothesis.chi_square))
        bank.predicted = bank.hypotheses
        return bank

    def replace(self, hypotheses: list[FilterHypothesis], ranges: int, *, are_compared: bool) -> None:
        """Replace the hypotheses after `ranges` more accepted ranges, without those beyond the margin.

        If `are_compared`, leave out those that coincide with a better one.
        """
        self.freedom += ranges
        ordered = sorted(hypotheses, key=lambda hypothesis: hypothesis.chi_square)
        best, states, satellites = ordered[0], np.stack([each.x for each in ordered]), len(self.satellites)
        self.hypotheses, dropped = [], dict[int, float]()
        is_distinct = np.ones(len(ordered), dtype=np.bool_)
        for row, hypothesis in enumerate(ordered):
            excess = hypothesis.chi_square - best.chi_square
            if not self._is_within_margin(excess):
                for satellite in np.flatnonzero(self.differing[best.number, hypothesis.number]).tolist():
                    dropped.setdefault(satellite, excess)
            elif is_distinct[row]:
                self.hypotheses.append(hypothesis)
                if are_compared and row + 1 < len(ordered):
                    change, covariance = states[row + 1 :] - hypothesis.x, hypothesis.covariance
                    distances = squared_orbit_distances(change, covariance, satellites)
                    # Lower than in the solution: a gap increases the covariance and must not merge hypotheses.
                    is_distinct[row + 1 :] &= (distances >= 1.0).any(axis=1)
        for satellite, excess in dropped.items():
            self.dropped_excess[satellite] = excess
        self.predicted = self.hypotheses

    def monitor(self, pair: int, *, is_rejected: bool) -> None:
        """Note whether the best hypothesis rejected a range of the pair with this index."""
        self.rejections[pair] = rejection_sum(self.rejections[pair], is_rejected)
        if self.rejections[pair] >= REJECTED_MAX:
            one, other = self.pairs[pair]
            self.contradicted |= {one: f"ranges to {other} do not fit", other: f"ranges to {one} do not fit"}

    def partner(self, satellite: int) -> Partner:
        """Return the knowledge of the orbit of a partner, by index.

        If no remaining hypothesis differs in the partner, `chi_square_mirror` keeps the excess that the last differing
        hypothesis had when the bank dropped it.
        """
        best, identity = self.hypotheses[0], self.satellites[satellite]
        others = [
            hypothesis.chi_square - best.chi_square
            for hypothesis in self.hypotheses[1:]
            if self.differing[best.number, hypothesis.number, satellite]
        ]
        mirror = best.chi_square + min(others, default=self.dropped_excess[satellite])
        judged = self.judged[identity]
        fits = judged.fits and identity not in self.contradicted
        unsolved = self.contradicted.get(identity) or (None if fits else judged.unsolved)
        # An ambiguity without another hypothesis, which could be dropped, lasts until the next solution.
        lasts = judged.ambiguous and not self.differing[..., satellite].any()
        return Partner(
            unsolved or unsolved_reason(*best.position_uncertainty(satellite), self.settings.solved_sigma_ratio),
            fits,
            bool(others) or not fits or lasts,
            best.chi_square,
            mirror,
        )

    def _is_within_margin(self, excess: float) -> bool:
        return self.freedom * math.log1p(excess / self.freedom) < self.settings.certain_chi_square


def _initial_state(
    solution: FormationSolution,
    gps_ms: int,
    number: int,
    columns: npt.NDArray[np.int64],
    noise: ProcessNoiseSettings,
) -> tuple[Array, Array]:
    """Return state (n,) and covariance root (n, n) of a hypothesis of a solution at a time in its arc.

    `columns` are the indices of the n parameters. Log drag factors decay from the epoch of the solution to that time.
    """
    joint, covariance = solution.joint_at(gps_ms, number)
    scale = np.ones(len(joint))
    drags = slice(DRAG, STATE_SIZE * len(solution.satellites), STATE_SIZE)
    scale[drags] = decay(noise, (gps_ms - solution.reference.epoch_ms) * 1e-3)[0]
    scaled = (scale[:, None] * covariance * scale)[columns[:, None], columns]
    return (scale * joint)[columns], kalman.covariance_root(scaled)
