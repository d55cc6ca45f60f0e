"""Integer least squares against all integers nearby, a published example, and another implementation."""

from itertools import product

import numpy as np
import pytest

from pygnc_ground.gnss.integers import decorrelate, resolve, search, success_rate
from pygnc_ground.gnss.measurements import FloatArray


def random_problem(rng: np.random.Generator, size: int, sigma: float) -> tuple[FloatArray, FloatArray]:
    """Return real ambiguities and a covariance with strong correlations."""
    mix = rng.normal(size=(size, size)) + 3.0 * rng.normal(size=(size, 1))
    covariance = sigma**2 * (mix @ mix.T + 0.01 * np.eye(size))
    return rng.uniform(-50.0, 50.0, size), covariance


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nearest_integers_are_those_among_all_nearby(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(20):
        real, covariance = random_problem(rng, size, 0.5)
        found = decorrelate(covariance)
        best = search(found.transform.T @ real, found.lower, found.variances)
        assert best is not None
        inverse = np.linalg.inv(covariance)
        around = np.array(list(product(range(-18, 19), repeat=size))) + np.rint(real)
        distances = np.einsum("ni,ij,nj->n", around - real, inverse, around - real)
        order = np.argsort(distances)[:2]
        assert best.distances == pytest.approx(distances[order], rel=1e-6)
        assert np.linalg.inv(found.transform.T) @ best.integers[0] == pytest.approx(around[order[0]])


@pytest.mark.parametrize("size", [2, 10, 60])
def test_decorrelation_keeps_volume_and_covariance(size: int) -> None:
    _, covariance = random_problem(np.random.default_rng(7), size, 0.3)
    found = decorrelate(covariance)
    again = found.lower.T @ (found.variances[:, None] * found.lower)
    assert again == pytest.approx(found.transform.T @ covariance @ found.transform, rel=1e-6, abs=1e-9)
    assert abs(np.linalg.det(found.transform.astype(np.float64))) == pytest.approx(1.0)
    assert np.abs(np.tril(found.lower, -1)).max() <= 0.5 + 1e-9


def test_published_example_with_three_ambiguities() -> None:
    """De Jonge & Tiberius 1996, section 3.7 and 4.10: the two best integers and their distances."""
    covariance = np.array([[6.290, 5.978, 0.544], [5.978, 6.292, 2.340], [0.544, 2.340, 6.288]])
    real = np.array([5.450, 3.100, 2.970])
    found = decorrelate(covariance)
    best = search(found.transform.T @ real, found.lower, found.variances)
    assert best is not None
    assert pytest.approx(np.array([[5, 3, 4], [6, 4, 4]])) == (np.linalg.inv(found.transform.T) @ best.integers.T).T
    assert best.distances == pytest.approx([0.2183, 0.3073], abs=1e-3)


def test_twelve_ambiguities_as_by_rtklib() -> None:
    """Result of lambda() in RTKLIB 2.4.2 for the same problem; 200 others of 2 to 15 ambiguities agreed as well."""
    real, covariance = random_problem(np.random.default_rng(39), 12, 0.12)
    found = decorrelate(covariance)
    best = search(found.transform.T @ real, found.lower, found.variances)
    assert best is not None
    assert best.distances == pytest.approx([12.4079063, 13.36380522], rel=1e-8)
    assert pytest.approx(
        np.array([
            [49, -39, 49, -31, -45, -47, -30, -43, -42, 5, 16, -37],
            [46, -39, 48, -30, -45, -48, -30, -43, -40, 3, 15, -36],
        ])
    ) == np.linalg.solve(found.transform.T.astype(float), best.integers.T.astype(float)).T  # fmt: skip


def test_rounding_succeeds_as_often_as_stated() -> None:
    assert success_rate(np.array([0.25])) == pytest.approx(0.6827, abs=1e-4)
    assert success_rate(np.array([0.25, 0.25])) == pytest.approx(0.6827**2, abs=1e-4)


def test_integers_are_fixed_only_if_they_are_certain() -> None:
    rng, wrong, fixed = np.random.default_rng(3), 0, 0
    for _ in range(300):
        true = rng.integers(-20, 20, 8)
        mix = rng.normal(size=(8, 8))
        covariance = 0.002 * rng.uniform(0.1, 3.0) * (mix @ mix.T + 0.1 * np.eye(8))
        real = true + np.linalg.cholesky(covariance) @ rng.standard_normal(8)
        found = resolve(real, covariance)
        wrong += int((found.combinations.T @ true != found.integers).sum())
        fixed += len(found.integers)
    assert wrong == 0
    assert fixed > 800


def test_ambiguities_that_fit_no_integers_are_not_fixed() -> None:
    covariance = 1e-4 * np.eye(4)
    assert len(resolve(np.array([1.0, 2.0, 3.0, 4.0]), covariance).integers) == 4
    assert not len(resolve(np.array([1.5, 2.5, 3.5, 4.5]), covariance).integers)
    assert not len(resolve(np.array([1.0, 2.0]), np.eye(2)).integers)
