import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pygnc.bus.journal_files import list_segments
from pygnc.bus.journal_writer import JournalWriter
from pygnc.launch import workspace
from pygnc.launch.workspace import (
    AlreadyRunningError,
    clear_places,
    lock_home,
    make_run_folder,
    make_runtime_folder,
    next_run,
    recover_previous_run,
    recover_run,
    runtime_folder,
)


def test_a_home_has_one_run_at_a_time(tmp_path: Path) -> None:
    lock = lock_home(tmp_path)
    with pytest.raises(AlreadyRunningError):
        lock_home(tmp_path)
    os.close(lock)
    os.close(lock_home(tmp_path))


def test_the_lock_is_released_with_its_process(tmp_path: Path) -> None:
    program = "import sys, os; from pathlib import Path; from pygnc.launch.workspace import lock_home; "
    program += "lock = lock_home(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program, tmp_path], check=False).returncode == -9
    os.close(lock_home(tmp_path))


def test_a_run_on_a_card_that_is_dead_before_it_starts_has_a_lock_and_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actual_open, actual_stat = os.open, os.stat

    def alive(place: Path) -> Path:
        if Path(place).is_relative_to(tmp_path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(place))
        return place

    monkeypatch.setattr(os, "open", lambda path, *words: actual_open(alive(path), *words))
    monkeypatch.setattr(os, "stat", lambda path, **words: actual_stat(alive(path), **words))
    os.close(lock_home(tmp_path))
    folder = make_runtime_folder(tmp_path)
    try:
        assert not folder.is_relative_to(tmp_path)
    finally:
        folder.rmdir()


def test_what_is_in_place_of_an_output_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "pygnc_status.bin").mkdir()
    (tmp_path / "pygnc_status.bin.moved-1").symlink_to("nowhere")
    (tmp_path / "pygnc_info.txt").touch()
    (tmp_path / "pygnc_logs").touch()
    assert clear_places(tmp_path) == [
        "pygnc_status.bin is a folder; renamed to pygnc_status.bin.moved-2",
        "pygnc_logs is no folder; renamed to pygnc_logs.moved-1",
    ]
    assert (tmp_path / "pygnc_status.bin.moved-2").is_dir()
    assert clear_places(tmp_path) == []


def test_numbers_runs_from_the_newest_one(tmp_path: Path) -> None:
    (tmp_path / "pygnc_logs" / "run-00041").mkdir(parents=True)
    (tmp_path / "pygnc_logs" / "OrbitEstimateMessage").mkdir()
    number, folder = next_run(tmp_path)
    assert (number, folder) == (42, tmp_path / "pygnc_logs" / "run-00042")
    assert make_run_folder(folder) == ""
    assert next_run(tmp_path)[0] == 43


@pytest.mark.parametrize("name", ["run-²", "run-٣", "run-" + 25 * "9", "run-", "run-00005x"])
def test_a_folder_with_another_name_is_no_run(tmp_path: Path, name: str) -> None:
    for other in (name, "run-00005"):
        (tmp_path / "pygnc_logs" / other).mkdir(parents=True)
    number, folder = next_run(tmp_path)
    assert number == 6
    assert make_run_folder(folder) == ""
    assert recover_previous_run(folder) == []


def test_no_number_is_used_twice_if_the_runs_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        (tmp_path / "pygnc_logs" / f"run-{number:05d}").mkdir(parents=True)
    monkeypatch.setattr(workspace, "_entries", lambda _: [])
    assert next_run(tmp_path)[0] == 3


def test_reports_a_run_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "pygnc_logs").write_text("in the way")
    _, folder = next_run(tmp_path)
    assert "pygnc_logs" in make_run_folder(folder)
    assert not folder.exists()


def test_closes_journals_that_a_power_cut_left_open(tmp_path: Path) -> None:
    _, first = next_run(tmp_path)
    make_run_folder(first)
    JournalWriter(first, first, "input", b"").append([b"one"])
    assert recover_previous_run(first) == []
    _, second = next_run(tmp_path)
    make_run_folder(second)
    JournalWriter(second, second, "input", b"")
    assert [path.name for path in recover_previous_run(second)] == ["input-00000.pgj"]
    assert list_segments([second])[0].is_open


def test_the_runtime_folder_is_private_and_empty(tmp_path: Path) -> None:
    folder = make_runtime_folder(tmp_path)
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "left over").touch()
        assert make_runtime_folder(tmp_path) == folder
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()


def test_the_runtime_folder_is_in_the_home_if_no_temporary_folder_is_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "_MEMORY", tmp_path / "missing")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing too"))
    folder = make_runtime_folder(tmp_path)
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_disk_that_refuses_prevents_neither_start_nor_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> list[Path]:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(workspace, "recover_folder", refuse)
    assert recover_run(tmp_path) == []


def test_what_is_no_folder_of_this_user_is_left_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(workspace, "_MEMORY", tmp_path / "memory")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runtime_folder(tmp_path).write_text("of another program")
    assert make_runtime_folder(tmp_path).parent == tmp_path
    assert runtime_folder(tmp_path).read_text() == "of another program"
