"""What a formation's solution and its filter say of each partner, as the messages that go out."""

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


class Place(NamedTuple):
    """What is known of a partner at one moment.

    Attributes:
        state: Relative to us.
        mirror: By the best other orbit; None without one.
        partner: How certain that is.
        bias_m: Of our own ranges to it, and its standard deviation; None without any.
        noise_m: Of these ranges.
        residual_m: Of the range at this moment.
        dof: Degrees of freedom of the ranges.
    """

    state: RelativeState
    mirror: RelativeState | None
    partner: Partner
    bias_m: tuple[float, float] | None
    noise_m: float | None
    residual_m: float | None
    dof: int


class SolutionPlaces:
    """Places by a solution of an arc."""

    def __init__(self, solution: FormationSolution, own_id: int) -> None:
        self._solution = solution
        self._own_id = own_id
        residuals_m = solution.hypotheses[0].residual_m.tolist()
        self._residual_m = {
            (seen.gps_ms, seen.other): residual_m
            for seen, residual_m in zip(solution.ranges, residuals_m, strict=True)
            if seen.one == own_id
        }

    def at(self, occasion: MeasurementTime) -> Place | None:
        """Where a partner is; None when that is not known."""
        solution, (gps_ms, partner_id, _) = self._solution, occasion
        partner = solution.partners.get(partner_id)
        if partner is None or partner.unsolved is not None or not solution.reference.covers(gps_ms):
            return None
        pair = pair_of(self._own_id, partner_id)
        mirror = self._mirror(partner)
        is_measured = pair in solution.pairs
        return Place(
            state=solution.relative_at(gps_ms, partner_id),
            mirror=None if mirror is None else solution.relative_at(gps_ms, partner_id, mirror),
            partner=partner,
            bias_m=solution.bias_of(pair) if is_measured else None,
            noise_m=float(solution.noise_m[solution.pairs.index(pair)]) if is_measured else None,
            residual_m=self._residual_m.get((gps_ms, partner_id)),
            dof=degrees_of_freedom(solution),
        )

    def cause(self, partner_id: int) -> str | None:
        """Why a partner's orbit is not known, as far as the solution knows of it."""
        partner = self._solution.partners.get(partner_id)
        return None if partner is None else partner.unsolved

    def _mirror(self, partner: Partner) -> int | None:
        """The best hypothesis in which a partner moves differently."""
        others = enumerate(self._solution.hypotheses[1:], 1)
        return next((number for number, one in others if one.chi_square == partner.chi_square_mirror), None)


def filtered_place(
    formation: FormationFilter, solution: FormationSolution, partner_id: int, residual_m: float | None
) -> Place | None:
    """Where the filter, which has gone on from a solution, has a partner now; None when that is not known."""
    partner = formation.partners.get(partner_id)
    if partner is None or partner.unsolved is not None or partner_id not in formation.satellites:
        return None
    pair = pair_of(formation.satellites[0], partner_id)
    is_measured = pair in formation.pairs
    several = partner.ambiguous and formation.hypotheses(partner_id) > 1
    return Place(
        state=formation.relative(partner_id),
        mirror=formation.relative(partner_id, 1) if several else None,
        partner=partner,
        bias_m=formation.bias_of(pair) if is_measured else None,
        noise_m=float(solution.noise_m[solution.pairs.index(pair)]) if is_measured else None,
        residual_m=residual_m,
        dof=degrees_of_freedom(solution),
    )


def solved_estimates(
    places: SolutionPlaces | None, occasions: Sequence[MeasurementTime], cause: str, through: int, first_seq: int
) -> Iterator[FormationEstimate]:
    """A message for each occasion in the arc; for a partner without a place, one for the newest of its own.

    Args:
        places: By the solution; None if there is none.
        occasions: In order of time.
        cause: Why a partner's orbit is not known of which the solution knows nothing.
        through: Number of the newest input.
        first_seq: Number of the first message.
    """
    newest = {one.partner: one for one in occasions}
    for one in occasions:
        place = None if places is None else places.at(one)
        if place is not None:
            yield placed(one, place, through, first_seq)
        elif one == newest[one.partner]:
            told = None if places is None else places.cause(one.partner)
            yield FormationEstimate(
                seq=first_seq,
                last_input_seq=through,
                input_seq=one.input_seq,
                gps_ms=one.gps_ms,
                partner_id=one.partner,
                cause=told or cause,
            )
        else:
            continue
        first_seq += 1


def placed(occasion: MeasurementTime, place: Place, through: int, seq: int) -> FormationEstimate:
    """The message for a partner's place."""
    state, partner = place.state, place.partner
    return FormationEstimate(
        seq=seq,
        last_input_seq=through,
        input_seq=occasion.input_seq,
        gps_ms=occasion.gps_ms,
        partner_id=occasion.partner,
        cause="",
        position_rtn_m=vector3(state.rtn[:3]),
        velocity_rtn_mps=vector3(state.rtn[3:]),
        position_gcrf_m=vector3(state.gcrf[:3]),
        velocity_gcrf_mps=vector3(state.gcrf[3:]),
        covariance_rtn=tuple(state.covariance_rtn[_LOWER].tolist()),
        range_bias_m=None if place.bias_m is None else place.bias_m[0],
        range_bias_sigma_m=None if place.bias_m is None else place.bias_m[1],
        range_noise_m=place.noise_m,
        range_residual_m=place.residual_m,
        ambiguous=partner.ambiguous,
        chi2_best=partner.chi_square_best,
        chi2_mirror=partner.chi_square_mirror if math.isfinite(partner.chi_square_mirror) else None,
        dof=place.dof,
        mirror_rtn_m=None if place.mirror is None else vector3(place.mirror.rtn[:3]),
    )


def approach_messages(approaches: Sequence[Approach], through: int, first_seq: int) -> list[ClosestApproach]:
    """A message for each approach."""
    return [
        ClosestApproach(
            seq=seq,
            last_input_seq=through,
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
    """The pair of two radios."""
    return min(one, other), max(one, other)


def degrees_of_freedom(solution: FormationSolution) -> int:
    """Of the ranges that a solution used."""
    return max(0, int(solution.used.sum()) - len(solution.hypotheses[0].parameters))
