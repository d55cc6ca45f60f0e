"""Messages of the formation stream from a solution or from the filter; the tracker sets their numbers."""

import math
from collections.abc import Iterator, Sequence

from pygnc.bus.messages import FormationEstimate, vector3
from pygnc.estimators.formation.filter import FormationFilter
from pygnc.estimators.formation.solution import FormationSolution, Partner, RelativeState
from pygnc.estimators.orbit.state import LOWER
from pygnc.navigation.formation_arc import MeasurementTime


def solved_estimates(
    solution: FormationSolution | None, times: Sequence[MeasurementTime], cause: str
) -> Iterator[FormationEstimate]:
    """Yield an estimate for each measurement time; for a partner without a state, only for its newest time.

    Args:
        solution: Solution of the arc, if there is one.
        times: Measurement times, sorted.
        cause: Reason to report for a partner that the solution does not contain.
    """
    newest = {time.partner: time for time in times}
    partners = {} if solution is None else solution.partners
    states = {} if solution is None else _states(solution, times)
    residual_m = {} if solution is None else _own_residuals_m(solution)
    for time in times:
        partner, tracks = partners.get(time.partner), states.get(time.partner)
        if solution is not None and partner and tracks and solution.reference.covers(time.gps_ms):
            each = [next(track) for track in tracks]
            yield _estimate(time, solution, partner, each, residual_m.get((time.gps_ms, time.partner)))
        elif time == newest[time.partner]:
            reason = (partner and partner.unsolved) or cause
            yield FormationEstimate(0, 0, time.input_seq, time.gps_ms, time.partner, reason)


def _states(solution: FormationSolution, times: Sequence[MeasurementTime]) -> dict[int, list[Iterator[RelativeState]]]:
    """Return iterators over the states of each partner at the times that the solution covers.

    The first iterator is for the best orbit; a second one is for the best alternative orbit if there is one.
    """
    states: dict[int, list[Iterator[RelativeState]]] = {}
    for identity, partner in solution.partners.items():
        if partner.unsolved is not None:
            continue
        covered = [time.gps_ms for time in times if time.partner == identity and solution.reference.covers(time.gps_ms)]
        others = enumerate(solution.hypotheses[1:], 1)
        mirror = next((number for number, each in others if each.chi_square == partner.chi_square_mirror), None)
        numbers = (0,) if mirror is None else (0, mirror)
        states[identity] = [solution.relative_states(covered, identity, number) for number in numbers]
    return states


def _own_residuals_m(solution: FormationSolution) -> dict[tuple[int, int], float]:
    """Return the residuals in m of the ranges that we measured, by GPS milliseconds and radio id of the partner."""
    return {
        (observation.gps_ms, observation.other): residual_m
        for observation, residual_m in zip(solution.ranges, solution.hypotheses[0].residual_m.tolist(), strict=True)
        if observation.one == solution.satellites[0]
    }


def filtered_estimate(
    time: MeasurementTime, formation: FormationFilter, residual_m: float | None
) -> FormationEstimate | None:
    """Return the estimate of a partner by the filter that continues a solution; None if its state is unknown.

    If observations contradict its orbit, the estimate has only the reason.
    """
    if time.partner not in formation.satellites[1:]:
        return None
    partner = formation.partner(time.partner)
    if partner.unsolved is not None:
        cause = FormationEstimate(0, 0, time.input_seq, time.gps_ms, time.partner, partner.unsolved)
        return None if partner.fits else cause
    states = [formation.relative(time.partner, number) for number in ((0, 1) if partner.ambiguous else (0,))]
    return _estimate(time, formation, partner, states, residual_m)


def _estimate(
    time: MeasurementTime,
    source: FormationSolution | FormationFilter,
    partner: Partner,
    states: Sequence[RelativeState],
    residual_m: float | None,
) -> FormationEstimate:
    """Return the estimate of a partner, from its states by the best and, if there is one, the best alternative orbit.

    `residual_m` is the residual of the range that we measured to the partner at this time, if any.
    """
    state = states[0]
    one, other = sorted((source.satellites[0], time.partner))
    bias_m, bias_sigma_m, noise_m = None, None, None
    if (one, other) in source.pairs:
        bias_m, bias_sigma_m = source.bias_of((one, other))
        noise_m = source.noise_of((one, other))
    return FormationEstimate(
        seq=0,
        last_input_seq=0,
        input_seq=time.input_seq,
        gps_ms=time.gps_ms,
        partner_id=time.partner,
        cause="",
        position_rtn_m=vector3(state.rtn[:3]),
        velocity_rtn_mps=vector3(state.rtn[3:]),
        position_gcrf_m=vector3(state.gcrf[:3]),
        velocity_gcrf_mps=vector3(state.gcrf[3:]),
        covariance_rtn=tuple(state.covariance_rtn[LOWER].tolist()),
        range_bias_m=bias_m,
        range_bias_sigma_m=bias_sigma_m,
        range_noise_m=noise_m,
        range_residual_m=residual_m,
        ambiguous=partner.ambiguous,
        chi2_best=partner.chi_square_best,
        chi2_mirror=partner.chi_square_mirror if math.isfinite(partner.chi_square_mirror) else None,
        dof=source.freedom,
        mirror_rtn_m=vector3(states[1].rtn[:3]) if len(states) > 1 else None,
    )
