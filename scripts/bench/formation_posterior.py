"""Consistency of hypotheses: which one contains the truth, and the NEES expected from its observations.

The hypothesis nearest to the truth is chosen by its errors, which biases statistics of these errors. The hypothesis
that least squares reach from the truth on the same observations is used instead (`true_hypotheses`).

On curved likelihood ridges errors are not normal: the mean of their squares over the covariance (NEES) may be right
and its scatter still larger than that of chi-square. Samples of the posterior show both (`expected_nees`). They are
drawn by importance sampling: the proposal is a mixture of Student's t distributions about points along the ridge, and
the cost J of the observations gives the weights exp(-J/2) / proposal. No other part of the estimator is involved.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.formation.least_squares import minimise
from pygnc.estimators.formation.observation_equations import Equations
from pygnc.estimators.formation.reference import STATE_SIZE, state_indices
from pygnc.estimators.formation.ridge import CostFunction, RidgePoints
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.kalman import scaled_inverse
from pygnc_ground.formation.relative import elements_nees
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.formation import Satellite, links
from pygnc_ground.scenario.settings import Settings

_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-3


class JudgedSolution(NamedTuple):
    """Solution with its truth: h hypotheses on the u parameters of s satellites, and their observation equations."""

    equations: Equations
    """Observation equations with noise and loss of the last fit"""
    hypotheses: FloatArray
    """Parameters, shape (h, u)"""
    covariances: FloatArray
    """Covariances of the parameters, shape (h, u, u)"""
    truth: FloatArray
    """True parameters, shape (u,)"""

    def alone(self, partner: int) -> "JudgedSolution":
        """Return the problem of our satellite and one partner, by index, without its ranges to other partners."""
        columns = self.equations.parameter_indices((0, partner))
        return JudgedSolution(
            self.equations.subset((0, partner)),
            self.hypotheses[:, columns],
            self.covariances[:, columns[:, None], columns],
            self.truth[columns],
        )


def true_hypotheses(judged: JudgedSolution) -> tuple[IntArray, FloatArray]:
    """Return the hypotheses that least squares reach from the truth, for p partners.

    Returns:
        Index of the hypothesis nearest to the minimum reached from the truth, (p,), and its squared Mahalanobis
        distance to that minimum, (p,); the distance is small if the hypothesis is the same orbit.
    """
    distance = distances_after_minimisation(judged, judged.truth[None])[0]
    return np.argmin(distance, axis=1), np.min(distance, axis=1)


def distances_after_minimisation(judged: JudgedSolution, parameters: FloatArray) -> FloatArray:
    """Return the distances between the hypotheses and the minima that least squares reach from `parameters` (n, u).

    Returns:
        Squared Mahalanobis distance of each partner's orbit relative to ours, (n, s - 1, h).
    """
    found = minimise(judged.equations, parameters, iterations=_ITERATIONS, tolerance=_TOLERANCE)
    covariance = scaled_inverse(found.information)
    distances = []
    for partner in range(1, len(judged.equations.satellites)):
        relative = d_relative_d_parameters(judged.equations, partner)
        difference = (judged.hypotheses - found.parameters[:, None]) @ relative.T
        information = scaled_inverse(relative @ covariance @ relative.T)
        distances.append(np.einsum("nhi,nij,nhj->nh", difference, information, difference))
    return np.stack(distances, axis=1)


def d_relative_d_parameters(equations: Equations, partner: int) -> FloatArray:
    """Return the derivatives of a partner's state relative to ours by the parameters, (6, u)."""
    derivatives = np.zeros((6, equations.parameter_count))
    derivatives[:, state_indices(partner)[:6]], derivatives[:, state_indices(0)[:6]] = np.eye(6), -np.eye(6)
    return derivatives


def judged_solution(solution: FormationSolution, everyone: tuple[Satellite, ...], settings: Settings) -> JudgedSolution:
    """Return a solution with the truth of the scenario of all satellites.

    True orbits and biases are deviations from the reference; drag factors are those of the prior.
    """
    equations = solution.equations
    reference, by_id = equations.dynamics.reference, {satellite.id: satellite for satellite in everyone}
    truth: FloatArray = equations.prior.mean.copy()
    t_s = (reference.epoch_ms - settings.start_gps_ms) / 1000.0
    for number, identity in enumerate(equations.satellites):
        deviation = by_id[identity].path.states_gcrf(t_s)[0] - reference.nodes.state[reference.epoch_node]
        truth[state_indices(number)[:6]] = deviation
    first = STATE_SIZE * len(equations.satellites)
    for number, (one, other) in enumerate(equations.pairs):
        bias_m = {link.partner_id: link.delay_bias_m for link in links(settings, by_id[one], everyone)}
        truth[first + number] = bias_m[other]
    return JudgedSolution(
        equations,
        np.array([hypothesis.parameters for hypothesis in solution.hypotheses]),
        np.array([hypothesis.covariance for hypothesis in solution.hypotheses]),
        truth,
    )


