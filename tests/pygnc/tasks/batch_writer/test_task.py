"""The batch files are a function of the input journal across restarts and power cuts."""

import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus.messages import BatchBegin, BatchEnd, LivePacket, Message, SourceFile
from pygnc.bus.streams import StreamWriter
from pygnc.configuration.settings import BatchSettings, Settings
from pygnc.formats.range_scan import RangeScanner
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.formats.sense_scan import scan
from pygnc.inputs.live import live_message
from pygnc.inputs.sense_file import sense_messages
from pygnc.outputs.batch_files import FILE_BYTES, BatchRow
from pygnc.outputs.batch_folder import BatchFolder, retire_batch
from pygnc.tasks.batch_writer.task import BatchWriterTask
from tests.pygnc.formats.streams import range_packets
from tests.pygnc.tasks.runs import run_in

DEMO = Path(__file__).resolve().parents[4] / "data" / "demo" / "sense.bin"
SIZE = STANDARD_LAYOUT.size
CONTENT = DEMO.read_bytes()[: 6 * SIZE]
BATCH_RECORDS = 2
STREAM = list(range_packets(60, seed=1))
NO_FILES = [BatchBegin(seq=1, sensors_per_record=5, records_terminated=True), BatchEnd(seq=2, cause="")]


def sense(first: int, last: int) -> list[Message]:
    records = np.frombuffer(CONTENT[first * SIZE : last * SIZE], STANDARD_LAYOUT.record)
    return sense_messages(records, np.arange(last - first), "sense.bin", STANDARD_LAYOUT, 1, settings=Settings())


def batch() -> list[Message]:
    file = SourceFile(seq=1, name="sense.bin", delivered_bytes=BATCH_RECORDS * SIZE)
    return [file, NO_FILES[0], *sense(0, BATCH_RECORDS), NO_FILES[1]]


def live(kind: str, raw: bytes, radio_id: int = 0) -> Message:
    return live_message(
        LivePacket(seq=1, kind=kind, radio_id=radio_id, late=False, t_mono_ns=0, raw=raw), 1, Settings()
    )


def live_records(first: int, last: int) -> list[Message]:
    return [live("SENS" if len(m.raw) == 30 else "GPSS", m.raw) for m in sense(first, last)]  # type: ignore[attr-defined]


def live_ranges(packets: Sequence[bytes], radio_id: int = 0) -> list[Message]:
    letters = ("PGPS", "PRNG") if radio_id else ("GPSR", "RANG")
    return [live(letters[len(packet) == 12], packet, radio_id) for packet in packets]


