"""Normal equations against scipy's densities and against simulated forces of known size."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import multivariate_normal

from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.arc import choose_factors, solve
from pygnc_ground.orbit.batch.forces import FIRST_NODE, STATE, ArcParameters, Factors, Prior

FloatArray = npt.NDArray[np.float64]


def normal_equations(rows: FloatArray, measured: FloatArray) -> tuple[FloatArray, FloatArray]:
    return rows.T @ rows, rows.T @ measured


def proper_prior(sigma: float, size: int) -> Prior:
    return Prior(np.full(size, 0.3), np.eye(size) / sigma**2, -2.0 * size * np.log(sigma))


def test_evidence_ratio_is_the_ratio_of_measurement_probabilities() -> None:
    random = np.random.default_rng(4)
    rows, measured = random.normal(size=(12, 4)), random.normal(size=12)
    normal = normal_equations(rows, measured)

    def log_probability(sigma: float) -> float:
        covariance = sigma**2 * rows @ rows.T + np.eye(12)
        return float(multivariate_normal.logpdf(measured, rows @ np.full(4, 0.3), covariance))

    found = [solve(normal, proper_prior(sigma, 4), np.zeros(4)).log_evidence for sigma in (0.5, 2.0)]
    assert found[1] - found[0] == pytest.approx(log_probability(2.0) - log_probability(0.5), rel=1e-9)


def test_the_solution_is_the_conditional_normal_distribution() -> None:
    random = np.random.default_rng(5)
    rows, measured = random.normal(size=(12, 4)), random.normal(size=12)
    solution = solve(normal_equations(rows, measured), proper_prior(0.5, 4), np.zeros(4))
    gain = 0.25 * rows.T @ np.linalg.inv(0.25 * rows @ rows.T + np.eye(12))
    mean = 0.3 + gain @ (measured - rows @ np.full(4, 0.3))
    np.testing.assert_allclose(solution.correction, mean, rtol=1e-10)
    np.testing.assert_allclose(solution.covariance(), 0.25 * (np.eye(4) - gain @ rows), atol=1e-12)


def test_corrections_count_from_the_present_values() -> None:
    random = np.random.default_rng(6)
    rows, measured, present = random.normal(size=(12, 4)), random.normal(size=12), random.normal(size=4)
    whole = solve(normal_equations(rows, measured), proper_prior(0.5, 4), np.zeros(4))
    rest = solve(normal_equations(rows, measured - rows @ present), proper_prior(0.5, 4), present)
    np.testing.assert_allclose(present + rest.correction, whole.correction, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("power", [-1.0, 0.0, 1.0, 3.0])
def test_chooses_the_sigmas_of_the_forces_by_evidence(power: float) -> None:
    settings, unknowns = OrbitSettings(), ArcParameters(segments=90)
    true = Factors(empirical=10.0**power)
    information = unknowns.prior(settings, true).information[FIRST_NODE:, FIRST_NODE:]
    random = np.random.default_rng(7)
    drawn = np.zeros(unknowns.count)
    drawn[FIRST_NODE:] = np.linalg.solve(np.linalg.cholesky(information).T, random.normal(size=len(information)))
    precision = np.concatenate((np.full(7, 1.0), np.tile([10.0, 1e9, 1e9, 1e9], unknowns.nodes)))
    normal = normal_equations(np.diag(precision), precision * drawn + random.normal(size=unknowns.count))
    values = np.zeros(unknowns.count)
    found, _ = choose_factors(normal, unknowns, settings, values, None)
    assert found.empirical == pytest.approx(true.empirical, rel=2.2)
    assert not values[STATE].any()
