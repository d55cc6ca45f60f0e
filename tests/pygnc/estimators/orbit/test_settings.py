from collections.abc import Callable

import pytest

from pygnc.estimators.orbit.settings import (
    ArcSettings,
    ManoeuvreSettings,
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
        (lambda: ManoeuvreSettings(delta_v_max_mps=0.0), "delta_v_max_mps"),
        (lambda: ManoeuvreSettings(delta_v_min_mps=3.0), "delta_v_min_mps must be at most"),
        (lambda: SpacecraftSettings(mass_kg=0.0), "mass_kg"),
        (lambda: SpacecraftSettings(area_m2=-1.0), "area_m2"),
        (lambda: ScreeningSettings(radius_min_m=1e7), "radius_min_m"),
        (lambda: ScreeningSettings(radius_min_m=6.1e6), "6.2e[+]06 to 5e[+]07"),
        (lambda: ScreeningSettings(radius_max_m=6e7), "6.2e[+]06 to 5e[+]07"),
        (lambda: ScreeningSettings(speed_min_mps=-1.0), "speed_min_mps"),
        (lambda: ScreeningSettings(speed_max_mps=5_000.0), "speed_max_mps"),
        (lambda: ProcessNoiseSettings(drag_log_sigma=0.0), "drag_log_sigma"),
        (lambda: ProcessNoiseSettings(empirical_sigma_mps2=(1e-7, 0.0, 1e-7)), "empirical_sigma_mps2"),
        (lambda: ProcessNoiseSettings(empirical_factor_max=0.5), "empirical_factor_max"),
        (lambda: ProcessNoiseSettings(empirical_time_s=float("nan")), "empirical_time_s"),
        (lambda: ProcessNoiseSettings(unknown_force_mps2=0.0), "unknown_force_mps2"),
        (lambda: MeasurementSettings(gate=-1.0), "gate"),
        (lambda: MeasurementSettings(noise_scale_min=2.0), "noise_scale_min"),
        (lambda: StartSettings(restart_fixes=6), "restart_fixes"),
        (lambda: StartSettings(agreement_sigma=0.0), "agreement_sigma"),
        (lambda: StartSettings(span_max_s=0.0), "span_max_s"),
    ],
)
def test_names_impossible_settings(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()


def test_the_settings_choose_by_declared_noise_and_arc() -> None:
    assert OrbitSettings().force_model.gravity_degree == 70
    coarse = MeasurementSettings(position_sigma_default_m=30.0, velocity_sigma_default_mps=0.03)
    assert OrbitSettings(measurement=coarse, arc=ArcSettings(1_800.0)).force_model.gravity_degree == 20
    assert OrbitSettings(arc=ArcSettings(fix_interval_s=60.0)).force_model.gravity_degree == 50
    assert OrbitSettings(gravity_degree=33).force_model.gravity_degree == 33


@pytest.mark.parametrize(
    ("radius_max_m", "slower_mps", "slowest_mps", "fastest_mps", "faster_mps"),
    [
        (9.0e6, 5_000.0, 5_500.0, 8_900.0, 9_500.0),
        # A geostationary satellite is at rest; a perigee of 6478 km below that radius is passed at 10.3 km/s.
        (4.3e7, -1.0, 0.0, 10_700.0, 11_500.0),
    ],
)
def test_limits_of_the_speed_follow_from_the_radii(
    radius_max_m: float, slower_mps: float, slowest_mps: float, fastest_mps: float, faster_mps: float
) -> None:
    low_mps, high_mps = ScreeningSettings(radius_max_m=radius_max_m).speed_limits_mps
    assert slower_mps < low_mps <= slowest_mps
    assert fastest_mps <= high_mps < faster_mps


def test_given_limits_of_the_speed_are_kept() -> None:
    assert ScreeningSettings(speed_min_mps=0.0, speed_max_mps=12_000.0).speed_limits_mps == (0.0, 12_000.0)
