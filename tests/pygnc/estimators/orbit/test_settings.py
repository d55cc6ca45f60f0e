from collections.abc import Callable

import pytest

from pygnc.estimators.orbit.settings import (
    ArcSettings,
    MeasurementSettings,
    OrbitSettings,
    ProcessNoiseSettings,
    ScreeningSettings,
    SpacecraftSettings,
    StartSettings,
    attainable_accuracy_m,
    select_force_model,
)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: OrbitSettings(gravity_degree=1), "gravity_degree"),
        (lambda: OrbitSettings(gravity_degree=71), "gravity_degree"),
        (lambda: SpacecraftSettings(mass_kg=0.0), "mass_kg"),
        (lambda: SpacecraftSettings(area_m2=-1.0), "area_m2"),
        (lambda: ScreeningSettings(radius_min_m=1e7), "radius_min_m"),
        (lambda: ProcessNoiseSettings(drag_log_sigma=0.0), "drag_log_sigma"),
        (lambda: ProcessNoiseSettings(empirical_sigma_mps2=(1e-7, 0.0, 1e-7)), "empirical_sigma_mps2"),
        (lambda: ProcessNoiseSettings(empirical_factor_max=0.5), "empirical_factor_max"),
        (lambda: ProcessNoiseSettings(empirical_time_s=float("nan")), "empirical_time_s"),
        (lambda: MeasurementSettings(gate=-1.0), "gate"),
        (lambda: MeasurementSettings(noise_scale_min=2.0), "noise_scale_min"),
        (lambda: StartSettings(restart_fixes=6), "restart_fixes"),
        (lambda: StartSettings(span_max_s=0.0), "span_max_s"),
    ],
)
def test_names_impossible_settings(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()


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


def test_the_settings_choose_by_declared_noise_and_arc() -> None:
    assert OrbitSettings().force_model.gravity_degree == 70
    coarse = MeasurementSettings(position_sigma_default_m=30.0, velocity_sigma_default_mps=0.03)
    assert OrbitSettings(measurement=coarse, arc=ArcSettings(1_800.0)).force_model.gravity_degree == 20
    assert OrbitSettings(arc=ArcSettings(fix_interval_s=60.0)).force_model.gravity_degree == 50
    assert OrbitSettings(gravity_degree=33).force_model.gravity_degree == 33
