import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.earth_orientation import EarthOrientationTable
from tests.pygnc.environment.moments import LEAP_SECOND_GPS_MS

DAYS = np.array([57_753.0, 57_754.0, 57_755.0])
"""2016-12-31, 2017-01-01, 2017-01-02."""
ROWS = np.array(
    [
        [-0.4078, 1e-7, 2e-7, 3e-10, 4e-10],
        [0.5909, 2e-7, 1e-7, 3e-10, 4e-10],
        [0.5899, 4e-7, 3e-7, 3e-10, 4e-10],
    ]
)


def table(days: Array = DAYS, rows: Array = ROWS) -> EarthOrientationTable:
    return EarthOrientationTable("test", days, rows)


def test_values_are_linear_between_days() -> None:
    noon = gps_ms_from_utc_iso("2017-01-01T12:00:00Z")
    values = table().at(noon)
    assert values.ut1_minus_gps_s == pytest.approx(0.5904 - 18.0, abs=1e-12)
    assert values.x_pole_rad == pytest.approx(3e-7, rel=1e-12)
    assert values.y_pole_rad == pytest.approx(2e-7, rel=1e-12)


def test_ut1_does_not_jump_at_a_leap_second() -> None:
    before, after = (table().at(LEAP_SECOND_GPS_MS + ms).ut1_minus_gps_s for ms in (-1, 1))
    assert abs(after - before) < 1e-9


def test_outside_the_table_its_ends_hold() -> None:
    first, last = table().at(0), table().at(LEAP_SECOND_GPS_MS + 86_400_000 * 400)
    assert first.ut1_minus_gps_s == ROWS[0, 0] - 17.0
    assert last == (ROWS[2, 0] - 18.0, *ROWS[2, 1:])


@pytest.mark.parametrize(("days", "arcseconds"), [(-400, 0.0), (0, 0.0), (10, 0.025), (100, 0.25), (1000, 0.3)])
def test_the_pole_is_uncertain_after_the_last_row(days: int, arcseconds: float) -> None:
    end_ms = gps_ms_from_utc_iso("2017-01-02T00:00:00Z")
    sigma_rad = table().pole_sigma_rad(end_ms + 86_400_000 * days)
    assert np.degrees(sigma_rad) * 3600.0 == pytest.approx(arcseconds, rel=0.15)
    assert EarthOrientationTable.none().pole_sigma_rad(end_ms) == 0.0


def test_the_expiry_is_the_last_row() -> None:
    assert table().expires_gps_ms == gps_ms_from_utc_iso("2017-01-02T00:00:00Z")
    assert EarthOrientationTable.none().expires_gps_ms is None


def test_without_a_table_ut1_is_utc() -> None:
    assert EarthOrientationTable.none().at(LEAP_SECOND_GPS_MS + 1) == (-18.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("days", "rows"),
    [
        (DAYS[:2], ROWS),
        (DAYS[::-1], ROWS),
        (DAYS, ROWS[:, :4]),
        (DAYS, np.where(ROWS[1, 1] == ROWS, np.nan, ROWS)),
    ],
)
def test_rejects_impossible_tables(days: Array, rows: Array) -> None:
    with pytest.raises(ValueError, match="Earth orientation 'test'"):
        table(days, rows)
