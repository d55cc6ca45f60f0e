"""Columns of the formation table."""

import numpy as np
import pytest

from pygnc.bus.messages import ClosestApproach, FormationEstimate
from pygnc.common.clock import gps_ms_from_week, unix_ms_from_gps_ms
from pygnc_ground.replay.tables import formation_table
from pygnc_ground.tables.declaration import columns

GPS_MS = 1_426_464_078_250
COVARIANCE = np.diag([4.0, 9.0, 16.0, 0.01, 0.04, 0.09])
KNOWN = FormationEstimate(
    seq=1,
    last_input_seq=9,
    input_seq=8,
    gps_ms=GPS_MS,
    partner_id=75,
    cause="",
    position_rtn_m=(1.0, 2.0, 3.0),
    velocity_rtn_mps=(0.1, 0.2, 0.3),
    position_gcrf_m=(4.0, 5.0, 6.0),
    velocity_gcrf_mps=(0.4, 0.5, 0.6),
    covariance_rtn=tuple(COVARIANCE[np.tril_indices(6)].tolist()),
    range_bias_m=1051.0,
    ambiguous=True,
    chi2_best=10.0,
    chi2_mirror=12.0,
)
UNKNOWN = FormationEstimate(seq=2, last_input_seq=9, input_seq=9, gps_ms=GPS_MS, partner_id=76, cause="too few ranges")
APPROACH = ClosestApproach(
    seq=3, last_input_seq=9, partner_id=75, chi2=10.0, gps_ms=GPS_MS, distance_m=5.0, sigma_m=1.0
)


def test_a_row_equals_the_message() -> None:
    (row,) = formation_table([KNOWN, APPROACH]).iter_rows(named=True)
    assert tuple(row) == columns("formation")
    assert gps_ms_from_week(row["gps_week"], row["gps_tow_ms"]) == GPS_MS
    assert row["utc"].timestamp() == unix_ms_from_gps_ms(GPS_MS) / 1e3
    assert [row[f"relative_{axis}"] for axis in ("r_m", "t_m", "n_m")] == [1.0, 2.0, 3.0]
    assert [row[f"relative_{axis}"] for axis in ("vr_mps", "vt_mps", "vn_mps")] == [0.1, 0.2, 0.3]
    assert [row[f"relative_{axis}_gcrf_m"] for axis in "xyz"] == [4.0, 5.0, 6.0]
    assert [row[f"sigma_relative_{axis}_m"] for axis in "rtn"] == pytest.approx([2.0, 3.0, 4.0])
    last = ("range_bias_m", "ambiguous", "chi_square_best", "chi_square_mirror")
    assert [row[name] for name in last] == [1051.0, True, 10.0, 12.0]


def test_unknown_values_are_empty() -> None:
    row = formation_table([KNOWN, UNKNOWN]).row(1, named=True)
    assert row["partner_id"] == 76
    assert all(row[name] is None for name in columns("formation")[4:] if name != "ambiguous")


def test_without_partners_the_table_has_its_columns() -> None:
    assert tuple(formation_table([]).columns) == columns("formation")
