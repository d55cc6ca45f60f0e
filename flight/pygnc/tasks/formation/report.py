"""Messages of the formation stream, composed from a solution or from the filter."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pygnc.bus.messages import ClosestApproach, FormationEstimate, vector3
from pygnc.estimators.formation.approach import Approach
from pygnc.estimators.formation.filter import FormationFilter
from pygnc.estimators.formation.observations import Pair
from pygnc.estimators.formation.solution import FormationSolution, Partner, RelativeState
from pygnc.tasks.formation.arc import MeasurementTime

_LOWER = np.tril_indices(6)


class PartnerState(NamedTuple):
    """State of a partner at one time.

    Attributes:
        state: State relative to us.
        mirror: State by the best alternative orbit; None if there is none.
        partner: Ambiguity and chi-square values of the partner.
        bias_m: Bias of our own ranges to the partner and its standard deviation; None without such ranges.
        noise_m: Noise of these ranges.
        residual_m: Residual of the range at this time.
        dof: Degrees of freedom of the ranges.
    """

    state: RelativeState
    mirror: RelativeState | None
    partner: Partner
    bias_m: tuple[float, float] | None
    noise_m: float | None
    residual_m: float | None
    dof: int


class SolutionStates:
    """States of the partners by a solution of an arc."""

    def __init__(self, solution: FormationSolution, own_id: int) -> None:
        self._solution = solution
        self._own_id = own_id
        residuals_m = solution.hypotheses[0].residual_m.tolist()
        self._residual_m = {
            (seen.gps_ms, seen.other): residual_m
            for seen, residual_m in zip(solution.ranges, residuals_m, strict=True)
            if seen.one == own_id
        }

    def at(self, time: MeasurementTime) -> PartnerState | None:
        """Return the state of a partner; None if it is unknown."""
        solution, (gps_ms, partner_id, _) = self._solution, time
        partner = solution.partners.get(partner_id)
        if partner is None or partner.unsolved is not None or not solution.reference.covers(gps_ms):
            return None
        pair = pair_of(self._own_id, partner_id)
        mirror = self._mirror(partner)
        is_measured = pair in solution.pairs
        return PartnerState(
            state=solution.relative_at(gps_ms, partner_id),
            mirror=None if mirror is None else solution.relative_at(gps_ms, partner_id, mirror),
            partner=partner,
            bias_m=solution.bias_of(pair) if is_measured else None,
            noise_m=float(solution.noise_m[solution.pairs.index(pair)]) if is_measured else None,
            residual_m=self._residual_m.get((gps_ms, partner_id)),
            dof=degrees_of_freedom(solution),
        )

    def cause(self, partner_id: int) -> str | None:
        """Return why a partner's orbit is unknown; None if the solution does not contain the partner."""
        partner = self._solution.partners.get(partner_id)
        return None if partner is None else partner.unsolved

    def _mirror(self, partner: Partner) -> int | None:
        """Return the index of the best hypothesis with another orbit of the partner."""
        others = enumerate(self._solution.hypotheses[1:], 1)
        return next((number for number, one in others if one.chi_square == partner.chi_square_mirror), None)


def filtered_state(
    formation: FormationFilter, solution: FormationSolution, partner_id: int, residual_m: float | None
) -> PartnerState | None:
    """Return the state of a partner by the filter that continues a solution; None if it is unknown."""
    partner = formation.partners.get(partner_id)
    if partner is None or partner.unsolved is not None or partner_id not in formation.satellites:
        return None
    pair = pair_of(formation.satellites[0], partner_id)
    is_measured = pair in formation.pairs
    several = partner.ambiguous and formation.hypotheses(partner_id) > 1
    return PartnerState(
        state=formation.relative(partner_id),
        mirror=formation.relative(partner_id, 1) if several else None,
        partner=partner,
        bias_m=formation.bias_of(pair) if is_measured else None,
        noise_m=float(solution.noise_m[solution.pairs.index(pair)]) if is_measured else None,
        residual_m=residual_m,
        dof=degrees_of_freedom(solution),
    )


def solved_estimates(
    states: SolutionStates | None, times: Sequence[MeasurementTime], cause: str, last_input_seq: int, first_seq: int
) -> Iterator[FormationEstimate]:
    """Yield a message for each measurement time; for a partner without a state, only for its newest one.

    Args:
        states: States by the solution; None without a solution.
        times: Measurement times, sorted.
        cause: Why the orbit of a partner is unknown that the solution does not contain.
        last_input_seq: Number of the newest input.
        first_seq: Number of the first message.
    """
    newest = {one.partner: one for one in times}
    for one in times:
        found = None if states is None else states.at(one)
        if found is not None:
            yield estimate_message(one, found, last_input_seq, first_seq)
        elif one == newest[one.partner]:
            reported = None if states is None else states.cause(one.partner)
            yield FormationEstimate(
                seq=first_seq,
                last_input_seq=last_input_seq,
                input_seq=one.input_seq,
                gps_ms=one.gps_ms,
                partner_id=one.partner,
                cause=reported or cause,
            )
        else:
            continue
        first_seq += 1


def estimate_message(time: MeasurementTime, found: PartnerState, last_input_seq: int, seq: int) -> FormationEstimate:
    """Return the message for a partner's state."""
    state, partner = found.state, found.partner
    return FormationEstimate(
        seq=seq,
        last_input_seq=last_input_seq,
        input_seq=time.input_seq,
        gps_ms=time.gps_ms,
        partner_id=time.partner,
        cause="",
        position_rtn_m=vector3(state.rtn[:3]),
        velocity_rtn_mps=vector3(state.rtn[3:]),
        position_gcrf_m=vector3(state.gcrf[:3]),
        velocity_gcrf_mps=vector3(state.gcrf[3:]),
        covariance_rtn=tuple(state.covariance_rtn[_LOWER].tolist()),
        range_bias_m=None if found.bias_m is None else found.bias_m[0],
        range_bias_sigma_m=None if found.bias_m is None else found.bias_m[1],
        range_noise_m=found.noise_m,
        range_residual_m=found.residual_m,
        ambiguous=partner.ambiguous,
        chi2_best=partner.chi_square_best,
        chi2_mirror=partner.chi_square_mirror if math.isfinite(partner.chi_square_mirror) else None,
        dof=found.dof,
        mirror_rtn_m=None if found.mirror is None else vector3(found.mirror.rtn[:3]),
    )


def approach_messages(approaches: Sequence[Approach], last_input_seq: int, first_seq: int) -> list[ClosestApproach]:
    """Return a message for each approach."""
    return [
        ClosestApproach(
            seq=seq,
            last_input_seq=last_input_seq,
            partner_id=approach.partner,
            chi2=approach.chi_square,
            gps_ms=approach.gps_ms,
            distance_m=approach.distance_m,
            sigma_m=approach.sigma_m,
            least_m=approach.least_m,
            least_gps_ms=approach.least_gps_ms,
        )
        for seq, approach in enumerate(approaches, first_seq)
    ]


def pair_of(one: int, other: int) -> Pair:
    """Return the pair of two radios in ascending order."""
    return min(one, other), max(one, other)


def degrees_of_freedom(solution: FormationSolution) -> int:
    """Return the degrees of freedom of the ranges that a solution used."""
    return max(0, int(solution.used.sum()) - len(solution.hypotheses[0].parameters))
