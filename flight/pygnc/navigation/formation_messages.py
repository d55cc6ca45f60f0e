"""Messages of the formation stream, composed from a solution or from the filter."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pygnc.bus.messages import ClosestApproach, FormationEstimate, vector3
from pygnc.estimators.formation.approach import Approach
from pygnc.estimators.formation.filter import FormationFilter
from pygnc.estimators.formation.solution import FormationSolution, Partner, RelativeState
from pygnc.navigation.formation_arc import MeasurementTime

_LOWER = np.tril_indices(6)


def solved_estimates(
    solution: FormationSolution | None,
    times: Sequence[MeasurementTime],
    cause: str,
    *,
    last_input_seq: int,
    first_seq: int,
) -> Iterator[FormationEstimate]:
    """Yield a message for each measurement time; for a partner without a state, only for its newest time.

    Args:
        solution: Solution of the arc, if there is one.
        times: Measurement times, sorted.
        cause: Reason to report for a partner that the solution does not contain.
        last_input_seq: Number of the newest input.
        first_seq: Number of the first message.
    """
    seq, residual_m, states = first_seq, _own_residuals_m(solution), _states(solution, times)
    newest = {time.partner: time for time in times}
    for time in times:
        partner = None if solution is None else solution.partners.get(time.partner)
        tracks = None if solution is None or not solution.reference.covers(time.gps_ms) else states.get(time.partner)
        if solution is not None and partner is not None and tracks is not None:
            yield _estimate(
                time,
                solution,
                partner,
                [next(track) for track in tracks],
                residual_m=residual_m.get((time.gps_ms, time.partner)),
                last_input_seq=last_input_seq,
                seq=seq,
            )
        elif time == newest[time.partner]:
            yield FormationEstimate(
                seq=seq,
                last_input_seq=last_input_seq,
                input_seq=time.input_seq,
                gps_ms=time.gps_ms,
                partner_id=time.partner,
                cause=(partner and partner.unsolved) or cause,
            )
        else:
            continue
        seq += 1


def _states(
    solution: FormationSolution | None, times: Sequence[MeasurementTime]
) -> dict[int, list[Iterator[RelativeState]]]:
    """Return the states at those times that the solution covers, by partner.

    They are those by the best orbit and, if there is one, by the best alternative orbit.
    """
    states: dict[int, list[Iterator[RelativeState]]] = {}
    if solution is None:
        return states
    for identity, partner in solution.partners.items():
        if partner.unsolved is not None:
            continue
        covered = [time.gps_ms for time in times if time.partner == identity and solution.reference.covers(time.gps_ms)]
        others = enumerate(solution.hypotheses[1:], 1)
        mirror = next((number for number, each in others if each.chi_square == partner.chi_square_mirror), None)
        numbers = (0,) if mirror is None else (0, mirror)
        states[identity] = [solution.relative_states(covered, identity, number) for number in numbers]
    return states


def _own_residuals_m(solution: FormationSolution | None) -> dict[tuple[int, int], float]:
    """Return the residuals of our own ranges by GPS milliseconds and partner."""
    if solution is None:
        return {}
    return {
        (observation.gps_ms, observation.other): residual_m
        for observation, residual_m in zip(solution.ranges, solution.hypotheses[0].residual_m.tolist(), strict=True)
        if observation.one == solution.satellites[0]
    }


def filtered_estimate(
    time: MeasurementTime,
    formation: FormationFilter,
    *,
    residual_m: float | None,
    last_input_seq: int,
    seq: int,
) -> FormationEstimate | None:
    """Return the message on a partner by the filter that continues a solution; None if its state is unknown."""
    partner = formation.partners.get(time.partner)
    if partner is None or partner.unsolved is not None or time.partner not in formation.satellites:
        return None
    states = [formation.relative(time.partner, number) for number in ((0, 1) if partner.ambiguous else (0,))]
    return _estimate(time, formation, partner, states, residual_m=residual_m, last_input_seq=last_input_seq, seq=seq)


def _estimate(
    time: MeasurementTime,
    source: FormationSolution | FormationFilter,
    partner: Partner,
    states: Sequence[RelativeState],
    *,
    residual_m: float | None,
    last_input_seq: int,
    seq: int,
) -> FormationEstimate:
    """Return the message on a partner.

    Args:
        time: Time of the measurement.
        source: Source of the state: the solution, or the filter that continues it.
        partner: Knowledge of the partner's orbit.
        states: State by the best orbit and, if there is one, by the best alternative orbit.
        residual_m: Residual of our own range at this time in m, if there is one.
        last_input_seq: Number of the newest input.
        seq: Number of the message.
    """
    state = states[0]
    one, other = sorted((source.satellites[0], time.partner))
    bias_m, bias_sigma_m, noise_m = None, None, None
    if (one, other) in source.pairs:
        bias_m, bias_sigma_m = source.bias_of((one, other))
        noise_m = source.noise_of((one, other))
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
