"""Columns of the formation table."""

import numpy as np
import pytest

from pygnc.bus.messages import ClosestApproach, FormationEstimate
from pygnc.common.clock import gps_ms_from_week
from pygnc_ground.replay.tables import FORMATION_COLUMNS, formation_table

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
    assert tuple(row) == FORMATION_COLUMNS
    assert gps_ms_from_week(row["gps_week"], round(1e3 * row["gps_tow_s"])) == GPS_MS
    assert [row[name] for name in ("r_m", "t_m", "n_m", "vr_mps", "vt_mps", "vn_mps")] == [1.0, 2.0, 3.0, 0.1, 0.2, 0.3]
    assert [row[name] for name in ("x_gcrf_m", "y_gcrf_m", "z_gcrf_m")] == [4.0, 5.0, 6.0]
    assert [row[name] for name in ("sigma_r_m", "sigma_t_m", "sigma_n_m")] == pytest.approx([2.0, 3.0, 4.0])
    assert [row[name] for name in FORMATION_COLUMNS[-4:]] == [1051.0, 1, 10.0, 12.0]


def test_unknown_values_are_empty() -> None:
    row = formation_table([KNOWN, UNKNOWN]).row(1, named=True)
    assert row["partner"] == 76
    assert all(row[name] is None for name in FORMATION_COLUMNS[3:] if name != "ambiguous")


def test_without_partners_the_table_has_its_columns() -> None:
    assert tuple(formation_table([]).columns) == FORMATION_COLUMNS
