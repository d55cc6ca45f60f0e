import numpy as np
import pytest

from pygnc.estimators.kalman import innovation_covariance, triangular, update

RANDOM = np.random.default_rng(3)
ROOT = np.tril(RANDOM.normal(size=(10, 10))) * np.logspace(4, -7, 10)[:, None]
PARTIALS = RANDOM.normal(size=(6, 10)) / np.logspace(4, -7, 10)
SIGMA = np.array([10.0, 10.0, 20.0, 0.1, 0.2, 0.3])
STATE = RANDOM.normal(size=10)
RESIDUAL = RANDOM.normal(size=6)


@pytest.mark.parametrize("columns", [28, 7])
def test_triangular_keeps_the_product(columns: int) -> None:
    wide = RANDOM.normal(size=(10, columns))
    lower = triangular(wide)
    np.testing.assert_allclose(lower.dot(lower.T), wide.dot(wide.T), atol=1e-12)
    assert lower.shape == (10, min(columns, 10))
    assert (np.triu(lower, 1) == 0.0).all()
    assert lower.flags.c_contiguous


def test_update_agrees_with_the_textbook() -> None:
    """Kalman gain and Joseph's form (Bucy & Joseph, 1968)."""
    covariance = ROOT.dot(ROOT.T)
    innovation = PARTIALS.dot(covariance).dot(PARTIALS.T) + np.diag(SIGMA**2)
    gain = covariance.dot(PARTIALS.T).dot(np.linalg.inv(innovation))
    left = np.eye(10) - gain.dot(PARTIALS)
    joseph = left.dot(covariance).dot(left.T) + gain.dot(np.diag(SIGMA**2)).dot(gain.T)

    x, root, nis = update(STATE, ROOT, RESIDUAL, PARTIALS, SIGMA)
    scale = np.sqrt(np.diagonal(joseph))
    np.testing.assert_allclose((x - STATE - gain.dot(RESIDUAL)) / scale, 0.0, atol=1e-9)
    np.testing.assert_allclose((root.dot(root.T) - joseph) / np.outer(scale, scale), 0.0, atol=1e-9)
    assert nis == pytest.approx(RESIDUAL.dot(np.linalg.solve(innovation, RESIDUAL)))
    np.testing.assert_allclose(innovation_covariance(ROOT, PARTIALS, SIGMA), innovation, rtol=1e-12)


def test_a_measurement_far_better_than_the_state_keeps_the_covariance_positive() -> None:
    root = 1e8 * np.eye(10)
    _, posterior, _ = update(STATE, root, RESIDUAL, np.eye(6, 10), np.full(6, 1e-4))
    np.testing.assert_allclose(np.abs(np.diagonal(posterior)), [1e-4] * 6 + [1e8] * 4, rtol=1e-3)
