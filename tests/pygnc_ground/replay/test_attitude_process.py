"""Attitude of a replay in a process of its own."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pygnc.configuration.settings import Settings
from pygnc.formats.sense import SenseLayout
from pygnc_ground.replay.attitude_process import AttitudeProcess
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.tables import all_tables
from pygnc_ground.report.replay import _MANY

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
RECORDS = 60


@pytest.fixture
def files(tmp_path: Path) -> RecordedFiles:
    sense = tmp_path / "sense.bin"
    sense.write_bytes((DEMO / "sense.bin").read_bytes()[: RECORDS * SenseLayout().size])
    return RecordedFiles(sense=(sense,), truth=DEMO / "truth.parquet")


def test_a_process_of_its_own_gives_the_same_tables(files: RecordedFiles) -> None:
    context = files.context()
    replayed = [context.replay(files.inputs(), processes=count) for count in (1, 2)]
    assert [len(collected.samples) for _, collected in replayed] == [0, 0]  # 270 MB for a day
    one, two = (all_tables(*each) for each in replayed)
    assert one.keys() == two.keys() >= {"attitude", "attitude_smoothed"}
    assert one["attitude"].height == 5 * RECORDS
    assert [name for name in one if not one[name].equals(two[name])] == []


def test_an_error_of_the_process_is_raised_here(files: RecordedFiles) -> None:
    with closing(AttitudeProcess(Settings(), files.context().orientation, None)) as process:
        process.take("not a message", [])  # type: ignore[arg-type]
        process.end()
        with pytest.raises(AttributeError, match="seq"):
            process.found  # noqa: B018 - awaits the result


def test_an_ended_process_is_reported(files: RecordedFiles) -> None:
    with closing(AttitudeProcess(Settings(), files.context().orientation, None)) as process:
        os.kill(process._process.pid, signal.SIGKILL)
        for message in files.inputs().messages:
            process.take(message, [])
        process.end()
        with pytest.raises(ReplayError, match="ended with exit code -9; there may be too little memory"):
            process.found  # noqa: B018 - awaits the result


def test_the_process_ends_with_the_one_that_needs_it(files: RecordedFiles) -> None:
    process = AttitudeProcess(Settings(), files.context().orientation, None)
    process._waiting.put(None)  # what the kernel does with the pipes of a process that it kills
    assert process._process.wait(20.0) == 0
    process.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_script_without_a_guard_of_its_main_module_replays(tmp_path: Path) -> None:
    script, sense = tmp_path / "script.py", tmp_path / "sense.bin"
    sense.write_bytes((DEMO / "sense.bin").read_bytes()[: _MANY * SenseLayout().size])
    words = ["replay", str(sense), "--out", str(tmp_path / "out")]
    script.write_text(f"from pygnc_cli.app import main\nmain({words!r})\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    finished = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr.strip()) == (0, "")
    assert (tmp_path / "out" / "report.html").exists()
