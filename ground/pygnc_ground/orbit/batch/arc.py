"""Least squares of one arc: iterations of motion, forces and weights until the orbit converges.

The standard deviations of the density variation and of the empirical accelerations are unknown beforehand. They are
chosen to maximise the evidence: the probability of the fixes with the parameters marginalised (MacKay, Neural
Computation 4, 1992; variance component estimation in geodesy). An arc with well modelled forces thus remains stiff, and
one with unmodelled forces gets the freedom that it needs. If these are large, a second fit with three times as many
parameters follows them; with fewer, the rest resembles correlated errors of the receiver.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.error_models import ERROR_MODELS, WHITE, ErrorModel, log_prior
from pygnc.estimators.orbit.measurement import Fix, rates_along_track
from pygnc.estimators.orbit.settings import MeasurementSettings, OrbitSettings
from pygnc_ground.orbit.batch.first_orbit import first_orbit
from pygnc_ground.orbit.batch.forces import (
    SEGMENTS_PER_INTERVAL,
    STATE,
    ArcParameters,
    Factors,
    Prior,
)
from pygnc_ground.orbit.batch.observations import Observations, Residuals, inertial, observe
from pygnc_ground.orbit.batch.trajectory import ArcDynamics, Grid, LinearMotion
from pygnc_ground.orbit.solution import FloatArray, IntArray

_STEP: Final = 10.0**0.5
"""Ratio of neighbouring factors."""
_DENSITY_POWERS: Final = range(-4, 3)
_EMPIRICAL_POWERS: Final = range(-4, 9)
"""Powers of the step: factors from 0.01 to 10 for the density, and to 10 000 for the empirical accelerations."""
_EXPECTED_POWER: Final = -1.0
_POWER_SIGMA: Final = 2.0
"""Prior of the factors: a third of the settings, within a factor of ten, because the settings are made for the flight's
simpler force model.
"""


NormalEquations: TypeAlias = tuple[FloatArray, FloatArray]
"""Sums over all weighted observations: matrix, shape (p, p), and right side, shape (p,), for p parameters."""


class Solution(NamedTuple):
    """Most probable correction of p parameters."""

    correction: FloatArray
    """Correction of the parameters, shape (p,)."""
    log_evidence: float
    """Logarithm of the evidence, except for a constant that is independent of the prior."""
    factor: tuple[FloatArray, bool]
    """Cholesky factor of the scaled information, as returned by SciPy, shape (p, p)."""
    unit: FloatArray
    """Scale of each parameter, shape (p,)."""

    def covariance(self) -> FloatArray:
        """Compute the covariance of the parameters, shape (p, p)."""
        from scipy.linalg.lapack import dpotri  # noqa: PLC0415 - takes a third of the time of a command's help

        lower, _ = dpotri(self.factor[0], lower=True)  # a third of the cost of solving for unit vectors
        inverse = np.tril(lower)
        inverse += np.tril(lower, -1).T
        covariance: FloatArray = self.unit[:, None] * inverse * self.unit
        return covariance


def solve(normal: NormalEquations, prior: Prior, values: FloatArray) -> Solution:
    """Return the most probable corrections of the parameters from their current values, shape (p,).

    Raises:
        numpy.linalg.LinAlgError: The observations do not determine the state.
    """
    from scipy.linalg import cho_factor, cho_solve  # noqa: PLC0415 - takes a third of the time of a command's help

    matrix, right = normal
    offset = values - prior.mean
    pull = prior.information @ offset
    total = matrix + prior.information
    # Parameters range from kilometres to nanometres per second squared; scaling gives all of them unit information.
    unit = 1.0 / np.sqrt(np.diagonal(total))
    # LAPACK reports values that are not finite as not positive definite.
    factor = cho_factor(unit[:, None] * total * unit, lower=True, check_finite=False)
    scaled = unit * (right - pull)
    solved = cho_solve(factor, scaled, check_finite=False)
    log_determinant = 2.0 * float(np.log(np.diagonal(factor[0]) / unit).sum())
    cost = float(offset @ pull - scaled @ solved)
    return Solution(unit * solved, 0.5 * (prior.log_determinant - log_determinant - cost), factor, unit)


def choose_factors(
    normal: NormalEquations,
    parameters: ArcParameters,
    settings: OrbitSettings,
    values: FloatArray,
    start: Factors | None,
) -> tuple[Factors, float]:
    """Return the factors with the largest evidence, by hill climbing from `start` or from the best of a coarse grid.

    The second result is the logarithm of that evidence, with the prior of the factors.

    Cost: a factorisation of the normal equations for each of some 25 pairs, or for 5 or more with a start.
    """

    @cache
    def evidence(density_variation: int, empirical: int) -> float:
        if density_variation not in _DENSITY_POWERS or empirical not in _EMPIRICAL_POWERS:
            return -math.inf
        prior = parameters.prior(settings, Factors(_STEP**density_variation, _STEP**empirical))
        unlikely = sum(((power - _EXPECTED_POWER) / _POWER_SIGMA) ** 2 for power in (density_variation, empirical))
        return solve(normal, prior, values).log_evidence - 0.5 * unlikely

    def best(places: Iterable[tuple[int, int]]) -> tuple[int, int]:
        return max(places, key=lambda place: evidence(*place))

    def around(density: int, empirical: int) -> list[tuple[int, int]]:
        # The point itself comes first: a neighbour replaces it only if its evidence is larger.
        return [(density + i, empirical + j) for i, j in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))]

    def power(factor: float) -> int:
        return round(math.log(factor) / math.log(_STEP))

    if start is None:
        found = best((density, empirical) for density in _DENSITY_POWERS[::3] for empirical in _EMPIRICAL_POWERS[::3])
    else:
        found = power(start.density_variation), power(start.empirical)
    while (higher := best(around(*found))) != found:
        found = higher
    return Factors(_STEP ** found[0], _STEP ** found[1]), evidence(*found)


def normal_equations(kinds: Iterable[Residuals], motion: LinearMotion, count: int) -> NormalEquations:
    """Return the normal equations of observations for corrections of `count` parameters."""
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for residuals in kinds:
        residuals.add_to(matrix, right, motion)
    return matrix, right


def choose_error_model(
    kinds: Sequence[Residuals],
    motion: LinearMotion,
    parameters: ArcParameters,
    values: FloatArray,
    settings: OrbitSettings,
    *,
    models: Sequence[ErrorModel],
) -> tuple[ErrorModel, Factors]:
    """Return the correlation of position and velocity errors, and the factors, with the largest evidence together.

    Correlated errors and unmodelled forces explain similar residuals, so each model is compared with its best factors
    and with the noise of the residuals that remain after its own fit. Forces also explain a slow error of the
    velocities, and more smoothly. Models that distrust the velocities are therefore compared by the evidence of the
    positions, given the velocities.

    The residuals of positions and velocities have white errors and are linearised about the motion, for which the
    parameters have the values (p,). The evaluation of a model costs as much as two iterations of the fit.
    """
    limits = settings.measurement
    count = 3 * sum(len(residuals.observations) for residuals in kinds)

    @cache  # models share the errors of positions or of velocities
    def correlated_part(kind: int, share: float, time_s: float) -> tuple[Residuals, NormalEquations]:
        residuals = kinds[kind].correlated(limits, 0.0, share, time_s)
        return residuals, normal_equations([replace(residuals, scale=1.0)], motion, len(values))

    def best(model: ErrorModel) -> _Choice:
        shares = enumerate((model.position_share, model.velocity_share))
        of_kinds = [correlated_part(kind, share, model.time_s if share else 0.0) for kind, share in shares]
        seen, parts = [residuals for residuals, _ in of_kinds], [part for _, part in of_kinds]
        factors, total, alone = None, -math.inf, math.nan
        for _ in range(_RESCALINGS):
            scaled = [residuals.scale**-2 for residuals in seen]
            matrix, right = (
                sum((factor * part[item] for factor, part in zip(scaled, parts, strict=True)), np.zeros(1))
                for item in (0, 1)
            )
            factors, log_evidence = choose_factors((matrix, right), parameters, settings, values, factors)
            total = log_evidence + sum(residuals.log_likelihood for residuals in seen) + log_prior(model)
            prior = parameters.prior(settings, factors)
            if len(seen[1].observations):
                of_velocities = scaled[1] * parts[1][0], scaled[1] * parts[1][1]
                with suppress(np.linalg.LinAlgError):
                    alone = solve(of_velocities, prior, values).log_evidence + seen[1].log_likelihood
            solution = solve((matrix, right), prior, values)
            fitted = float((matrix * solution.covariance()).sum()) / count
            seen = [residuals.rescaled(motion, solution.correction, limits, fitted) for residuals in seen]
        return _Choice(model, total, total - alone, factors or Factors())

    found = [best(model) for model in models]
    choice = max((each for each in found if each.model not in _DISTRUSTING), key=lambda each: each.log_evidence)
    for each in found:
        if each.model in _DISTRUSTING and each.of_positions > choice.of_positions:
            choice = each
    return choice.model, choice.factors


class _Choice(NamedTuple):
    """Error model with its factors, evidence, and evidence of the positions given the velocities (NaN if unknown)."""

    model: ErrorModel
    log_evidence: float
    of_positions: float
    factors: Factors


def correlated(
    white: Sequence[Residuals], model: ErrorModel, limits: MeasurementSettings, fitted: float
) -> list[Residuals]:
    """Return residuals of positions and velocities with white errors as those with correlated errors."""
    shares = model.position_share, model.velocity_share
    return [
        residuals.correlated(limits, fitted, share, model.time_s)
        for residuals, share in zip(white, shares, strict=True)
    ]


_DISTRUSTING: Final = (ErrorModel(0.0, 0.99, 600.0), ErrorModel(0.8, 0.99, 600.0))
"""Models of a slow error of the velocity that is up to ten times as large as the white one."""
_HALF_ORBIT: Final = ErrorModel(0.1, 0.0, 1800.0)
"""Model of an error of a third of the white one that lasts for half an orbit, as of an ionosphere on the day side."""
_MODELS: Final = (*ERROR_MODELS, _HALF_ORBIT, *_DISTRUSTING)
_ITERATIONS_MAX: Final = 30
_CHOICES: Final = 4
"""Maximum number of choices of the a-priori sigmas' factors; without a limit, weights and factors could alternate for
ever.
"""
_RESCALINGS: Final = 3
"""Evaluations of an error model, each with the noise that remained after the fit before."""
_MODEL_CHOICES: Final = 2
"""Number of choices of an error model: from all models, then from white errors and the best other one."""
_PATIENCE: Final = 8
"""Number of the iteration in which the factors are chosen at the latest."""
_FACTOR_LARGE: Final = 100.0
"""Factor on the empirical accelerations from which an arc gets parameters in every segment."""
_SEGMENTS_DENSE: Final = 144
"""Segments of the longest such arc, half a day; the cost grows with the cube of the number of parameters."""
_SETTLED_M: Final = 1.0
"""Change of the orbit below which weights may exclude fixes and the factors are chosen."""
_CONVERGED_M: Final = 1e-3
_RADIUS_MIN_M: Final = 6.2e6
_RADIUS_MAX_M: Final = 1e9
_BLOCK: Final = 512
"""Number of states whose derivatives are in memory at once."""


FIXES_MIN: Final = 4
"""Least number of fixes at different times; with fewer an outlier cannot be detected."""


class ArcError(ValueError):
    """Error raised when fixes give no orbit; the message names the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class ArcFit:
    """Fit of an arc: parameters and residuals."""

    values: FloatArray
    """Parameters, shape (p,)."""
    factors: Factors
    """Estimated factors on the settings' a-priori sigmas."""
    positions: Residuals
    velocities: Residuals
    iterations: int
    converged: bool
    """True if the iteration converged and at least half of the positions are accepted."""


