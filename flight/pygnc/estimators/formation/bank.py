"""The hypotheses that go on after a batch solution: which are left, and what that says of each partner.

Partners without ranges to each other have banks of their own: a solution's hypotheses hold the orbits of one such
group beside the best of the others, not their combinations, so that none may be true as a whole.

Each one's chi-square goes on from where the batch left it. The margin within which another hypothesis counts is the
batch's: the noise is estimated, so that differences count less the fewer observations there are.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.estimators.formation.members import Columns, Member, member_of, squared_difference
from pygnc.estimators.formation.reference import UNKNOWNS
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, Partner
from pygnc.estimators.orbit.settings import ProcessNoiseSettings

_DISTINCT: Final = 25.0
"""As in the batch: two orbits differ when their difference, squared over the better one's covariance, is more."""
_ONE: Final = 1.0
"""Hypotheses that have come so near each other in all partners are one. Less strict than in the batch: a gap that has
widened their covariance does not make distinct ones the same."""


class Bank:
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
        self._freedom = max(len(solution.ranges) - len(solution.hypotheses[0].unknowns), 1)
        self._beaten = [math.inf] * len(self.satellites)
        """By how much the best hypothesis that differs in each satellite was worse when it was dropped."""
        for satellite, identity in enumerate(self._ids[1:], start=1):
            told = solution.partners[identity]
            self._beaten[satellite] = told.chi_square_mirror - told.chi_square_best
        columns = self._columns(len(solution.satellites))
        self._differing = _differing(solution, columns, len(self.satellites))
        numbers: list[int] = []
        for number, hypothesis in enumerate(solution.hypotheses):
            is_near = self._is_within(hypothesis.chi_square - solution.hypotheses[0].chi_square)
            if is_near and all(self._differing[number, other].any() for other in numbers):
                numbers.append(number)
        self.members = [member_of(solution, gps_ms, number, columns, noise) for number in numbers]

    def judge(self, members: list[Member], ranges: int) -> None:
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

    def _columns(self, satellites: int) -> Columns:
        """Where the unknowns of this group are among those of the solution."""
        states = [UNKNOWNS * satellite + element for satellite in self.satellites for element in range(UNKNOWNS)]
        return np.array([*states, *(UNKNOWNS * satellites + pair for pair in self.pairs)], dtype=np.int64)

    def _is_within(self, worse: float) -> bool:
        """Whether a hypothesis so much worse than the best is within the margin."""
        return self._freedom * math.log1p(worse / self._freedom) < self._settings.certain_chi_square

    def _is_one(self, better: Member, worse: Member) -> bool:
        partners = range(1, better.satellites)
        return all(better.apart_from(worse, satellite) < _ONE for satellite in partners)

    def _unsolved(self, best: Member, satellite: int) -> str | None:
        """Why a partner's orbit is not known; None when it is."""
        relative = best.relative(satellite)
        sigma_m = math.sqrt(np.trace(relative.covariance_gcrf[:3, :3]))
        distance_m = math.sqrt(relative.gcrf[:3].dot(relative.gcrf[:3]))
        if sigma_m < self._settings.solved_sigma_ratio * distance_m:
            return None
        return f"its place is known to {sigma_m:.0f} m only, {distance_m:.0f} m away"


def groups_of(solution: FormationSolution) -> list[list[int]]:
    """The partners by index, in groups that have ranges among themselves."""
    label = {satellite: satellite for satellite in range(1, len(solution.satellites))}
    for pair in solution.pairs:
        one, other = (solution.satellites.index(end) for end in pair)
        if one in label and other in label:
            joined, kept = label[other], label[one]
            label = {satellite: kept if of == joined else of for satellite, of in label.items()}
    return [[satellite for satellite, of in label.items() if of == kept] for kept in dict.fromkeys(label.values())]


def _differing(solution: FormationSolution, columns: Columns, satellites: int) -> npt.NDArray[np.bool_]:
    """Which satellites move differently in any two hypotheses of a solution, (h, h, s)."""
    count = len(solution.hypotheses)
    differing = np.zeros((count, count, satellites), dtype=np.bool_)
    for better, one in enumerate(solution.hypotheses):
        covariance = one.covariance[columns[:, None], columns]
        for worse in range(better + 1, count):
            change = (solution.hypotheses[worse].unknowns - one.unknowns)[columns]
            for satellite in range(1, satellites):
                is_other = squared_difference(change, covariance, satellite) > _DISTINCT
                differing[better, worse, satellite] = differing[worse, better, satellite] = is_other
    return differing
