from collections.abc import Callable

import pytest

from pygnc.estimators.orbit.settings import (
    ArcSettings,
    ManoeuvreSettings,
    MeasurementSettings,
    OrbitSettings,
    ScreeningSettings,
    SpacecraftSettings,
    StartSettings,
)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: ManoeuvreSettings(delta_v_min_mps=3.0), "delta_v_min_mps must be at most"),
        (lambda: SpacecraftSettings(mass_kg=0.1, area_m2=3.0), "area_m2 / mass_kg must be at most 20 m2/kg, not 30"),
        (lambda: ScreeningSettings(radius_min_m=1e7), "radius_min_m"),
        (lambda: ScreeningSettings(speed_max_mps=5_000.0), "speed_max_mps"),
        (lambda: StartSettings(restart_fixes=6), "restart_fixes"),
    ],
)
def test_names_settings_that_contradict_each_other(make: Callable[[], object], name: str) -> None:
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
