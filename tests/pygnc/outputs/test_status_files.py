"""The status record and the info line in a home."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pygnc.bus import control
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.streams import encode
from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc.outputs.status_files import StatusFiles
from pygnc.outputs.status_values import NewestEstimates
from tests.pygnc.outputs.test_status_values import attitude, run_state
from tests.pygnc.tasks.runs import run_in

Events = list[tuple[str, str, str]]


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture
def files(tmp_path: Path, events: Events) -> StatusFiles:
    def notify(severity: str, name: str, text: str) -> None:
        events.append((severity, name, text))

    return StatusFiles(replace(run_in(tmp_path), number=3), notify)


def record(folder: Path) -> dict[str, status.Value]:
    return status.decode((folder / "home" / "pygnc_status.bin").read_bytes())


def test_an_undeclared_counter_is_reported_once_and_costs_nothing(
    files: StatusFiles, tmp_path: Path, events: Events
) -> None:
    for _ in range(3):
        files.write(run_state({"nonsense": 1, "fixes_accepted": 7}), NewestEstimates())
    assert [(severity, name) for severity, name, _ in events if name == "status_value"] == [("warning", "status_value")]
    assert "nonsense" in events[0][2]
    assert "orbit" in events[0][2]
    values = record(tmp_path)
    assert (values["generation"], values["fixes_accepted"], values["run_number"]) == (3, 7, 3)
    assert (tmp_path / "home" / "pygnc_info.txt").read_text().startswith("PyGNC run 3 IDLE SC ")


def test_the_first_status_is_written_before_the_disk_is_full(
    files: StatusFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / "pygnc_info.txt").write_text("of the last run")
    files.claim(control.RunState("starting", (), 0))
    assert (record(tmp_path)["phase"], record(tmp_path)["run_number"]) == (Phase.STARTING, 3)
    assert (tmp_path / "home" / "pygnc_info.txt").read_text() == "of the last run"
    assert len(list((tmp_path / "home").iterdir())) == 2
    monkeypatch.setattr("pygnc.outputs.status_files.durable_write", full_disk(0))
    files.claim(control.RunState("starting", (), 0))


def full_disk(files_max: int) -> Callable[..., None]:
    """Return a function that can write only so many files; the others fail."""
    written: list[Path] = []

    def write(path: Path, content: bytes, *, sync: bool = True) -> None:
        if len(written) >= files_max:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_bytes(content)
        written.append(path)
        del sync

    return write


def test_the_oldest_runs_give_way_to_the_first_status(
    files: StatusFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "pygnc_logs"
    runs = [logs / f"run-{number:05d}" for number in range(1, 6)]
    for folder in runs:
        folder.mkdir(parents=True)
        (folder / "input-00000.pgj").write_bytes(bytes(1000))
    (runs[2] / "delivered").touch()
    (logs / "run-00000").touch()

    def write(path: Path, content: bytes, *, sync: bool) -> None:
        assert not sync
        if len(list(logs.iterdir())) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_bytes(content)

    monkeypatch.setattr("pygnc.outputs.status_files.durable_write", write)
    files = StatusFiles(replace(run_in(tmp_path), folder=runs[-1]), lambda *_: None)
    files.claim(control.RunState("starting", (), 0))
    assert sorted(path.name for path in logs.iterdir()) == ["run-00000", "run-00002", "run-00004", "run-00005"]
    assert record(tmp_path)["phase"] == Phase.STARTING


def test_an_event_contains_the_final_status_that_cannot_be_written(
    files: StatusFiles, tmp_path: Path, events: Events
) -> None:
    (tmp_path / "home").rmdir()
    files.write_final(control.RunState("stopped", (), 0))
    ((severity, name, text),) = events
    assert (severity, name) == ("error", "status_not_written")
    assert "; it is: PyGNC run 3 STOPPED SC" in text
    assert "; ORBIT unknown; " in text
    assert "\n" not in text


def test_the_final_status_is_written_despite_an_undeclared_counter_and_damaged_messages(
    files: StatusFiles, tmp_path: Path, events: Events
) -> None:
    journal = JournalWriter(tmp_path / "run", tmp_path / "runtime", "attitude", b"")
    journal.append([encode(attitude()), b"\xc1", encode(["AttitudeEstimate", "of a later form"])])
    journal.close()
    state = control.RunState("stopped", run_state({"nonsense": 1}).tasks, 0)
    files.write_final(state)
    assert (record(tmp_path)["phase"], record(tmp_path)["attitude_mode"]) == (Phase.STOPPED, status.AttitudeMode.FINE)
    assert [name for _, name, _ in events] == ["status_value"]


def test_the_final_status_replaces_no_record_of_the_same_end(files: StatusFiles, tmp_path: Path) -> None:
    state = control.RunState("stopped", (), 0)
    files.write(state, NewestEstimates())
    files.write_final(state)
    assert record(tmp_path)["generation"] == 1
