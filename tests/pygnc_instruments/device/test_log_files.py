"""Log files: rotation, names, a full disk, recovery after a power cut."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.log_files import LogError, Rotation, checked_log_name
from pygnc_instruments.device.log_recovery import recover_logs
from tests.pygnc_instruments.device.test_csv_log import content, reading


def test_files_rotate_and_completed_ones_are_reported(tmp_path: Path) -> None:
    closed: list[Path] = []
    log = CsvLog(tmp_path, "run.csv", {"a": "b"}, Rotation(bytes=700), closed.append)
    for k in range(20):
        log.write(reading(0.01 * k))
    log.close()
    log.close()
    assert [path.name for path in closed[:2]] == ["run.csv", "run-001.csv"]
    assert len(closed) > 3
    assert sum(len(content(path)[1]) - 1 for path in closed) == log.rows == 20
    assert all(content(path)[0]["a"] == "b" for path in closed)
    assert not list(tmp_path.glob("*.part"))


def test_each_kind_of_packet_has_its_own_file(tmp_path: Path) -> None:
    log = CsvLog(tmp_path, "x.csv")
    for kind in ("S1", "A1", "S1", "A1"):
        log.write(reading(kind=kind))
    log.close()
    assert {path.name: len(content(path)[1]) for path in tmp_path.iterdir()} == {"x.csv": 3, "x-A1.csv": 3}


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("mine")
    log = CsvLog(tmp_path, "x.csv")
    log.write(reading())
    log.close()
    assert (tmp_path / "x.csv").read_text() == "mine"
    assert (tmp_path / "x-001.csv").exists()


@given(name=st.text())
def test_a_requested_name_stays_in_its_folder(name: str) -> None:
    try:
        checked = checked_log_name(name)
    except LogError:
        return
    assert Path(checked).name == checked
    assert checked.endswith(".csv")
    assert not checked.startswith(".")


@pytest.mark.parametrize("name", ["", "../x", "/etc/x", ".hidden", "a/b", "x\n", "a\\b", "x."])
def test_rejects_names_with_folders_or_special_characters(name: str) -> None:
    with pytest.raises(LogError, match="is not allowed"):
        checked_log_name(name)


def test_a_full_disk_raises_an_error_and_keeps_earlier_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = CsvLog(tmp_path, "x.csv")
    log.write(reading())

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(LogError, match=r"No space left.*kept"):
            log.write(reading())
    log.close()
    assert len(content(tmp_path / "x.csv")[1]) == 2


WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from tests.pygnc_instruments.device.test_csv_log import reading
from pygnc_instruments.device.csv_log import CsvLog
log = CsvLog(Path(sys.argv[1]), "x.csv")
for k in range(100):
    log.write(reading(0.01 * k))
print("written", flush=True)
sys.stdin.read()
"""


def test_the_file_of_a_killed_program_is_recovered(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    paths = [str(root), str(root / "flight"), str(root / "ground")]
    command = [sys.executable, "-c", WRITER, str(tmp_path), *paths]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        assert recover_logs(tmp_path) == []  # another program is writing it
        process.send_signal(signal.SIGKILL)
        process.wait()
    with (tmp_path / "x.csv.part").open("a") as file:
        file.write("1.0,2")  # a power cut in the middle of a line
    assert recover_logs(tmp_path) == [tmp_path / "x.csv"]
    lines = content(tmp_path / "x.csv")[1]
    assert len(lines) == 101
    assert lines[-1].startswith("0.99000,")
