"""Errors of the formation estimator of a flight against its truth: figures of the run and of time bins.

Ranges hardly distinguish a formation from its mirror images, so that the estimator returns several hypotheses. Its
errors are those of the hypothesis nearest to the truth. The first hypothesis is judged separately: it may be wrong if
the partner is reported as ambiguous or unsolved. Orbits of all other partners are certain, so they are also judged at
their worst moment: a wrong orbit can agree with the truth in the middle of an arc.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.bus.messages import FormationEstimate
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.solution import FormationSolution
from pygnc_ground.campaign.definition import Estimators
from pygnc_ground.campaign.flight import ORIENTATION, SimulatedFlight
from pygnc_ground.campaign.time_bins import Score, Trace, rms_of
from pygnc_ground.formation.bound import FormationPriors, bound_of_satellites
from pygnc_ground.formation.relative import elements_nees, rtn_from_gcrf
from pygnc_ground.orbit.consistency import mean_of
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.collect import Collected

WRONG_NEES: Final = 100.0
"""A NEES of six elements beyond this (ten standard deviations) belongs to a wrong hypothesis."""
_DOF: Final = 6
_BEYOND_SIGMAS: Final = 5.0
"""Position error in formal standard deviations that no certain orbit should have for long"""
_STEP_MS: Final = 120_000
"""Interval between the evaluated times; errors of relative orbits hardly change in between."""


@dataclass(frozen=True, slots=True, eq=False)
class FormationHypotheses:
    """Result of the formation estimator: h hypotheses on p partners at n times, the best first."""

    relative_gcrf: FloatArray
    """Partner minus own in m and m/s, shape (h, p, n, 6); NaN for a partner without an orbit"""
    covariance_gcrf: FloatArray
    """Covariance of `relative_gcrf`, shape (h, p, n, 6, 6)"""
    flagged: BoolArray
    """True for partners reported as ambiguous, and for those reported as unsolved, shape (2, p)"""

    @classmethod
    def of(cls, solution: FormationSolution, partners: tuple[int, ...], gps_ms: IntArray) -> "FormationHypotheses":
        """Return all hypotheses of a solution at n times (n,)."""
        shape = (len(solution.hypotheses), len(partners), len(gps_ms))
        relative, covariance = np.full((*shape, 6), np.nan), np.full((*shape, 6, 6), np.nan)
        for hypothesis, number in np.ndindex(shape[:2]):
            if partners[number] in solution.satellites:
                found = list(solution.relative_states(gps_ms.tolist(), partners[number], hypothesis))
                relative[hypothesis, number] = [state.gcrf for state in found]
                covariance[hypothesis, number] = [state.covariance_gcrf for state in found]
        known = [solution.partners.get(partner) for partner in partners]
        ambiguous = [each is not None and each.ambiguous for each in known]
        unsolved = [each is None or each.unsolved is not None for each in known]
        return cls(relative, covariance, np.array((ambiguous, unsolved)))


@dataclass(frozen=True, slots=True, eq=False)
class FormationErrors:
    """Errors of an estimate; arrays are of shape (p,) for p partners, and (p, n) at n times."""

    error_m: FloatArray
    """Position error of the right hypothesis, (p, n). If none is given, it is the nearest to the truth among those with
    a NEES up to `WRONG_NEES`, or among all if there are none"""
    sigma_m: FloatArray
    """Formal standard deviation of its position, (p, n)"""
    nees: FloatArray
    """NEES of its relative orbital elements, six degrees of freedom, (p, n)"""
    best_m: FloatArray
    """Position error of the first hypothesis, (p, n)"""
    best_sigmas: FloatArray
    """Position error of the first hypothesis in its own formal standard deviations, (p, n)"""
    found: BoolArray
    """True if any hypothesis has a NEES up to `WRONG_NEES` at the middle of the times, (p,)"""
    wrong: BoolArray
    """True if the first hypothesis has a larger NEES, (p,)"""

    @classmethod
    def of(cls, estimate: FormationHypotheses, states: FloatArray, right: IntArray | None = None) -> "FormationErrors":
        """Compare an estimate with the true states of all satellites in GCRF, ours first, (1 + p, n, 6).

        `right` is the index of the right hypothesis of each partner, (p,); by default its errors choose it.
        """
        own, partners = states[0], states[1:]
        error_m = np.linalg.norm((estimate.relative_gcrf - (partners - own))[..., :3], axis=-1)
        nees = elements_nees(own, own + estimate.relative_gcrf, partners, estimate.covariance_gcrf)
        is_right = nees[:, :, nees.shape[2] // 2] <= WRONG_NEES
        found = np.asarray(is_right.any(axis=0))
        if right is None:
            size_m = np.sqrt((error_m**2).mean(axis=2))
            candidates_m = np.where(is_right | ~found, size_m, np.inf)
            right = np.argmin(np.nan_to_num(candidates_m, nan=np.inf), axis=0)
        number = np.arange(len(partners))
        sigma_m = np.sqrt(np.trace(estimate.covariance_gcrf[..., :3, :3], axis1=-2, axis2=-1))
        error, sigma, nees = error_m[right, number], sigma_m[right, number], nees[right, number]
        return cls(error, sigma, nees, error_m[0], error_m[0] / sigma_m[0], found, ~is_right[0])


def score_batch(flight: SimulatedFlight, flown: Collected, settings: FlightSettings, estimators: Estimators) -> Score:
    """Return the score of the solution at the end of a flight.

    Raises:
        ValueError: The estimator found no solution.
    """
    solution = flown.formation
    if solution is None:
        raise ValueError("the formation estimator found no solution; check ranges and fixes of the scenario")
    start_ms, duration_ms = flight.settings.start_gps_ms, 1000 * flight.settings.duration_s
    times = start_ms + np.arange(_STEP_MS, duration_ms + 1, _STEP_MS)
    times = times[[solution.reference.covers(moment) for moment in times.tolist()]]
    partners = tuple(satellite.id for satellite in flight.satellites[1:])
    estimate = FormationHypotheses.of(solution, partners, times)
    errors = FormationErrors.of(estimate, flight.true_states_gcrf(times))
    bound_m = np.full(errors.error_m.shape, np.nan)
    if "formation" in estimators.bounds:
        bound_m = _bound_m(flight, settings, times)
    found, certain = errors.found, ~estimate.flagged.any(axis=0)
    error_m, nis = errors.error_m[found], _residuals(solution, times)
    figures = {
        "error_m": rms_of(error_m),
        "sigma_m": rms_of(errors.sigma_m[found]),
        "bound_m": rms_of(bound_m[found]),
        "nees": mean_of(errors.nees[found, errors.nees.shape[1] // 2]) / _DOF,
        "nis": mean_of(nis),
        "worst_m": float(np.sqrt((error_m**2).mean(axis=1)).max(initial=0.0)) if found.any() else np.nan,
        "best_m": rms_of(errors.best_m),
        "partners": float(len(partners)),
        "ambiguous": float(estimate.flagged[0].sum()),
        "unsolved": float(estimate.flagged[1].sum()),
        "missing": float((~found).sum()),
        "wrong": float(errors.wrong.sum()),
        "silent": float((errors.wrong & certain).sum()),
        **worst_moments([(times / 1000.0, sigmas) for sigmas in errors.best_sigmas[certain]]),
    }
    t_s = np.tile((times - start_ms) / 1000.0, (int(found.sum()), 1))
    rows = (t_s, error_m, errors.sigma_m[found], bound_m[found], errors.nees[found] / _DOF, np.tile(nis, (len(t_s), 1)))
    return Score("formation batch", figures, Trace(*(values.ravel() for values in rows)))


def score_filter(flight: SimulatedFlight, flown: Collected, begin_gps_ms: int) -> Score:
    """Return the score of the estimates from a time on.

    Raises:
        ValueError: There is no estimate.
    """
    estimates = (message for message in flown.partners if isinstance(message, FormationEstimate))
    reported = [message for message in estimates if message.gps_ms >= begin_gps_ms]
    newest = {message.partner_id: message for message in reported}
    if not newest:
        raise ValueError("the formation filter gave no estimate; check ranges and fixes of the scenario")
    certain = [message for message in reported if not (message.cause or message.ambiguous)]
    traces = {partner: _trace(flight, [each for each in certain if each.partner_id == partner]) for partner in newest}
    every = Trace(*(np.concatenate(parts) for parts in zip(*traces.values(), strict=True)))
    figures = {
        "error_m": rms_of(every.error),
        "sigma_m": rms_of(every.sigma),
        "nees": mean_of(every.nees),
        "worst_m": max((rms_of(trace.error) for trace in traces.values() if len(trace.error)), default=math.nan),
        "partners": float(len(flight.satellites) - 1),
        "ambiguous": float(sum(message.ambiguous for message in newest.values())),
        "unsolved": float(sum(bool(message.cause) for message in newest.values())),
        "silent": float(sum(bool((trace.nees * _DOF > WRONG_NEES).any()) for trace in traces.values())),
        **worst_moments([(trace.t_s, trace.error / trace.sigma) for trace in traces.values()]),
    }
    return Score("formation filter", figures, every)


def worst_moments(certain: Sequence[tuple[FloatArray, FloatArray]]) -> dict[str, float]:
    """Return largest error and longest time beyond `_BEYOND_SIGMAS`, from times in s and errors in sigmas by partner.

    An error lasts until the next estimate of the partner.
    """
    beyond_s = 0.0
    for t_s, sigmas in certain:
        begin_s = math.inf
        for moment_s, is_beyond in zip(t_s.tolist(), (sigmas > _BEYOND_SIGMAS).tolist(), strict=True):
            beyond_s = max(beyond_s, moment_s - begin_s)
            begin_s = min(begin_s, moment_s) if is_beyond else math.inf
    worst = max((float(sigmas.max()) for _, sigmas in certain if len(sigmas)), default=math.nan)
    return {"worst_sigmas": worst, "beyond_s": beyond_s}


def _trace(flight: SimulatedFlight, estimates: Sequence[FormationEstimate]) -> Trace:
    """Return the errors of estimates of one partner."""
    times = np.array([each.gps_ms for each in estimates], dtype=np.int64)
    found, covariance = np.zeros((len(times), 6)), np.zeros((len(times), 6, 6))
    for row, each in enumerate(estimates):
        found[row] = (*(each.position_gcrf_m or ()), *(each.velocity_gcrf_mps or ()))
        covariance[row][np.tril_indices(6)] = covariance[row].T[np.tril_indices(6)] = each.covariance_rtn or ()
    ids = [satellite.id for satellite in flight.satellites]
    states = flight.true_states_gcrf(times)
    own, partner = states[0], states[ids.index(estimates[0].partner_id) if estimates else 0]
    to_gcrf = np.linalg.inv(rtn_from_gcrf(own))
    nees = elements_nees(own, own + found, partner, to_gcrf @ covariance @ to_gcrf.swapaxes(1, 2)) / _DOF
    unknown = np.full(len(times), np.nan)
    return Trace(
        t_s=(times - flight.settings.start_gps_ms) / 1000.0,
        error=np.linalg.norm((found - (partner - own))[:, :3], axis=1),
        sigma=np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2)),
        bound=unknown,
        nees=nees,
        nis=unknown,
    )


def _bound_m(flight: SimulatedFlight, settings: FlightSettings, times: IntArray) -> FloatArray:
    """Return the Cramér-Rao bound of the position with the priors of the flight's settings, shape (p, n)."""
    of = settings.formation
    priors = FormationPriors(of.range_bias_sigma_m, of.log_drag_sigma, of.differential_log_drag_sigma)
    bound = bound_of_satellites(flight.settings, flight.satellites, settings.orbit, EarthFrames(ORIENTATION), priors)
    after = np.searchsorted(bound.motion.gps_ms, times).clip(max=len(bound.motion.gps_ms) - 1)
    return np.asarray(bound.position_m[:, after])


def _residuals(solution: FormationSolution, times: IntArray) -> FloatArray:
    """Return the mean squares of the first hypothesis's residuals over their sigmas in the steps that end at n times.

    They are NaN in steps without a used range.
    """
    ranges = zip(solution.ranges, solution.hypotheses[0].residual_m.tolist(), solution.used.tolist(), strict=True)
    used = [(seen, residual_m) for seen, residual_m, is_used in ranges if is_used]
    step = np.searchsorted(times, [seen.gps_ms for seen, _ in used]).clip(max=len(times) - 1)
    squares = np.array([(residual_m / solution.noise_of(seen.pair)) ** 2 for seen, residual_m in used])
    with np.errstate(invalid="ignore"):
        return np.bincount(step, squares, len(times)) / np.bincount(step, minlength=len(times))
