from pathlib import Path

from pygnc_ground.inspection.registry import view_folder
from pygnc_ground.inspection.sections import Listing, Note
from tests.pygnc_ground.inspection.samples import SAMPLES, event, journal_bytes, sensor_sample


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    return {section.title: list(section.rows) for section in view_folder(folder) if isinstance(section, Listing)}


def test_runs_are_listed_with_their_last_phase_and_events(tmp_path: Path) -> None:
    run = tmp_path / "run-00003"
    run.mkdir()
    events = [event(1, text="batch"), event(2, "restart", "ended", "warning"), event(3, text="idle")]
    (run / "events-00000.pgj.part").write_bytes(journal_bytes(events, footer=None))
    (run / "input-00000.pgj").write_bytes(journal_bytes([sensor_sample(1), sensor_sample(2)]))
    size_bytes = sum(path.stat().st_size for path in run.iterdir())
    assert rows(tmp_path)["runs"] == [
        ("run-00003", "2, 1 open", size_bytes, 2, "2023-11-14T22:13:20Z", "idle", "2 info, 1 warning")
    ]


def test_a_run_that_left_nothing_is_listed(tmp_path: Path) -> None:
    (tmp_path / "run-00001").mkdir()
    assert rows(tmp_path)["runs"] == [("run-00001", "0", 0, 0, None, None, "")]


def test_damaged_events_do_not_hide_the_others(tmp_path: Path) -> None:
    run = tmp_path / "run-00001"
    run.mkdir()
    content = bytearray(journal_bytes([event(1), event(2, severity="error"), event(3)]))
    content[content.index(b"error")] ^= 3
    (run / "events-00000.pgj").write_bytes(content)
    assert rows(tmp_path)["runs"][0][-1] == "2 info"


def test_files_are_listed_by_what_they_hold(tmp_path: Path) -> None:
    for number, sample in enumerate(SAMPLES.values()):
        (tmp_path / f"file{number}").write_bytes(sample)
    (tmp_path / "notes.txt").write_bytes(b"hello")
    (tmp_path / "OrbitEstimateMessage").mkdir()
    listed = rows(tmp_path)
    assert [row[1] for row in listed["files"]] == [*SAMPLES, "unknown"]
    assert listed["folders"] == [("OrbitEstimateMessage",)]


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    assert list(view_folder(tmp_path)) == [Note("the folder is empty")]
