from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pygnc.bus.messages import Message, TimeMark
from pygnc.bus.streams import StreamWriter
from pygnc.tasks.checkpoints import INTERVAL_S, Checkpoint, CheckpointFile
from pygnc.tasks.recovery import ResumableWriter
from pygnc.tasks.seal import StateChangedError


class Stream:
    """A stream whose journal holds some output already."""

    def __init__(self, last_seq: int) -> None:
        self.journal = SimpleNamespace(last_seq=last_seq)
        self.written: list[Message] = []

    def write(self, messages: list[Message]) -> None:
        self.written += messages
        self.journal.last_seq += len(messages)


MESSAGES = [TimeMark(number, "", 0, number, 0, 0) for number in range(1, 8)]


def test_writes_each_message_once_after_a_restart() -> None:
    stream = Stream(last_seq=5)
    output = ResumableWriter(cast("StreamWriter", stream), last_seq=2)
    for begin, end in ((2, 4), (4, 6), (6, 7)):
        output.write(MESSAGES[begin:end])
    assert stream.written == MESSAGES[5:]
    assert output.last_seq == 7


@pytest.mark.parametrize("bit", [1, 14])
@pytest.mark.parametrize("place", ["journal", "writer"])
def test_a_flipped_bit_of_a_position_drops_no_message(bit: int, place: str) -> None:
    stream = Stream(last_seq=5)
    output = ResumableWriter(cast("StreamWriter", stream), last_seq=2)
    output.write(MESSAGES[2:6])
    flipped = stream.journal if place == "journal" else output
    flipped.last_seq ^= 1 << bit
    with pytest.raises(StateChangedError):
        output.write(MESSAGES[6:])


def test_continues_after_the_last_message_of_a_journal_that_lacks_some() -> None:
    stream = Stream(last_seq=1)
    output = ResumableWriter(cast("StreamWriter", stream), last_seq=2)
    output.write(MESSAGES[2:4])
    output.write(MESSAGES[4:])
    assert stream.written == MESSAGES[2:]


def test_writes_nothing_without_messages() -> None:
    stream = Stream(last_seq=0)
    ResumableWriter(cast("StreamWriter", stream)).write([])
    assert stream.written == []


class Events:
    """Collects the names of events."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, severity: str, name: str, text: str) -> None:
        assert severity
        assert text
        self.names.append(name)


def test_loads_the_newest_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "some.checkpoint"
    file = CheckpointFile(path, events := Events())
    assert file.load() is None
    for through in (1, 2):
        file.save(Checkpoint(through))
    assert file.load() == Checkpoint(2)
    assert events.names == []


@pytest.mark.parametrize("size", range(7))
def test_a_cut_checkpoint_gives_way_to_the_previous_one(tmp_path: Path, size: int) -> None:
    path = tmp_path / "some.checkpoint"
    file = CheckpointFile(path, events := Events())
    for through in (1, 2):
        file.save(Checkpoint(through))
    assert len(path.read_bytes()) > size
    path.write_bytes(path.read_bytes()[:size])
    assert file.load() == Checkpoint(1)
    assert events.names == ["checkpoint"]


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "some.checkpoint"
    file = CheckpointFile(path, events := Events())
    file.save(Checkpoint(77))
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert file.load() is None
    assert len(events.names) == 8 * len(content)


def test_a_checkpoint_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = CheckpointFile(tmp_path / "file" / "some.checkpoint", events := Events())
    for through in (1, 2):
        file.save(Checkpoint(through))
    assert events.names == ["checkpoint"]


def test_a_checkpoint_is_due_after_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("pygnc.tasks.checkpoints.time.monotonic", lambda: now_s)
    file = CheckpointFile(tmp_path / "some.checkpoint", Events())
    assert not file.is_due
    now_s += INTERVAL_S
    assert file.is_due
    file.save(Checkpoint(1))
    assert not file.is_due
