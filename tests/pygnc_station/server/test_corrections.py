import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_station.server.corrections import HIGHEST_HUMIDITY_PERCENT, Correction, volume_growth
from pygnc_station.server_settings import Calibration, GadgetSettings
from pygnc_station.store.calibrations import DatedCalibration
from pygnc_station.store.readings import Column, Layout

LAYOUT = Layout("PM", (Column("pm_2_5_ug_m3", "µg/m³"), Column("humidity_percent", "%"), Column("temp", "°C")))


@pytest.mark.parametrize(
    ("humidity_percent", "kappa", "expected"),
    [
        (0.0, 0.3, 1.0),
        (50.0, 0.3, 1.3),
        (80.0, 0.3, 2.2),
        (90.0, 0.53, 5.77),
        (95.0, 0.3, 6.7),
        (100.0, 0.3, 6.7),
        (-5.0, 0.3, 1.0),
        (80.0, 0.0, 1.0),
    ],
)
def test_volume_growth(humidity_percent: float, kappa: float, expected: float) -> None:
    assert volume_growth(humidity_percent, kappa) == pytest.approx(expected)


def test_ammonium_sulfate_grows_by_the_published_diameter() -> None:
    # Petters and Kreidenweis (2007) state kappa = 0.53 for growth: at 90 %, the diameter grows by a factor of 1.79.
    assert volume_growth(90.0, 0.53) ** (1 / 3) == pytest.approx(1.79, abs=0.005)


@given(st.floats(0, HIGHEST_HUMIDITY_PERCENT), st.floats(0, HIGHEST_HUMIDITY_PERCENT), st.floats(0, 2))
def test_growth_rises_with_the_humidity(one: float, other: float, kappa: float) -> None:
    low, high = sorted((one, other))
    assert 1 <= volume_growth(low, kappa) <= volume_growth(high, kappa)


def test_calibration_is_linear() -> None:
    assert Correction("", 0.0, Calibration(gain=0.9, offset=1.5))(10.0, None, 0) == pytest.approx(10.5)
    assert Correction("", 0.0, None)(10.0, None, 0) == 10.0


def test_water_is_removed_before_the_calibration() -> None:
    settings = GadgetSettings(calibration={"pm_2_5_ug_m3": Calibration(gain=2.0, offset=1.0)})
    correct = Correction.of(LAYOUT, "pm_2_5_ug_m3", settings, 0.3)
    assert correct is not None
    assert correct(26.0, 50.0, 0) == pytest.approx(2 * 26 / 1.3 + 1)
    assert correct(26.0, None, 0) == pytest.approx(53.0)


def test_kappa_of_the_gadget_comes_first() -> None:
    correct = Correction.of(LAYOUT, "pm_2_5_ug_m3", GadgetSettings(kappa=0.5), 0.3)
    assert correct is not None
    assert correct(15.0, 50.0, 0) == pytest.approx(10.0)
    assert Correction.of(LAYOUT, "pm_2_5_ug_m3", GadgetSettings(kappa=0.0), 0.3) is None


def test_a_dated_calibration_replaces_the_settings_from_its_time_on() -> None:
    settings = GadgetSettings(calibration={"pm_2_5_ug_m3": Calibration(gain=2.0)})
    dated = (DatedCalibration(1000, 0.5, 1.0, 0.0), DatedCalibration(2000, 0.8, 0.0, 1.0))
    correct = Correction.of(LAYOUT, "pm_2_5_ug_m3", settings, 0.3, dated)
    assert correct is not None
    assert correct(13.0, 50.0, 999) == pytest.approx(20.0)
    assert correct(13.0, 50.0, 1000) == pytest.approx(7.5)
    assert correct(13.0, 50.0, 2000) == pytest.approx(5.2)
    assert correct(13.0, None, 2000) == pytest.approx(10.4)


def test_a_dated_calibration_corrects_a_value_without_settings() -> None:
    correct = Correction.of(LAYOUT, "temp", GadgetSettings(), 0.0, (DatedCalibration(1000, 1.0, -0.5, 0.0),))
    assert correct is not None
    assert correct(20.0, 50.0, 0) == 20.0
    assert correct(20.0, 50.0, 1000) == 19.5


def test_only_concentrations_of_mass_are_corrected_for_humidity() -> None:
    assert Correction.of(LAYOUT, "temp", GadgetSettings(), 0.3) is None
    calibration = {"temp": Calibration(offset=-1.0)}
    correct = Correction.of(LAYOUT, "temp", GadgetSettings(calibration=calibration), 0.3)
    assert correct is not None
    assert correct(20.0, 80.0, 0) == 19.0
    without = Layout("PM", (Column("pm_2_5_ug_m3", "µg/m³"),))
    assert Correction.of(without, "pm_2_5_ug_m3", GadgetSettings(), 0.3) is None
