from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pygnc_ground.report.player.packing import pack
from pygnc_ground.report.player.recording import Recording, make_recording
from pygnc_ground.report.replay import Replay
from tests.pygnc_ground.report import samples
from tests.pygnc_ground.report.player.made import recording_of, short_replay
from tests.pygnc_ground.report.player.unpacking import Tables, unpack

PLOTTED = 2.0**-12
PLACED = 2.0**-17


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return short_replay(tmp_path_factory.mktemp("replay"))


@pytest.fixture(scope="module")
def recording(replay: Replay, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recording_of(replay, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def tables(recording: Recording) -> Tables:
    return unpack(pack(recording.columns(), recording.about))[0]


@pytest.mark.parametrize(
    ("table", "column", "packed_table", "packed", "rtol"),
    [
        ("orbit", "x_gcrf_m", "orbit", "x", PLACED),
        ("fixes", "innovation_y_ecef_m", "orbit", "position_y", PLOTTED),
        ("fixes", "chi_square_velocity", "orbit", "velocity_chi", PLOTTED),
        ("attitude", "qz_gcrf_from_body", "attitude", "qz", PLACED),
        ("attitude", "x_mag_bias_imu_ut", "attitude", "magnetometer_bias_x", PLOTTED),
    ],
)
def test_columns_are_those_of_the_parquet_tables(  # noqa: PLR0917 - one case
    replay: Replay, tables: Tables, table: str, column: str, packed_table: str, packed: str, rtol: float
) -> None:
    expected = replay.tables[table][column].fill_null(np.nan).to_numpy()
    assert np.isfinite(expected).sum() > 20
    np.testing.assert_allclose(tables[packed_table][packed], expected, rtol=rtol)


def test_times_and_modes_are_those_of_the_parquet_tables(replay: Replay, tables: Tables) -> None:
    table = replay.tables["attitude"]
    assert tables["attitude"]["time"].tolist() == table["utc"].dt.epoch("ms").to_list()
    assert tables["attitude"]["mode"] == table["mode"].to_list()


def test_every_plot_refers_to_packed_columns(recording: Recording) -> None:
    plots = [plot for group in recording.about["plots"] for plot in group["plots"]]
    assert len(plots) > 15
    for plot in plots:
        columns = {line["column"] for line in plot["lines"]} | ({plot["band"], plot["to"]} - {""})
        assert columns <= recording.tables[plot["table"]].keys()


def test_events_are_in_order_and_within_the_span(recording: Recording) -> None:
    times = [event["time"] for event in recording.about["events"]]
    begin, end = recording.about["span"]
    assert times == sorted(times)
    assert begin <= times[0] <= times[-1] <= end
    assert "attitude unknown, search" in [event["text"] for event in recording.about["events"]]


def test_without_a_time_there_is_nothing_to_play(tmp_path: Path) -> None:
    result = samples.clean(0)
    result = replace(result, solution=samples.without_orbit(result).solution)
    assert make_recording(result, {}).about["span"] is None
    assert list(tmp_path.iterdir()) == []


def test_records_that_were_not_used_are_counted_over_time(recording: Recording, tables: Tables) -> None:
    counted = tables["orbit"]["unused"]
    assert np.all(np.diff(counted) >= 0)
    assert counted[-1] == sum(bool(cause) for cause in tables["orbit"]["cause"])
    (run,) = [group for group in recording.about["plots"] if group["title"] == "Run"]
    assert [plot["title"] for plot in run["plots"]][:2] == ["GPS records not used", "Sensor samples not used"]
