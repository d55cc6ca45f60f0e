"""Readers of logs of other packages, in `pygnc inspect` and in the inputs of a replay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pygnc.bus.messages import BatchEnd, GnssFix, SensorSample, SourceFile
from pygnc.common.clock import MS_PER_WEEK
from pygnc.configuration.settings import Settings
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.inspection.log_reader import GROUP
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.inputs import ReplayError, from_files
from pygnc_ground.replay.pipeline import fly
from pygnc_system import plugins
from pygnc_system.plugins import PluginError
from tests.other_packages import OtherPackage
from tests.pygnc_command import app

ROOT = Path(__file__).resolve().parents[3]
OTHERS = """
from pygnc_ground.inspection.log_reader import LogReader

def fail(*_):
    raise KeyError("why")

def refuse(path):
    raise ValueError(f"{path}: line 1: no such version; export it again")
    yield

FAULTY = LogReader("faulty log", lambda head: head.startswith(b"faulty"), fail)
REFUSED = LogReader("refused log", lambda head: head.startswith(b"refused"), refuse)
GREEDY = LogReader("greedy log", lambda head: fail(), fail)
"""
HEADER = "gps_week,gps_tow_s,x_m,y_m,z_m,vx_mps,vy_mps,vz_mps,sigma_m,sigma_mps,satellites\n"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_reported", set())
    site = tmp_path / "site"
    site.mkdir()
    names = {name.lower(): f"others_logs:{name}" for name in ("GREEDY", "FAULTY", "REFUSED")}
    modules = {"fix_log": (ROOT / "examples/fix_log/fix_log.py").read_text(), "others_logs": OTHERS}
    with OtherPackage({GROUP: names | {"fix-log": "fix_log:READER"}}, modules).importable(site):
        yield


def line(tow_s: float) -> str:
    return f"2358,{tow_s},7000000,0,0,0,7500,0,5,0.05,9\n"


def write(folder: Path, text: str) -> Path:
    (folder / "log.csv").write_text(text)
    return folder / "log.csv"


def test_records_are_numbered_in_the_order_of_their_times(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + line(20.0) + line(10.0) + "2358,1\n" + line(30.5))
    file, begin, *fixes, end = from_files([path], None, Settings()).messages
    assert isinstance(file, SourceFile)
    assert (file.size_bytes, file.damaged_bytes, file.damaged_ranges) == (path.stat().st_size, 7, 1)
    found = [(fix.seq, (fix.gps_ms or 0) % MS_PER_WEEK, fix.source) for fix in fixes if isinstance(fix, GnssFix)]
    assert found == [(begin.seq + k, tow, str(path)) for k, tow in enumerate((10_000, 20_000, 30_500), 1)]
    assert isinstance(end, BatchEnd)


def test_logs_and_sense_files_are_merged_by_time(tmp_path: Path) -> None:
    sense = ROOT / "data/demo/sense.bin"
    alone = [one for one in from_files([sense], None, Settings()).messages if isinstance(one, GnssFix | SensorSample)]
    fixes = [one for one in alone if isinstance(one, GnssFix)]
    path = write(tmp_path, HEADER + line((fixes[5].gps_ms or 0) % MS_PER_WEEK / 1000 + 1.0))
    both = [one for one in from_files([path, sense], None, Settings()).messages if isinstance(one, GnssFix)]
    assert len(both) == len(fixes) + 1
    assert both[6].source == str(path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_every_byte_is_a_record_or_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes((HEADER + line(10.0)).encode() + content)
    file = next(iter(from_files([path], None, Settings()).messages))
    assert isinstance(file, SourceFile)
    assert file.delivered_bytes + file.damaged_bytes == file.size_bytes


def test_inspect_shows_a_log_and_its_damage(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + line(10.0) + "2358,1\n" + line(20.0))
    shown = CliRunner().invoke(app, ["inspect", "--messages", "5", str(path)])
    assert shown.exit_code == 0
    assert "fix log" in shown.stdout
    assert shown.stdout.count("gps_ms") == 2
    assert "no valid record in these bytes" in shown.stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("faulty", "the reader of faulty log failed: KeyError: 'why'"),
        ("refused", "line 1: no such version; export it again"),
        (HEADER, "the file contains no record"),
    ],
)
def test_inspect_names_a_log_that_cannot_be_read(tmp_path: Path, text: str, why: str) -> None:
    shown = CliRunner().invoke(app, ["inspect", "--json", str(write(tmp_path, text))])
    assert shown.exit_code == ExitCode.INPUT
    assert why in shown.stdout


def test_an_unknown_file_names_the_kinds_of_other_packages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(write(tmp_path, "MZ"))])
    assert "unknown kind of file" in shown.stderr
    assert "fix log" in shown.stderr
    assert "the reader of greedy log failed: KeyError: 'why'" in caplog.text


def test_a_replay_names_faults_of_the_reader(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"log.csv: the reader of faulty log failed: KeyError: 'why'"):
        from_files([write(tmp_path, "faulty")], None, Settings())
    with pytest.raises(ValueError, match="no such version"):
        from_files([write(tmp_path, "refused")], None, Settings())


def test_the_processes_of_the_flight_software_take_no_other_logs(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"log.csv: the flight software reads sense files only"):
        fly(tmp_path / "home", RecordedFiles(sense=(write(tmp_path, HEADER + line(1.0)),)))
