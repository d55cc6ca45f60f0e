"""The status record and the info line in a home."""

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