class WriterHome:
    """A run whose inputs a test writes, and whose writer may be lost."""

    def __init__(self, folder: Path, *, from_last_run: bool = False) -> None:
        self.run = run_in(folder, has_terminal=True, from_last_run=from_last_run)
        self.home = self.run.home
        self.events: list[str] = []
        self._ingest: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._input = StreamWriter(self._ingest, self.run.runtime, "input", self.run.open_journal("input"))
        self._start()

    def _start(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.task = BatchWriterTask(self.run, self._context, lambda _severity, name, _text: self.events.append(name))

    def lose(self) -> None:
        """As SIGKILL does it."""
        self._context.destroy(linger=0)
        self._start()

    def write(self, messages: Sequence[Any]) -> None:
        """Let messages be inputs, and let the writer work."""
        for message in messages:
            self._input.write([msgspec.structs.replace(message, seq=self._input.next_seq)])
        self.task._input.has_backlog = True
        while self.task.work():
            pass

    def files(self, folder: str = "pygnc_batch") -> dict[str, bytes]:
        root = self.home / folder
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def close(self) -> None:
        self._context.destroy(linger=0)
        self._ingest.destroy(linger=0)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[WriterHome]:
    home = WriterHome(tmp_path)
    yield home
    home.close()


def test_appends_live_packets_to_the_batch_unchanged(writer: WriterHome) -> None:
    writer.write([*batch(), *live_records(BATCH_RECORDS, 6)])
    assert writer.files() == {"sense.bin": CONTENT}
    assert writer.task.progress().counts["batch_written_bytes"] == len(CONTENT)


def test_live_packets_alone_give_the_same_files(writer: WriterHome) -> None:
    writer.write(NO_FILES)
    assert writer.files() == {}
    writer.write([*live_records(0, 6), *live_ranges(STREAM), *live_ranges(STREAM[:9], 75)])
    expected = {"sense.bin": CONTENT, "range/rng00000.bin": b"".join(STREAM)}
    assert writer.files() == expected | {"range/partner_75/rng00000.bin": b"".join(STREAM[:9])}


def test_writes_a_repeated_packet_once(writer: WriterHome) -> None:
    records = live_records(0, 6)
    twice = [message for message in records for _ in range(2)]
    writer.write([*NO_FILES, *twice, *live_ranges([packet for packet in STREAM for _ in range(2)])])
    assert writer.files() == {"sense.bin": CONTENT, "range/rng00000.bin": b"".join(STREAM)}
    writer.task.close()
    assert "batch_left_out" in writer.events
    writer.lose()


def test_completes_the_last_record_at_the_end(writer: WriterHome) -> None:
    writer.write([*NO_FILES, *live_records(0, 2)[:9]])
    assert writer.files() == {"sense.bin": CONTENT[:SIZE]}
    writer.task.close()
    found = scan(writer.files()["sense.bin"])
    assert found.damage == ()
    assert [sample.tobytes() for sample in found.records[1]["sensors"]][:3] == [m.raw for m in sense(1, 2)[:3]]  # type: ignore[attr-defined]
    writer.lose()


def test_continues_the_numbers_and_the_size_of_range_files(writer: WriterHome) -> None:
    file = SourceFile(seq=1, name="range/rng00007.bin", delivered_bytes=102)
    first = msgspec.structs.replace(live_ranges(STREAM[:1])[0], source=file.name, offset=0)
    many = [bytes([75, 60]) + k.to_bytes(4, "big") + bytes(6) for k in range(1_000_000, 1_005_000)]
    writer.write([file, NO_FILES[0], first, NO_FILES[1], *live_ranges(many)])
    files = writer.files()
    assert sorted(files) == ["range/rng00007.bin", "range/rng00008.bin", "range/rng00009.bin", "range/rng00010.bin"]
    assert [len(files[name]) for name in sorted(files)][1:3] == [FILE_BYTES // 12 * 12] * 2
    assert b"".join(files[name] for name in sorted(files)) == STREAM[0] + b"".join(many)


def test_range_file_numbers_wrap_around(tmp_path: Path) -> None:
    for name in ("home", "runtime"):
        (tmp_path / name).mkdir()
    folder = BatchFolder(tmp_path / "home", tmp_path / "runtime")
    folder.complete()
    row = BatchRow(folder, 75, ["range/rng00003.bin", "range/partner_K/rng65535.bin", "range/partner_K/rng65534.bin"])
    row.append(STREAM[0])
    assert (tmp_path / "home/pygnc_batch/range/partner_K/rng00000.bin").read_bytes() == STREAM[0]


def test_a_file_after_live_packets_does_not_reuse_their_name(writer: WriterHome) -> None:
    writer.write([*NO_FILES, *live_ranges(STREAM[:5])])
    file = SourceFile(seq=1, name="range/rng00000.bin", delivered_bytes=len(b"".join(STREAM[5:9])))
    late = [msgspec.structs.replace(message, source=file.name, offset=0) for message in live_ranges(STREAM[5:9])]
    writer.write([file, NO_FILES[0], *late, *live_ranges(STREAM[9:12])])
    assert writer.files() == {"range/rng00000.bin": b"".join(STREAM[:12])}


@pytest.mark.parametrize("lost_at", range(0, 30, 3))
def test_a_restarted_writer_writes_the_same_files(
    writer: WriterHome, lost_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [*batch(), *live_records(BATCH_RECORDS, 4), *live_ranges(STREAM[:4])]
    writer.write(messages[:lost_at])
    before = writer.files() if lost_at >= len(batch()) else {}
    writer.lose()
    pwrite = os.pwrite

    def watched(descriptor: int, content: bytes, offset: int) -> int:
        for name, was in before.items():  # nothing is cut or gone at any time
            assert writer.files()[name].startswith(was)
        return pwrite(descriptor, content, offset)

    monkeypatch.setattr("pygnc.outputs.batch_folder.os.pwrite", watched)
    writer.write(messages[lost_at:])
    assert writer.files() == {"sense.bin": CONTENT[: 4 * SIZE], "range/rng00000.bin": b"".join(STREAM[:4])}


def test_a_writer_killed_during_renaming_continues_in_the_same_files(writer: WriterHome) -> None:
    writer.write(batch())
    for file in writer.home.glob("pygnc_batch/*"):
        file.replace(f"{file}.part")
    writer.lose()
    writer.write(live_records(BATCH_RECORDS, 6))
    assert writer.files() == {"sense.bin": CONTENT}
    assert not (writer.home / "pygnc_batch_last").exists()


def test_keeps_the_last_runs_files_until_something_is_written(tmp_path: Path) -> None:
    old = tmp_path / "home" / "pygnc_batch"
    old.mkdir(parents=True)
    (old / "sense.bin").write_bytes(b"old")
    writer = WriterHome(tmp_path)
    writer.write(NO_FILES)
    assert writer.files() == {"sense.bin": b"old"}
    writer.write(live_records(0, 1))
    assert writer.files() == {"sense.bin": CONTENT[:SIZE]}
    assert writer.files("pygnc_batch_last") == {"sense.bin": b"old"}
    writer.close()


def test_an_incomplete_batch_does_not_replace_the_last_one(tmp_path: Path) -> None:
    for name in ("pygnc_batch/range/rng00000.bin.part", "pygnc_batch/sense.bin", "pygnc_batch_last/sense.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "pygnc_batch" / "link").symlink_to(tmp_path)
    assert retire_batch(tmp_path)
    assert not (tmp_path / "pygnc_batch").exists()
    assert (tmp_path / "pygnc_batch_last" / "sense.bin").read_bytes() == b"pygnc_batch_last/sense.bin"
    shutil.rmtree(tmp_path / "pygnc_batch_last")
    assert not retire_batch(tmp_path)


def test_a_run_from_the_last_one_appends_new_packets(tmp_path: Path) -> None:
    writer = WriterHome(tmp_path, from_last_run=True)
    last = SourceFile(seq=1, name="pygnc_batch_last/sense.bin", delivered_bytes=2 * SIZE)
    row = SourceFile(seq=1, name="pygnc_batch_last/range/rng00004.bin", delivered_bytes=len(STREAM[0]))
    home = SourceFile(seq=1, name="sense.bin", delivered_bytes=6 * SIZE)
    begin = [
        *[msgspec.structs.replace(message, source=last.name) for message in sense(0, 2)],
        msgspec.structs.replace(live_ranges(STREAM[:1])[0], source=row.name, offset=0),
    ]
    writer.write([last, row, home, NO_FILES[0], *begin, *sense(2, 4), NO_FILES[1]])
    writer.write([*live_records(4, 6), *live_ranges(STREAM[1:3])])
    expected = {"sense.bin": CONTENT, "range/rng00004.bin": STREAM[0], "range/rng00005.bin": b"".join(STREAM[1:3])}
    assert writer.files() == expected
    writer.close()


def test_the_folder_stops_growing_at_its_ceiling(writer: WriterHome) -> None:
    writer.task.run = dataclasses.replace(writer.run, settings=Settings(batch=BatchSettings(ceiling_bytes=100_000)))
    writer.write([*NO_FILES, *live_records(0, 2)])
    assert writer.task._folder is not None
    writer.task._folder.written_bytes = 100_001
    writer.task._sync_at_s = 0.0
    writer.write(live_records(2, 4))
    writer.write(live_records(4, 6))
    assert writer.events == ["batch_not_written"]
    assert writer.files()["sense.bin"] in {CONTENT[: k * SIZE] for k in (2, 3, 4)}
    assert writer.task.progress().counts["not_recorded"] == 1


def test_a_full_disk_keeps_existing_files(writer: WriterHome, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.write([*batch(), *live_records(BATCH_RECORDS, 4)])
    monkeypatch.setattr("pygnc.outputs.batch_folder.os.pwrite", lambda *_: 7)
    writer.write(live_records(4, 6))
    assert writer.events == ["batch_not_written"]
    assert writer.task.progress().counts["not_recorded"] == 1
    assert writer.files() == {"sense.bin": CONTENT[: 4 * SIZE]}


def test_a_disk_that_stays_full_is_reported_once(writer: WriterHome) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write_again(messages: Sequence[Message]) -> None:
        writer.task._return_at_s = 0.0
        writer.write(messages)

    with pytest.MonkeyPatch.context() as full:  # of inodes, so that free blocks do not show it
        full.setattr("pygnc.outputs.batch_folder.os.pwrite", fail)
        writer.write(batch())
        for _ in range(3):
            write_again([])
        assert writer.events == ["batch_not_written"]
    write_again(live_records(BATCH_RECORDS, 4))
    assert writer.files() == {"sense.bin": CONTENT[: 4 * SIZE]}
    assert writer.task.progress().counts["not_recorded"] == 0
    with pytest.MonkeyPatch.context() as full:
        full.setattr("pygnc.outputs.batch_folder.os.pwrite", fail)
        writer.write(live_records(4, 6))
    assert writer.events == ["batch_not_written"] * 2


def test_all_complete_packets_survive_a_power_cut() -> None:
    for cut in range(len(CONTENT) - 2 * SIZE, len(CONTENT) + 1):
        for rest in (b"", bytes(37)):  # a file system may leave zeros where data were to be
            assert scan(CONTENT[:cut] + rest).records.tobytes() == CONTENT[: cut // SIZE * SIZE], cut
    content = b"".join(STREAM)
    ends = np.cumsum([len(packet) for packet in STREAM]).tolist()
    for cut in range(len(content) - 150, len(content) + 1):
        found = RangeScanner().finish(content[:cut])
        assert len(found.kinds) >= sum(end <= cut for end in ends) - (cut not in ends), cut


@given(st.lists(st.sampled_from(range(len(STREAM))), max_size=100))
def test_range_packets_in_any_order_are_read_again(order: list[int]) -> None:
    kept: list[int] = []
    for index in order:  # as the writer leaves repeats out
        if index not in kept:
            kept.append(index)
    content = b"".join(STREAM[index] for index in kept)
    found = RangeScanner().finish(content)
    ranges = [STREAM[index] for index in kept if len(STREAM[index]) == 12]
    assert found.ranges.tobytes() == b"".join(ranges)
    assert found.damage == ()
