import pytest

from pygnc.estimators.orbit.settings import (
    ArcSettings,
    MeasurementSettings,
    OrbitSettings,
    attainable_accuracy_m,
    model_for,
)


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
def test_the_rule_of_thumb_is_near_published_bounds(
    velocity_sigma_mps: float, interval_s: float, arc_h: float, bound_m: float
) -> None:
    """Cramer-Rao bounds for state and drag at 500 km, computed elsewhere with another propagator."""
    accuracy_m = attainable_accuracy_m(10.0, velocity_sigma_mps, 3600.0 * arc_h, interval_s)
    assert accuracy_m == pytest.approx(bound_m, rel=0.15)


def test_better_fixes_and_longer_arcs_get_more_physics() -> None:
    models = [model_for(accuracy_m) for accuracy_m in (10.0, 3.0, 1.5, 0.9, 0.1, 0.0)]
    degrees = [model.gravity_degree for model in models]
    assert degrees == sorted(degrees)
    assert degrees[0] < degrees[-1]
    assert models[0].step_max_ms > models[-1].step_max_ms
    assert models[-1].minor_forces
    assert not models[0].minor_forces


def test_the_settings_choose_by_declared_noise_and_arc() -> None:
    assert OrbitSettings().force_model.gravity_degree == 70
    coarse = MeasurementSettings(position_sigma_default_m=30.0, velocity_sigma_default_mps=0.03)
    assert OrbitSettings(measurement=coarse, arc=ArcSettings(1_800.0)).force_model.gravity_degree == 20
    assert OrbitSettings(arc=ArcSettings(fix_interval_s=60.0)).force_model.gravity_degree == 50
    assert OrbitSettings(gravity_degree=33).force_model.gravity_degree == 33
