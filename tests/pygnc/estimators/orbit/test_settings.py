from collections.abc import Callable

import pytest

from pygnc.estimators.orbit.settings import (
    MeasurementSettings,
    OrbitSettings,
    ProcessNoiseSettings,
    ScreeningSettings,
    SpacecraftSettings,
    StartSettings,
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
def test_impossible_settings_are_refused_by_name(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()
