import sys

import numpy as np
import pytest
from skyfield.sgp4lib import TEME_to_ITRF

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.time_scales import GPS_EPOCH_JULIAN_DATE
from pygnc_ground.truth.frames import Frame, _bundled, earth_orientation, itrf_states
from tests.pygnc_ground.truth import orbits

T_S = np.arange(0.0, 7000.0, 350.0)


def test_gcrf_becomes_itrf_as_by_brahe() -> None:
    table = earth_orientation(orbits.START_GPS_MS)
    orbits.earth_data()
    for day in range(0, 4000, 250):
        gps_ns = np.array([orbits.START_GPS_MS - day * 86_400_000 + 43_210_987]) * 1_000_000
        epoch = orbits.brahe.Epoch.from_date(1980, 1, 6, orbits.brahe.TimeSystem.GPS) + float(gps_ns[0] * 1e-9)
        state = orbits.circular([9.0 * day])
        found = itrf_states(Frame.GCRF, gps_ns, state, table)[0]
        expected = orbits.brahe.state_gcrf_to_itrf(epoch, state[0])
        # brahe keeps the time in one number, good to 1 us: 0.5 mm.
        np.testing.assert_allclose(found[:3], expected[:3], rtol=0.0, atol=1e-3)
        np.testing.assert_allclose(found[3:], expected[3:], rtol=0.0, atol=1e-5)


def test_eme2000_is_gcrf_turned_by_the_frame_bias() -> None:
    # Offsets of the mean pole and equinox of J2000.0 in GCRF, in mas: IERS Conventions (2010), section 5.4.4.
    xi, eta, alpha = np.radians(np.array([-16.6170, -6.8192, -14.6]) / 3.6e6)
    state = orbits.states_gcrf(T_S)
    small = np.array([[1.0, alpha, -xi], [-alpha, 1.0, -eta], [xi, eta, 1.0]])
    eme2000 = np.concatenate((state[:, :3] @ small.T, state[:, 3:] @ small.T), axis=1)
    table = earth_orientation(orbits.START_GPS_MS)
    found = itrf_states(Frame.EME2000, orbits.gps_ns(T_S), eme2000, table)
    expected = orbits.states_itrf(T_S)
    assert 0.3 < np.abs(eme2000[:, :3] - state[:, :3]).max() < 1.0
    np.testing.assert_allclose(found[:, :3], expected[:, :3], atol=1e-4)
    np.testing.assert_allclose(found[:, 3:], expected[:, 3:], atol=1e-6)


def test_teme_becomes_itrf_as_by_skyfield() -> None:
    table, state, gps_ns = earth_orientation(orbits.START_GPS_MS), orbits.states_gcrf(T_S), orbits.gps_ns(T_S)
    found = itrf_states(Frame.TEME, gps_ns, state, table)
    for row, moment in enumerate(gps_ns.tolist()):
        ut1_minus_gps_s, x_pole, y_pole, *_ = table.at(moment // 1_000_000)
        day, rest = divmod(moment, 86_400_000_000_000)
        ut1 = GPS_EPOCH_JULIAN_DATE + day, (1e-9 * rest + ut1_minus_gps_s) / 86_400.0
        position, velocity = TEME_to_ITRF(
            ut1[0], state[row, :3], 86_400.0 * state[row, 3:], x_pole, y_pole, fraction_ut1=ut1[1]
        )
        np.testing.assert_allclose(found[row, :3], position, rtol=0.0, atol=1e-3)
        np.testing.assert_allclose(found[row, 3:], velocity / 86_400.0, rtol=0.0, atol=1e-4)


def test_the_table_has_the_daily_values_of_the_iers() -> None:
    # finals2000A: 2016-12-31 and 2017-01-01, around a leap second.
    for day, leap_s, ut1_minus_utc_s, x_arcsec in (
        ("2016-12-31", 17.0, -0.4077601, 0.0814),
        ("2017-01-01", 18.0, 0.5912821, 0.0805),
    ):
        gps_ms = gps_ms_from_utc_iso(f"{day}T00:00:00Z")
        values = earth_orientation(gps_ms).at(gps_ms)
        assert values.ut1_minus_gps_s == pytest.approx(ut1_minus_utc_s - leap_s, abs=1e-9)
        assert values.x_pole_rad == pytest.approx(np.radians(x_arcsec / 3600.0), abs=1e-9)


def test_times_after_the_table_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"ends at 20\d\d-\d\d-\d\d.*2050-01-01.*ITRF"):
        earth_orientation(gps_ms_from_utc_iso("2050-01-01T00:00:00Z"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brahe", None)
    _bundled.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"pip install 'pygnc-ground\[scenario\]'"):
            earth_orientation(0)
    finally:
        _bundled.cache_clear()
