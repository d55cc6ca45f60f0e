import sys

import numpy as np
import pytest

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.truth.earth_orientation import _bundled, earth_orientation


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


def test_times_after_the_table_are_refused() -> None:
    with pytest.raises(ValueError, match=r"known to 20\d\d-\d\d-\d\d only.*2050-01-01.*take the ephemeris in ITRF"):
        earth_orientation(gps_ms_from_utc_iso("2050-01-01T00:00:00Z"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brahe", None)
    _bundled.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"pip install 'pygnc\[scenario\]'"):
            earth_orientation(0)
    finally:
        _bundled.cache_clear()
