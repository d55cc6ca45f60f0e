import erfa
import numpy as np
import pytest

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.time_scales import TT_MINUS_GPS_S, julian_date
from tests.pygnc.environment.moments import moments


@pytest.mark.parametrize("gps_ms", moments())
def test_terrestrial_time_is_that_of_the_iau_routines_to_a_microsecond(gps_ms: int) -> None:
    utc = utc_iso_from_gps_ms(gps_ms)
    date, time = utc[:10].split("-"), utc[11:-1].split(":")
    utc_date = erfa.dtf2d("UTC", *map(int, date), int(time[0]), int(time[1]), float(time[2]))
    expected = erfa.taitt(*erfa.utctai(*utc_date))
    day, fraction = julian_date(gps_ms, np.array([TT_MINUS_GPS_S]))
    difference_s = ((day - expected[0]) + (fraction[0] - expected[1])) * 86_400.0
    assert abs(difference_s) < 1e-6


def test_offsets_in_seconds_move_the_fraction_of_the_day() -> None:
    day, fractions = julian_date(86_400_000, np.array([0.0, 43_200.0, -8_640.0]))
    assert day == 2_444_245.5
    np.testing.assert_allclose(fractions, [0.0, 0.5, -0.1], rtol=0.0, atol=1e-16)
