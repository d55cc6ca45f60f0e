import math

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.orbit.process_noise import (
    decay,
    omitted_gravity_density,
    sqrt_process_noise,
    steady_sigma,
)
from pygnc.estimators.orbit.settings import ProcessNoiseSettings
from tests.pygnc.environment.authority import brahe

NOISE = ProcessNoiseSettings(
    drag_log_sigma=0.5,
    drag_log_time_s=7_200.0,
    density_variation=0.3,
    empirical_sigma_mps2=(1e-7, 2e-7, 3e-7),
    empirical_time_s=300.0,
)
DIRECTIONS = np.array([[1e-6, 0.6, -0.8, 0.0], [-2e-6, 0.8, 0.6, 0.0], [1e-6, 0.0, 0.0, 1.0]])


def integrated(step_s: float, white_density: float, factor: float) -> Array:
    """The covariance by integrating its differential equation, P' = F P + P F' + G."""
    times = np.array([NOISE.drag_log_time_s, *[NOISE.empirical_time_s] * 3])
    sigma = np.array([NOISE.drag_log_sigma, *(factor * np.array(NOISE.empirical_sigma_mps2))])
    sigma[2] = math.hypot(sigma[2], NOISE.density_variation * float(np.linalg.norm(DIRECTIONS[:, 0])))
    f = np.zeros((10, 10))
    f[:3, 3:6] = np.eye(3)
    f[3:6, 6:] = DIRECTIONS
    f[6:, 6:] = -np.diag(1.0 / times)
    g = np.zeros((10, 10))
    g[3:6, 3:6] = white_density * np.eye(3)
    g[6:, 6:] = np.diag(2.0 * sigma**2 / times)
    p, steps = np.zeros((10, 10)), 400
    h = step_s / steps

    def slope(p: Array) -> Array:
        rate: Array = f.dot(p) + p.dot(f.T) + g
        return rate

    for _ in range(steps):
        k1 = slope(p)
        k2 = slope(p + 0.5 * h * k1)
        k3 = slope(p + 0.5 * h * k2)
        p = p + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + slope(p + h * k3))
    return p


@pytest.mark.parametrize("step_s", [0.05, 1.0, 25.0, 30.0])
@pytest.mark.parametrize("factor", [1.0, 50.0])
def test_the_covariance_is_the_integral_of_the_noise(step_s: float, factor: float) -> None:
    root = sqrt_process_noise(NOISE, step_s, DIRECTIONS, 1e-12, factor)
    expected = integrated(step_s, 1e-12, factor)
    scale = np.sqrt(np.diagonal(expected))
    np.testing.assert_allclose(root.dot(root.T) / np.outer(scale, scale), expected / np.outer(scale, scale), atol=1e-4)


def test_undisturbed_processes_decay_and_keep_their_steady_sigma() -> None:
    left = decay(NOISE, 300.0)
    np.testing.assert_allclose(left, [math.exp(-300 / 7200), *[math.exp(-1.0)] * 3])
    quiet = ProcessNoiseSettings(density_variation=0.0)
    root = sqrt_process_noise(quiet, 30.0, DIRECTIONS, 0.0, 1.0)[6:]
    fed = np.diagonal(root.dot(root.T))
    np.testing.assert_allclose((decay(quiet, 30.0) * steady_sigma(quiet)) ** 2 + fed, steady_sigma(quiet) ** 2)


@pytest.mark.parametrize("degree", [20, 50])
@pytest.mark.parametrize("height_m", [400e3, 600e3])
def test_the_omitted_field_has_the_size_it_has_in_egm2008(degree: int, height_m: float) -> None:
    """Noise density over twice the correlation time is the variance of the field between this degree and 120."""
    model = brahe.GravityModel.from_model_type(brahe.GravityModelType.EGM2008_120)
    radius_m = brahe.R_EARTH + height_m
    directions = np.random.default_rng(5).normal(size=(200, 3))
    omitted = [
        brahe.accel_gravity_spherical_harmonics(position, np.eye(3), model, 120, 120)
        - brahe.accel_gravity_spherical_harmonics(position, np.eye(3), model, degree, degree)
        for position in radius_m * directions / np.linalg.norm(directions, axis=1)[:, None]
    ]
    mean_motion = math.sqrt(brahe.GM_EARTH / radius_m**3)
    leading_degree = degree + 5
    density = float(np.square(omitted).mean()) * 2.0 / (leading_degree * mean_motion)
    assert 0.5 < omitted_gravity_density(degree, radius_m) / density < 3.0
