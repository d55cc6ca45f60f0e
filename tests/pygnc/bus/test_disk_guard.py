"""Disk ceiling of the logs."""

from pathlib import Path

import pytest

from pygnc.bus.disk_guard import DELIVERED, DiskGuard


def make_run(logs: Path, number: int, size: int) -> Path:
    (run := logs / f"run-{number:05d}").mkdir(parents=True)
    (run / "input-00000.pgj").write_bytes(bytes(size))
    return run


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for number in range(1, 5):
        make_run(tmp_path, number, 1000)
    return tmp_path


def test_removes_nothing_while_there_is_room(logs: Path) -> None:
    assert DiskGuard(logs / "run-00004", 5000, 0).may_grow(1000) is None
    assert len(list(logs.iterdir())) == 4


def test_removes_the_oldest_runs(logs: Path) -> None:
    assert DiskGuard(logs / "run-00004", 4000, 0).may_grow(1500) is None
    assert sorted(p.name for p in logs.iterdir()) == ["run-00003", "run-00004"]


def test_removes_delivered_runs_first(logs: Path) -> None:
    (logs / "run-00003" / DELIVERED).touch()
    assert DiskGuard(logs / "run-00004", 4000, 0).may_grow(500) is None
    assert sorted(p.name for p in logs.iterdir()) == ["run-00001", "run-00002", "run-00004"]


def test_never_removes_the_present_run(logs: Path) -> None:
    reason = DiskGuard(logs / "run-00004", 1500, 0).may_grow(1000)
    assert reason is not None
    assert "ceiling" in reason
    assert [p.name for p in logs.iterdir()] == ["run-00004"]


def test_keeps_the_reserve_free(logs: Path) -> None:
    reason = DiskGuard(logs / "run-00004", 10**9, 2**62).may_grow(1)
    assert reason is not None
    assert "free on the disk" in reason
