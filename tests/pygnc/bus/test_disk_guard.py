"""Disk ceiling of the logs."""

import time
from pathlib import Path

import pytest

from pygnc.bus import disk_guard
from pygnc.bus.disk_guard import DELIVERED, OldRuns, refusal_to_grow, remove_oldest_run
from pygnc.bus.journal_files import list_segments
from pygnc.bus.journal_writer import JournalWriter

SIZE = 100_000
CEILING = 1_000_000
"""Old runs may use the ceiling without an eighth, and less by another eighth once runs are removed."""


def make_run(logs: Path, number: int, size: int = SIZE) -> Path:
    (run := logs / f"run-{number:05d}").mkdir(parents=True)
    (run / "input-00000.pgj").write_bytes(bytes(size))
    return run


def old_runs(logs: Path, own: int, ceiling_bytes: int = CEILING, reserve_bytes: int = 0) -> OldRuns:
    return OldRuns(logs / f"run-{own:05d}", ceiling_bytes, reserve_bytes, lambda _: None)


def keep(runs: OldRuns) -> None:
    """Let the work on old runs run until nothing more is to be done."""
    while runs.wait_s() < disk_guard.LOOK_INTERVAL_S / 2:
        runs.step()


def numbers(logs: Path) -> list[int]:
    return sorted(int(run.name[4:]) for run in logs.iterdir())


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for number in range(1, 5):
        make_run(tmp_path, number)
    return tmp_path


def test_removes_nothing_while_there_is_room(logs: Path) -> None:
    keep(old_runs(logs, 4))
    assert numbers(logs) == [1, 2, 3, 4]


def test_removes_the_oldest_runs(logs: Path) -> None:
    for number in range(5, 13):
        make_run(logs, number)
    keep(old_runs(logs, 12))
    assert numbers(logs) == [6, 7, 8, 9, 10, 11, 12]


def test_removes_runs_with_folders(logs: Path) -> None:
    (logs / "run-00001" / "notes").mkdir()
    (logs / "run-00001" / "notes" / "today.txt").touch()
    for number in range(5, 13):
        make_run(logs, number)
    keep(old_runs(logs, 12))
    assert 1 not in numbers(logs)


def test_a_sparse_file_counts_by_its_blocks(logs: Path) -> None:
    with (logs / "run-00002" / "sparse").open("wb") as file:
        file.truncate(1 << 32)
    keep(old_runs(logs, 4))
    assert numbers(logs) == [1, 2, 3, 4]
    assert refusal_to_grow(logs / "run-00002", CEILING, 0, SIZE) is None


def test_runs_with_more_digits_are_newer(tmp_path: Path) -> None:
    for number in range(99_993, 100_005):
        make_run(tmp_path, number)
    keep(old_runs(tmp_path, 100_004))
    assert numbers(tmp_path) == list(range(99_998, 100_005))


def test_removes_delivered_runs_first(logs: Path) -> None:
    for number in range(5, 13):
        make_run(logs, number)
    for number in (5, 7, 9, 10, 11):
        (logs / f"run-{number:05d}" / DELIVERED).touch()
    keep(old_runs(logs, 12))
    assert numbers(logs) == [1, 2, 3, 4, 6, 8, 12]


def test_never_removes_the_present_run_or_other_folders(logs: Path) -> None:
    (logs / "notes").mkdir()
    keep(old_runs(logs, 2, ceiling_bytes=SIZE))
    assert sorted(path.name for path in logs.iterdir()) == ["notes", "run-00002"]
    reason = refusal_to_grow(logs / "run-00002", SIZE, 0, SIZE)
    assert reason is not None
    assert "ceiling" in reason


def test_the_present_run_may_grow_while_old_runs_are_removed(logs: Path) -> None:
    assert refusal_to_grow(logs / "run-00004", 2 * SIZE + 10_000, 0, SIZE) is None


def test_keeps_the_reserve_free(logs: Path) -> None:
    limits = logs / "run-00004", 10**9, 2**62
    assert refusal_to_grow(*limits, 1) is None  # old runs will be removed
    keep(old_runs(logs, 4, 10**9, 2**62))
    assert numbers(logs) == [4]
    reason = refusal_to_grow(*limits, 1)
    assert reason is not None
    assert "free on the disk" in reason


def test_room_is_made_again_when_the_run_grows(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_guard, "LOOK_INTERVAL_S", 0.02)
    runs = old_runs(logs, 4)
    keep(runs)
    (logs / "run-00004" / "input-00001.pgj").write_bytes(bytes(5 * SIZE))
    (logs / "run-00003" / DELIVERED).touch()
    deadline_s = time.monotonic() + 10.0
    while 1 in numbers(logs):
        runs.step()
        assert time.monotonic() < deadline_s
    assert numbers(logs) == [2, 4]


def test_a_slice_of_the_work_is_small_and_a_pause_follows(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 0.001
        return now_s

    monkeypatch.setattr("pygnc.bus.disk_guard.time.monotonic", clock)
    for number in range(5, 105):
        make_run(logs, number, 1)
    runs = old_runs(logs, 104, ceiling_bytes=10_000)
    runs.step()
    used_s = now_s
    assert used_s < 2 * disk_guard.SLICE_S
    assert runs.wait_s() > used_s / 2
    runs.step()
    assert numbers(logs) == list(range(1, 105))


def test_closes_journals_of_old_runs_that_were_left_open(tmp_path: Path) -> None:
    recovered: list[Path] = []
    for number in (1, 2, 3):
        run = tmp_path / f"run-{number:05d}"
        run.mkdir()
        JournalWriter(run, run, "input", b"").append([b"one"])
    keep(OldRuns(tmp_path / "run-00003", CEILING, 0, recovered.append))
    assert [path.parent.name for path in recovered] == ["run-00001", "run-00002"]
    assert [segment.is_open for segment in list_segments(sorted(tmp_path.iterdir()))].count(True) == 1


def test_a_disk_without_logs_has_no_old_runs(tmp_path: Path) -> None:
    keep(old_runs(tmp_path / "missing", 1))
    assert refusal_to_grow(tmp_path / "missing" / "run-00001", CEILING, 0, 1) is not None


def test_without_older_runs_none_is_removed(logs: Path) -> None:
    while remove_oldest_run(logs / "run-00004"):
        pass
    assert not remove_oldest_run(logs / "run-00004")