SAMPLES: Final = 2_000
_STUDENT_DOF: Final = 8
"""Degrees of freedom of Student's t distribution, whose tails are longer than the posterior's."""
_STEP: Final = 0.25
"""Distance of neighbouring points of the ridge in standard deviations."""
_STEPS: Final = 60
_END: Final = 16.0
"""Cost above the minimum at which the ridge ends."""
_UNIFORM_SHARE: Final = 0.2
"""Share of the samples proposed uniformly along the ridge."""
_ACROSS_SCALE: Final = 1.3
"""Factor on the variances across the ridge."""
_ALONG_SCALE: Final = 4.0
"""Variance along the ridge in squared distances of neighbouring points."""
_LEAST_EIGENVALUE: Final = 1e-13
"""Minimum eigenvalue of a correlation matrix; less is rounding."""
_RESAMPLED: Final = 100
"""Number of samples, drawn by weight, from which least squares start."""
_SAME_MARGIN: Final = 1.0
"""Hypotheses whose squared Mahalanobis distances differ by less are equally near."""


class ExpectedNees(NamedTuple):
    """Distribution of a hypothesis's NEES over the posterior samples from which least squares lead to it."""

    mean: float
    """Mean of the NEES"""
    variance: float
    """Variance of the NEES"""
    below: float
    """Share of samples with a smaller NEES than the truth"""


def expected_nees(judged: JudgedSolution, hypothesis: int) -> ExpectedNees:
    """Return the expected NEES of a hypothesis that contains the truth.

    Args:
        judged: Problem of one partner, from `JudgedSolution.alone`.
        hypothesis: Index of the hypothesis.
    """
    parameters = judged.hypotheses[hypothesis]
    cost_function = CostFunction(judged.equations, parameters[:6])
    points = ridge_points(cost_function, cost_function.points_at(parameters[None]))
    samples, weight = importance_samples(judged.equations, points)
    # Systematic resampling: each sample is drawn as often as its weight demands.
    quantiles = (np.arange(_RESAMPLED) + 0.5) / _RESAMPLED
    drawn = samples[np.minimum(np.searchsorted(np.cumsum(weight), quantiles), len(weight) - 1)]
    distance = distances_after_minimisation(judged, drawn)[:, 0]
    leads_to_it = distance[:, hypothesis] <= distance.min(axis=1) + _SAME_MARGIN
    found = _nees(judged, hypothesis, drawn[leads_to_it])
    truth = _nees(judged, hypothesis, judged.truth[None])
    return ExpectedNees(float(found.mean()), float(found.var()), float((found < truth).mean()))


def ridge_points(cost_function: CostFunction, lowest: RidgePoints) -> RidgePoints:
    """Return points along a whole ridge, from one end to the other."""
    points = [lowest]
    for sign in (-1.0, 1.0):
        current = lowest._replace(coordinate=sign * lowest.coordinate)
        for _ in range(_STEPS):
            current = cost_function.follow(
                current, _STEP * np.minimum(np.sqrt(current.variance()), np.sqrt(lowest.variance()))
            )
            points.append(current)
            if current.cost[0] > lowest.cost[0] + _END:
                break
    return RidgePoints(*(np.concatenate(parts) for parts in zip(*points, strict=True)))


def importance_samples(equations: Equations, points: RidgePoints) -> tuple[FloatArray, FloatArray]:
    """Return samples (n, u) about the points of a ridge, and their weights, (n,), which sum to one."""
    draw = np.random.default_rng(1)
    share = np.exp(0.5 * (points.cost.min() - points.cost) + points.log_volume - points.log_volume.max())
    share = (1.0 - _UNIFORM_SHARE) * share / share.sum() + _UNIFORM_SHARE / len(share)
    tangent, variance = points.tangent(), points.variance()[:, None, None]
    along = tangent[:, :, None] * tangent[:, None]
    roots = _roots(_ACROSS_SCALE * (points.covariance - variance * along) + _ALONG_SCALE * _STEP**2 * variance * along)
    size = points.parameters.shape[1]
    chosen = draw.choice(len(share), SAMPLES, p=share)
    scale = np.sqrt(_STUDENT_DOF / draw.chisquare(_STUDENT_DOF, SAMPLES))
    samples = points.parameters[chosen] + scale[:, None] * np.einsum(
        "nij,nj->ni", roots[chosen], draw.standard_normal((SAMPLES, size))
    )
    standardised = np.einsum("kij,nkj->nki", np.linalg.inv(roots), samples[:, None] - points.parameters)
    density = np.log1p((standardised**2).sum(axis=2) / _STUDENT_DOF) * (-0.5 * (_STUDENT_DOF + size))
    density -= np.linalg.slogdet(roots)[1]
    log_proposal = np.log((share * np.exp(density - density.max())).sum(axis=1))
    log_likelihood = -0.5 * equations.fit(samples).cost
    weight = np.exp(log_likelihood - log_proposal - (log_likelihood - log_proposal).max())
    return samples, weight / weight.sum()


def _roots(matrices: FloatArray) -> FloatArray:
    """Return roots of covariances (k, u, u) whose parameters have different units, (k, u, u)."""
    unit = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(matrices / unit[:, :, None] / unit[:, None, :])
    roots: FloatArray = unit[:, :, None] * vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE))[:, None]
    return roots


def _nees(judged: JudgedSolution, hypothesis: int, truths: FloatArray) -> FloatArray:
    """Return the NEES of a hypothesis's relative elements if each of `truths` (n, u) were the truth, (n,)."""
    relative, estimate = d_relative_d_parameters(judged.equations, 1), judged.hypotheses[hypothesis]
    reference = judged.equations.dynamics.reference
    own = reference.nodes.state[reference.epoch_node] + estimate[:6]
    covariance = relative @ judged.covariances[hypothesis] @ relative.T
    return elements_nees(own, own + relative @ estimate, own + truths @ relative.T, covariance)
