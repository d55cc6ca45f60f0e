"""Preparation of the last run's files: the open record is completed from the journal, the oldest data are removed."""

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from pygnc.bus.journal_files import list_segments
from pygnc.formats import journal
from pygnc.formats.sense_scan import scan
from pygnc.outputs.batch_folder import retire_batch
from pygnc.outputs.last_batch import add_open_record, remove_oldest
from tests.pygnc.tasks.batch_writer.test_task import CONTENT, NO_FILES, SIZE, STREAM, WriterHome, batch, live_records

LAST = "pygnc_batch_last"


def flown(folder: Path, packets: int, *, in_order: bool, with_batch: bool = False) -> Path:
    """The home after a run with so many live packets, which ended in order or by a power cut."""
    folder.mkdir()
    writer = WriterHome(folder)
    begin = 2 if with_batch else 0
    writer.write([*(batch() if with_batch else NO_FILES), *live_records(begin, 6)[:packets]])
    if in_order:
        writer.task.close()
    writer.close()
    shutil.copytree(writer.run.folder, writer.home / "pygnc_logs" / "run-00001")
    (writer.home / "pygnc_logs" / "run-00002").mkdir()  # the present run's
    assert retire_batch(writer.home)
    return writer.home


@pytest.mark.parametrize("packets", [6, 7, 8, 9, 11, 12, 13, 16, 23])
@pytest.mark.parametrize("with_batch", [False, True])
def test_the_open_record_equals_that_of_an_orderly_end(tmp_path: Path, packets: int, *, with_batch: bool) -> None:
    closed = flown(tmp_path / "closed", packets, in_order=True, with_batch=with_batch)
    cut = flown(tmp_path / "cut", packets, in_order=False, with_batch=with_batch)
    before = (cut / LAST / "sense.bin").read_bytes()
    added = add_open_record(cut)
    after = (cut / LAST / "sense.bin").read_bytes()
    assert after == (closed / LAST / "sense.bin").read_bytes()
    assert len(after) == len(before) + added * SIZE
    assert scan(after).damage == ()
    assert added == (packets % 6 > 1)
    assert add_open_record(cut) == 0
    assert add_open_record(closed) == 0


def test_ignores_the_journal_of_another_run(tmp_path: Path) -> None:
    home = flown(tmp_path / "cut", 9, in_order=False)
    (home / LAST / "sense.bin").write_bytes(CONTENT[4 * SIZE :])
    assert add_open_record(home) == 0
    assert (home / LAST / "sense.bin").read_bytes() == CONTENT[4 * SIZE :]


def test_messages_of_another_version_are_skipped(tmp_path: Path) -> None:
    home = flown(tmp_path / "cut", 9, in_order=False)
    (segment,) = list_segments([home / "pygnc_logs" / "run-00001"], "input")
    foreign = [["LaserRange", 1, 2.5], {"kind": "map"}, ["SensorSample", 1, "live", 7], ["GpsFix", 1, "live"], 7]
    payloads = [msgspec.msgpack.encode(message) for message in foreign]
    payloads += [b"\x93\xaaBatchBegin\x01" + b"\x91" * 10_000, b"\x93\xa8BatchEnd\x01\xa1\xff"]
    records = journal.encode_messages(1, payloads)
    segment.path.write_bytes(segment.path.read_bytes() + b"".join(records) + b"\xc1")
    assert add_open_record(home) == 1


@pytest.mark.parametrize("kind", ["fifo", "folder", "large"])
def test_a_journal_that_is_no_file_of_ours_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    home = flown(tmp_path / "cut", 9, in_order=False)
    (segment,) = list_segments([home / "pygnc_logs" / "run-00001"], "input")
    if kind == "large":
        os.truncate(segment.path, 4 << 30)
        assert add_open_record(home) == 1
        return
    segment.path.unlink()
    os.mkfifo(segment.path) if kind == "fifo" else segment.path.mkdir()
    with pytest.raises(OSError, match="not a regular file" if kind == "fifo" else "Is a directory"):
        add_open_record(home)


@pytest.mark.parametrize("content", [None, b"", b"noise" * 100, CONTENT[:-7]])
def test_adds_nothing_without_complete_records(tmp_path: Path, content: bytes | None) -> None:
    home = flown(tmp_path / "cut", 9, in_order=False)
    (home / LAST / "sense.bin").unlink()
    if content is not None:
        (home / LAST / "sense.bin").write_bytes(content)
    assert add_open_record(home) == 0


def ranged(home: Path, sizes: dict[str, int]) -> dict[str, int]:
    for name, size in sizes.items():
        path = home / LAST / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(STREAM)[:size])
    root = home / LAST
    remove_oldest(home, 4 * SIZE)
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def test_removes_the_oldest_range_files_and_records(tmp_path: Path) -> None:
    home = flown(tmp_path / "home", 36, in_order=True)
    sizes = {"range/rng65535.bin": 300, "range/rng00000.bin": 300, "range/rng00001.bin": 100}
    kept = ranged(home, {**sizes, "range/partner_75/rng00007.bin": 50})
    assert kept == {"sense.bin": 2 * SIZE, "range/rng00000.bin": 300, "range/rng00001.bin": 100} | {
        "range/partner_75/rng00007.bin": 50
    }
    assert (home / LAST / "sense.bin").read_bytes() == CONTENT[4 * SIZE :]


def test_one_kind_of_file_may_use_space_that_the_other_does_not_need(tmp_path: Path) -> None:
    home = flown(tmp_path / "home", 36, in_order=True)
    assert ranged(home, {"range/rng00000.bin": 200}) == {"sense.bin": 3 * SIZE, "range/rng00000.bin": 200}
    assert (home / LAST / "sense.bin").read_bytes() == CONTENT[3 * SIZE :]


def test_keeps_files_below_the_limit(tmp_path: Path) -> None:
    home = flown(tmp_path / "home", 36, in_order=True)
    assert remove_oldest(home, 6 * SIZE) == 0
    assert (home / LAST / "sense.bin").read_bytes() == CONTENT
