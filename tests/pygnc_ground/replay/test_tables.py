"""Columns of the formation table."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pygnc.bus.messages import ClosestApproach, FormationEstimate
from pygnc.common.clock import gps_ms_from_week, unix_ms_from_gps_ms
from pygnc.estimators.orbit.state import LOWER
from pygnc_ground.orbit.solution import newest_state
from pygnc_ground.replay.tables import formation_table, solution_table, table_makers, write_tables
from pygnc_ground.report.replay import Replay, replay_files
from pygnc_ground.tables.declaration import columns
from tests.demo_elements import DEMO, RECORD_BYTES

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
AXES = ("r", "t", "n", "rdot", "tdot", "ndot")
UNITS = ("m2", "m2_s", "m2_s2")
LOWER_TRIANGLE = [
    f"c{AXES[row]}_{AXES[column]}_{UNITS[row // 3 + column // 3]}" for row, column in zip(*LOWER, strict=True)
]
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
    assert [row[f"relative_{name}"] for name in LOWER_TRIANGLE] == [*COVARIANCE[LOWER]]


def test_unknown_values_are_empty() -> None:
    row = formation_table([KNOWN, UNKNOWN]).row(1, named=True)
    assert row["partner_id"] == 76
    assert all(row[name] is None for name in columns("formation")[4:] if name != "ambiguous")


def test_without_partners_the_table_has_its_columns() -> None:
    assert tuple(formation_table([]).columns) == columns("formation")


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Replay of the first quarter of an hour of the demonstration."""
    file = tmp_path_factory.mktemp("tables") / "sense.bin"
    file.write_bytes((DEMO / "sense.bin").read_bytes()[: 36 * RECORD_BYTES])
    return replay_files(file)


def test_orbits_have_their_covariances(replay: Replay) -> None:
    flown = replay.tables["orbit"].drop_nulls("cr_r_m2")
    on_ground = solution_table("orbit", replay.result.solution).collect().drop_nulls("cr_r_m2")
    assert len(flown) > 25
    ours, theirs = (table.select(LOWER_TRIANGLE).to_numpy() for table in (flown, on_ground))
    sigma = np.sqrt(ours[:, LOWER[0] == LOWER[1]])
    # The vectorised rotation on the ground leaves out the motion of the pole.
    assert np.abs((ours - theirs) / (sigma[:, LOWER[0]] * sigma[:, LOWER[1]])).max() < 1e-5
    sigma_m = flown.select(f"sigma_{axis}_ecef_m" for axis in "xyz").to_numpy()
    assert (sigma[:, :3] ** 2).sum(axis=1) == pytest.approx((sigma_m**2).sum(axis=1), rel=1e-9)


def test_a_table_in_parts_is_the_same(replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replay.tables["orbit_smoothed"]
    monkeypatch.setattr("pygnc_ground.orbit.solution._BLOCK", 7)
    assert len(whole) > 14
    makers = {"orbit_smoothed": table_makers(replay.result, replay.collected)["orbit_smoothed"]}
    (path,) = write_tables(makers, tmp_path, csv=False)
    assert pl.read_parquet(path).equals(whole)


def test_only_the_newest_state_remains_of_released_fixes(replay: Replay) -> None:
    collected = replay.collected._replace(timed=[], updates=[*replay.collected.updates])
    newest = newest_state(collected.updates)
    collected.release_fixes()
    assert [update.state for update in collected.updates] == [newest]


def test_csv_files_leave_the_covariances_out(replay: Replay, tmp_path: Path) -> None:
    write_tables(table_makers(replay.result, replay.collected), tmp_path, csv=True)
    head = (tmp_path / "orbit_smoothed.csv").read_text().partition("\n")[0].split(",")
    assert head == [*columns("orbit", csv=True)] == [*columns("orbit")][:-21]
