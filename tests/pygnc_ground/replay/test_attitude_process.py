"""Attitude of a replay in a process of its own."""

import os
import signal
from pathlib import Path

import pytest

from pygnc.configuration.settings import Settings
from pygnc.formats.sense import SenseLayout
from pygnc_ground.replay.attitude_process import AttitudeProcess
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.tables import all_tables

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
RECORDS = 60


@pytest.fixture
def files(tmp_path: Path) -> RecordedFiles:
    sense = tmp_path / "sense.bin"
    sense.write_bytes((DEMO / "sense.bin").read_bytes()[: RECORDS * SenseLayout().size])
    return RecordedFiles(sense=(sense,), truth=DEMO / "truth.parquet")


def test_a_process_of_its_own_gives_the_same_tables(files: RecordedFiles) -> None:
    context = files.context()
    one, two = (all_tables(*context.replay(files.inputs(), processes=count)) for count in (1, 2))
    assert one.keys() == two.keys() >= {"attitude", "attitude_smoothed"}
    assert one["attitude"].height == 5 * RECORDS
    assert [name for name in one if not one[name].equals(two[name])] == []


def test_an_error_of_the_process_is_raised_here(files: RecordedFiles) -> None:
    process = AttitudeProcess(Settings(), files.context().orientation, None)
    process.take("not a message", [])  # type: ignore[arg-type]
    process.end()
    with pytest.raises(AttributeError, match="seq"):
        process.found  # noqa: B018 - awaits the result
    process.close()


def test_an_ended_process_is_reported(files: RecordedFiles) -> None:
    process = AttitudeProcess(Settings(), files.context().orientation, None)
    assert process._process.pid is not None
    os.kill(process._process.pid, signal.SIGKILL)
    process.end()
    with pytest.raises(ReplayError, match="ended with exit code -9; there may be too little memory"):
        process.found  # noqa: B018 - awaits the result
    process.close()