class _FittedMotion(NamedTuple):
    """Motion of a fitted arc: linear in the parameters, with their correction (p,) and its covariance (p, p)."""

    motion: LinearMotion
    correction: FloatArray
    covariance: FloatArray

    def states(self, gps_ms: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return position and velocity in GCRF (n, 6) and their covariance (n, 6, 6) at times within the arc (n,)."""
        states, covariance = np.empty((len(gps_ms), 6)), np.empty((len(gps_ms), 6, 6))
        for first in range(0, len(gps_ms), _BLOCK):
            rows = slice(first, first + _BLOCK)
            at, on_time = gps_ms[rows], np.zeros(len(gps_ms[rows]))
            states[rows] = self.motion.states(at, on_time) + self.motion.changes(at, on_time, self.correction)
            covariance[rows] = self.motion.covariances(at, self.covariance)
        return states, covariance


def solve_arc(
    fixes: Sequence[Fix], times_gps_ms: IntArray, settings: OrbitSettings, frames: EarthFrames
) -> tuple[ArcFit, FloatArray, FloatArray]:
    """Fit an orbit to the fixes of an arc, in order of time, and evaluate it at the times `times_gps_ms`, shape (n,).

    Returns:
        The fit, positions and velocities in GCRF (n, 6), and their covariances (n, 6, 6).

    Raises:
        ArcError: The fixes give no orbit.
    """
    times = {fix.gps_ms for fix in fixes}
    if len(times) < FIXES_MIN:
        raise ArcError(f"only {len(times)} fixes at different times; at least {FIXES_MIN} are required")
    first_ms, last_ms = fixes[0].gps_ms, fixes[-1].gps_ms
    grid = Grid(min((first_ms, *times_gps_ms.tolist())), max((last_ms, *times_gps_ms.tolist())))
    try:
        seen = observe(fixes, frames, settings.measurement)
        fit, motion = _fit(seen, grid, settings, frames, SEGMENTS_PER_INTERVAL)
        if fit.factors.empirical >= _FACTOR_LARGE and grid.segments <= _SEGMENTS_DENSE:
            fit, motion = _fit(seen, grid, settings, frames, 1)
    except np.linalg.LinAlgError:
        raise ArcError(f"{len(fixes)} fixes do not determine an orbit; give a longer recording") from None
    stated_s, known_s = np.median([fix.time_sigma_s for fix in fixes]), settings.measurement.time_sigma_s
    states, covariance = motion.states(times_gps_ms)
    # An error of the receiver's clock displaces the whole arc along its track.
    of_clock = (float(stated_s) if known_s is None else known_s) * rates_along_track(states)
    return fit, states, covariance + of_clock[:, :, None] * of_clock[:, None, :]


def _fit(
    kinds: tuple[Observations, Observations],
    grid: Grid,
    settings: OrbitSettings,
    frames: EarthFrames,
    segments_per_interval: int,
) -> tuple[ArcFit, _FittedMotion]:
    """Fit positions and velocities, each in order of time.

    The first orbit is accurate to kilometres and the equations of motion are solved anew in each iteration, so the
    steps need no damping.
    """
    spin = frames.at(int(kinds[0].gps_ms[0]), np.zeros(1)).rotation_gcrf_rad_s
    pole = spin / np.linalg.norm(spin)
    first = first_orbit(kinds[0].gps_ms, *inertial(*kinds, pole), grid, pole)
    if first is None:
        raise ArcError("no velocity, and no two positions close enough in time to give one")
    begin, reference = first
    dynamics = ArcDynamics(grid, frames, settings.spacecraft, segments_per_interval)
    parameters, factors, choices, error_model = dynamics.parameters, Factors(), 0, WHITE
    values = parameters.prior(settings, factors).mean
    values[STATE] = begin
    models: Sequence[ErrorModel] = _MODELS if settings.measurement.correlated_errors else (WHITE,)
    fitted, settled, converged, iteration = 0.0, False, False, 0
    while not converged and iteration < _ITERATIONS_MAX:
        iteration += 1
        radius_m = np.linalg.norm(reference[..., :3], axis=2)
        if not (radius_m.min() > _RADIUS_MIN_M and radius_m.max() < _RADIUS_MAX_M):
            raise ArcError("the fixes contradict each other: no satellite orbit fits most of them")
        motion = dynamics.linearise(reference, values)
        white = [Residuals.of(kind, motion, settings.measurement, fitted, settled=settled) for kind in kinds]
        # Stiff forces keep an arc with a thrust from settling.
        is_due = settled or iteration == _PATIENCE
        if is_due and choices < _MODEL_CHOICES:
            error_model, factors = choose_error_model(white, motion, parameters, values, settings, models=models)
            models = tuple(dict.fromkeys((WHITE, error_model)))
        positions, velocities = correlated(white, error_model, settings.measurement, fitted)
        normal = normal_equations((positions, velocities), motion, parameters.count)
        if is_due and choices < _CHOICES:
            factors, _ = choose_factors(normal, parameters, settings, values, factors)
            choices += 1
        solution = solve(normal, parameters.prior(settings, factors), values)
        covariance, moved = solution.covariance(), motion.nodes(solution.correction)
        shift_m = float(np.abs(moved - reference)[..., :3].max())
        reference, values = moved, values + solution.correction
        fitted = float((normal[0] * covariance).sum()) / (3 * sum(map(len, kinds)))
        converged = settled and shift_m < _CONVERGED_M
        settled |= shift_m < _SETTLED_M
    converged &= 2 * int(positions.accepted.sum()) >= len(kinds[0])
    fit = ArcFit(values, factors, positions, velocities, iteration, converged)
    return fit, _FittedMotion(motion, solution.correction, covariance)
