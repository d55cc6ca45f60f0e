"""What a formation solution says of each partner, as the messages that go out."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pygnc.bus.messages import FormationEstimate, Vector3
from pygnc.environment.arrays import Array
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.tasks.formation_arc import Occasion

_LOWER = np.tril_indices(6)


class FormationReport:
    """Makes messages of one solution.

    Args:
        solution: The solution; None if there is none.
        own_id: Our radio id.
        cause: Why a partner's orbit is not known of which the solution says nothing.
    """

    def __init__(self, solution: FormationSolution | None, own_id: int, cause: str) -> None:
        self._solution = solution
        self._own_id = own_id
        self._cause = cause
        self._residual_m = {} if solution is None else _own_residuals(solution, own_id)

    def estimates(self, occasions: Sequence[Occasion], through: int, first_seq: int) -> Iterator[FormationEstimate]:
        """A message for each occasion in the arc; for a partner without a solution, one for the newest of its own."""
        newest = {one.partner: one for one in occasions}
        seq = first_seq
        for one in occasions:
            solution = self._solution
            if solution is not None and _is_solved(solution, one):
                yield self._solved(solution, one, through, seq)
                seq += 1
            elif one == newest[one.partner]:
                yield self._unsolved(one, through, seq)
                seq += 1

    def _unsolved(self, occasion: Occasion, through: int, seq: int) -> FormationEstimate:
        partner = None if self._solution is None else self._solution.partners.get(occasion.partner)
        return FormationEstimate(
            seq=seq,
            through=through,
            input_seq=occasion.input_seq,
            gps_ms=occasion.gps_ms,
            partner_id=occasion.partner,
            cause=(partner.unsolved if partner else None) or self._cause,
        )

    def _solved(self, solution: FormationSolution, occasion: Occasion, through: int, seq: int) -> FormationEstimate:
        gps_ms, partner_id, input_seq = occasion
        partner = solution.partners[partner_id]
        state = solution.relative_at(gps_ms, partner_id)
        pair = (min(self._own_id, partner_id), max(self._own_id, partner_id))
        bias_m = bias_sigma_m = noise_m = None
        if pair in solution.pairs:
            bias_m, bias_sigma_m = solution.bias_of(pair)
            noise_m = float(solution.noise_m[solution.pairs.index(pair)])
        mirror = _mirror(solution, partner_id)
        mirrored = None if mirror is None else solution.relative_at(gps_ms, partner_id, mirror)
        return FormationEstimate(
            seq=seq,
            through=through,
            input_seq=input_seq,
            gps_ms=gps_ms,
            partner_id=partner_id,
            cause="",
            position_rtn_m=_triple(state.rtn[:3]),
            velocity_rtn_mps=_triple(state.rtn[3:]),
            position_gcrf_m=_triple(state.gcrf[:3]),
            velocity_gcrf_mps=_triple(state.gcrf[3:]),
            covariance_rtn=tuple(state.covariance_rtn[_LOWER].tolist()),
            range_bias_m=bias_m,
            range_bias_sigma_m=bias_sigma_m,
            range_noise_m=noise_m,
            range_residual_m=self._residual_m.get((gps_ms, partner_id)),
            ambiguous=partner.ambiguous,
            chi2_best=partner.chi_square_best,
            chi2_mirror=partner.chi_square_mirror if math.isfinite(partner.chi_square_mirror) else None,
            dof=max(0, int(solution.used.sum()) - len(solution.hypotheses[0].unknowns)),
            mirror_rtn_m=None if mirrored is None else _triple(mirrored.rtn[:3]),
        )


def _is_solved(solution: FormationSolution, occasion: Occasion) -> bool:
    partner = solution.partners.get(occasion.partner)
    return partner is not None and partner.unsolved is None and solution.reference.covers(occasion.gps_ms)


def _own_residuals(solution: FormationSolution, own_id: int) -> dict[tuple[int, int], float]:
    """Measured minus computed of our own ranges in the best hypothesis, by time and partner."""
    residuals_m = solution.hypotheses[0].residual_m.tolist()
    return {
        (seen.gps_ms, seen.other): residual_m
        for seen, residual_m in zip(solution.ranges, residuals_m, strict=True)
        if seen.one == own_id
    }


def _mirror(solution: FormationSolution, partner_id: int) -> int | None:
    """The best hypothesis in which a partner moves differently."""
    cost = solution.partners[partner_id].chi_square_mirror
    others = enumerate(solution.hypotheses[1:], 1)
    return next((number for number, one in others if one.chi_square == cost), None)


def _triple(vector: Array) -> Vector3:
    x, y, z = vector.tolist()
    return x, y, z
