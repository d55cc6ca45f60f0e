from pathlib import Path

import msgspec
import pytest

from pygnc.tasks.checkpoint_file import INTERVAL_S, CheckpointFile


class Memory(msgspec.Struct, frozen=True):
    through: int


def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "some.checkpoint"
    assert CheckpointFile(path, Memory).load() is None
    file = CheckpointFile(path, Memory)
    for through in (1, 2):
        file.save(Memory(through))
    assert CheckpointFile(path, Memory).load() == Memory(2)


def test_one_is_due_when_the_last_one_is_older_than_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr("pygnc.tasks.checkpoint_file.time.monotonic", lambda: now_s)
    file = CheckpointFile(tmp_path / "some.checkpoint", Memory)
    assert not file.is_due
    now_s += INTERVAL_S
    assert file.is_due
    file.save(Memory(1))
    assert not file.is_due
