import math

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.orbit.force_model import ForceModel, attainable_accuracy_m, degree_at, select_force_model

FULL = ForceModel(70, 30_000, minor_forces=False)


@pytest.mark.parametrize(
    ("velocity_sigma_mps", "interval_s", "arc_h", "bound_m"),
    [
        (0.01, 25.0, 3.0, 0.918),
        (0.01, 60.0, 3.0, 1.42),
        (0.01, 300.0, 3.0, 3.14),
        (0.01, 25.0, 12.0, 0.456),
        (0.001, 25.0, 3.0, 0.139),
        (0.001, 25.0, 12.0, 0.069),
    ],
)
def test_attainable_accuracy_is_near_published_bounds(
    velocity_sigma_mps: float, interval_s: float, arc_h: float, bound_m: float
) -> None:
    """Cramer-Rao bounds for state and drag at 500 km, computed elsewhere with another propagator."""
    accuracy_m = attainable_accuracy_m(10.0, velocity_sigma_mps, 3600.0 * arc_h, interval_s)
    assert accuracy_m == pytest.approx(bound_m, rel=0.15)


def test_better_fixes_and_longer_arcs_get_more_physics() -> None:
    models = [select_force_model(accuracy_m) for accuracy_m in (10.0, 3.0, 1.5, 0.9, 0.1, 0.0)]
    degrees = [model.gravity_degree for model in models]
    assert degrees == sorted(degrees)
    assert degrees[0] < degrees[-1]
    assert models[0].step_max_ms > models[-1].step_max_ms
    assert models[-1].minor_forces
    assert not models[0].minor_forces


def at_apsis(radius_m: float, opposite_m: float) -> tuple[Array, Array]:
    """Position and velocity at one end of an ellipse whose other end is at a radius of `opposite_m`."""
    speed_mps = math.sqrt(2.0 * GM_EARTH_M3_S2 * (1.0 / radius_m - 1.0 / (radius_m + opposite_m)))
    return np.array((radius_m, 0.0, 0.0)), np.array((0.0, speed_mps, 0.0))


@pytest.mark.parametrize("altitude_m", [200e3, 500e3, 950e3])
def test_low_orbits_keep_the_model(altitude_m: float) -> None:
    radius_m = EARTH_RADIUS_M + altitude_m
    assert FULL.at(*at_apsis(radius_m, radius_m)) is FULL


def test_high_orbits_take_longer_steps_with_fewer_degrees_and_all_forces() -> None:
    radii_m = np.geomspace(7.5e6, 4.3e7, 20).tolist()
    models = [FULL.at(*at_apsis(radius_m, radius_m)) for radius_m in radii_m]
    degrees = [model.gravity_degree for model in models]
    steps_ms = [model.step_max_ms for model in models]
    assert degrees == sorted(degrees, reverse=True)
    assert steps_ms == sorted(steps_ms)
    assert (degrees[-1], steps_ms[-1]) == (20, 300_000)
    assert all(model.minor_forces for model in models)


def test_steps_are_shorter_at_a_fast_perigee() -> None:
    perigee = FULL.at(*at_apsis(EARTH_RADIUS_M + 300e3, 38e6))
    assert perigee.gravity_degree == 70
    assert 20_000 <= perigee.step_max_ms < 30_000
    assert perigee.minor_forces


def test_the_degree_never_exceeds_the_full_one() -> None:
    assert [degree_at(radius_m, 8) for radius_m in (6.7e6, 8e6, 4.2e7)] == [8, 8, 8]
    assert degree_at(8e6, 70) == pytest.approx(70 * math.log(7.378e6 / 6.378e6) / math.log(8e6 / 6.378e6), abs=1.0)
