"""Journals after cuts, kills, full disks and damage."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.bus import journal_files, journal_reader, journal_writer
from pygnc.bus.journal_files import last_number, list_segments, recover_folder
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import SEGMENT_BYTES, SPARE_SEGMENTS, JournalWriter
from pygnc.formats import journal
from pygnc_system.files import open_input

HEADER = b"header"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (folder := tmp_path / "disk").mkdir()
    return folder


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (folder := tmp_path / "memory").mkdir()
    return folder


def payloads_of(reader: JournalReader) -> list[bytes]:
    found = []
    while records := reader.read(100):
        found += [record.payload for record in records]
    return found


def test_reads_messages_in_order_with_their_numbers(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one", b"two"])
    writer.append([b"three"])
    reader = JournalReader([disk, memory], "input")
    assert [(r.seq, r.payload) for r in reader.read(10)] == [(1, b"one"), (2, b"two"), (3, b"three")]
    assert reader.header == HEADER
    assert reader.read(10) == []
    writer.append([b"four"])
    assert [r.seq for r in reader.read(10)] == [4]


def test_a_reader_begins_after_the_given_number(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([bytes([k]) for k in range(20)])
    reader = JournalReader([disk, memory], "input", after_seq=17)
    assert [r.seq for r in reader.read(10)] == [18, 19, 20]


def test_reads_across_segments_without_a_gap(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    block = b"x" * 16_000
    count = 3 * SEGMENT_BYTES // len(block)
    reader = JournalReader([disk, memory], "input")
    seen = 0
    for _ in range(count):
        writer.append([block])
        seen += len(reader.read(1000))
    assert seen == count
    writer.close()
    assert len(list_segments([disk], "input")) >= 3
    assert not any(s.is_open for s in list_segments([disk], "input"))
    assert len(payloads_of(JournalReader([disk, memory], "input"))) == count


def test_a_new_writer_continues_after_a_torn_record(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one", b"two"])
    path = list_segments([disk], "input")[0].path
    with path.open("ab") as torn:
        torn.write(journal.encode(journal.Kind.MESSAGE, 3, b"torn")[:-2])
    again = JournalWriter(disk, memory, "input", HEADER)
    assert again.last_seq == 2
    again.append([b"three"])
    again.close()
    reader = JournalReader([disk, memory], "input")
    assert payloads_of(reader) == [b"one", b"two", b"three"]
    assert reader.damage == []


@settings(max_examples=60)
@given(cut=st.integers(min_value=0, max_value=400))
def test_every_complete_record_before_a_cut_survives(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    writer = JournalWriter(folder, folder, "input", HEADER)
    writer.append([bytes([k]) * k for k in range(12)])
    path = list_segments([folder])[0].path
    whole = path.read_bytes()
    kept = whole[: min(cut, len(whole))]
    path.write_bytes(kept)
    expected = [r.payload for r in journal.scan(kept).records if r.kind is journal.Kind.MESSAGE]
    recover_folder(folder)
    assert not list_segments([folder])[0].is_open
    reader = JournalReader([folder], "input")
    assert payloads_of(reader) == expected
    assert reader.damage == []


def test_a_recovered_file_is_marked(disk: Path, memory: Path) -> None:
    JournalWriter(disk, memory, "input", HEADER).append([b"one"])
    (path,) = recover_folder(disk)
    footer = journal.scan(path.read_bytes()).records[-1]
    assert footer.kind is journal.Kind.FOOTER
    assert b"recovered\xc3" in footer.payload


def test_what_is_no_journal_is_left_alone_and_a_huge_one_is_cut(disk: Path, memory: Path) -> None:
    JournalWriter(disk, memory, "input", HEADER).append([b"one"])
    (path,) = disk.iterdir()
    os.truncate(path, 4 << 30)
    os.mkfifo(disk / "attitude-00000.pgj.part")
    (disk / "events-00000.pgj.part").mkdir()
    (disk / "orbit-00000.pgj.part").symlink_to("/dev/zero")
    (closed,) = recover_folder(disk)
    assert closed.stat().st_size < 1000
    assert payloads_of(JournalReader([disk], "input")) == [b"one"]


def test_a_file_without_room_for_its_footer_is_not_reported_as_recovered(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JournalWriter(disk, memory, "input", HEADER).append([b"one"])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_files, "write_all", refuse)
    assert recover_folder(disk) == []
    assert list_segments([disk])[0].is_open


def test_closed_files_are_not_recovered(disk: Path, memory: Path) -> None:
    JournalWriter(disk, memory, "input", HEADER).close()
    assert recover_folder(disk) == []


def test_returns_to_the_disk_if_the_folder_in_memory_is_gone(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = ["the ceiling"]
    writer = JournalWriter(disk, memory, "input", HEADER, lambda _: refusals[0] if refusals else None)
    writer.append([b"lost"])
    shutil.rmtree(memory)
    refusals.clear()
    monkeypatch.setattr(journal_writer, "RETURN_INTERVAL_S", 0.0)
    monkeypatch.setattr(writer, "_return_at_s", 0.0)
    writer.sync_if_due()
    writer.append([b"on disk"])
    assert writer.fault == "records were lost while the disk was full"
    assert payloads_of(JournalReader([disk, memory], "input")) == [b"on disk"]


def test_a_full_disk_moves_the_journal_to_memory(disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"on disk"])
    limit = list_segments([disk])[0].path.stat().st_size + 10

    def write_until_full(descriptor: int, content: bytes) -> None:
        size = os.fstat(descriptor).st_size
        in_memory = memory.as_posix() in str(Path(f"/proc/self/fd/{descriptor}").readlink())
        os.write(descriptor, content if in_memory else content[: max(0, limit - size)])
        if not in_memory and size + len(content) > limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_files, "write_all", write_until_full)
    writer.append([b"in memory", b"also"])
    assert writer.fault is not None
    assert "No space left" in writer.fault
    reader = JournalReader([disk, memory], "input")
    assert payloads_of(reader) == [b"on disk", b"in memory", b"also"]
    assert reader.damage == []


def test_the_journal_stays_in_memory_if_the_disk_guard_refuses(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER, lambda _: "the ceiling")
    writer.append([b"one"])
    assert writer.fault == "the ceiling"
    assert list(disk.iterdir()) == []
    assert payloads_of(JournalReader([disk, memory], "input")) == [b"one"]
    writer.close()
    assert "earlier in the run" in str(JournalWriter(disk, memory, "input", HEADER).fault)


def test_a_journal_in_memory_keeps_only_its_newest_segments(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER, lambda _: "no disk")
    for _ in range((SPARE_SEGMENTS + 3) * SEGMENT_BYTES // 16_000):
        writer.append([b"x" * 16_000])
    assert len(list_segments([memory], "input")) == SPARE_SEGMENTS


def test_the_last_number_is_unknown_without_a_readable_file(disk: Path, memory: Path) -> None:
    assert last_number([disk, memory], "some") is None
    writer = JournalWriter(disk, memory, "some", b"")
    writer.append([b"1", b"2"])
    assert last_number([disk, memory], "some") == 2
    (file,) = disk.iterdir()
    file.write_bytes(bytes(99))
    assert last_number([disk, memory], "some") is None
    writer.close()


def test_damage_costs_only_the_records_it_touches(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([bytes([k]) * 50 for k in range(30)])
    writer.close()
    path = list_segments([disk])[0].path
    content = bytearray(path.read_bytes())
    records = journal.scan(bytes(content)).records
    hit = records[11].offset + 30
    content[hit : hit + 100] = bytes(100)
    path.write_bytes(content)
    reader = JournalReader([disk, memory], "input")
    numbers = [r.seq for r in reader.read(100)]
    touched = {
        r.seq for r in records if r.kind is journal.Kind.MESSAGE and r.offset < hit + 100 and r.offset + 70 > hit
    }
    assert numbers == [k for k in range(1, 31) if k not in touched]
    assert [(d.start, d.stop) for _, d in reader.damage] == [
        (min(r.offset for r in records if r.seq in touched), max(r.offset + 70 for r in records if r.seq in touched))
    ]


def test_the_last_record_is_synced_even_if_none_follows(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])
    writer.sync_if_due()
    writer.finish_sync()
    assert synced == []
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    for _ in range(2):
        writer.sync_if_due()
        writer.finish_sync()
        assert len(synced) == 1, "nothing new was written"


@pytest.mark.parametrize("is_closed", [False, True])
def test_the_names_of_a_new_file_and_of_its_folder_are_synced(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, *, is_closed: bool
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    writer = JournalWriter(disk, memory, "input", HEADER)
    if is_closed:
        writer.close()
    for payload in (b"one", b"two") if not is_closed else ():
        writer.append([payload])
        writer.sync_if_due()
        writer.finish_sync()
    assert {path for path in synced if path.is_dir()} == {disk.parent, disk}
    assert len(synced) == (4 if is_closed else 2), "only new names are synced"


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Syncs that last until this is set."""
    ready = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: ready.wait(30.0))
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    yield ready
    ready.set()


def test_a_writer_does_not_wait_for_a_slow_disk(disk: Path, memory: Path, slow_disk: threading.Event) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    for payload in (b"one", b"two", b"three"):
        writer.append([payload])
        writer.sync_if_due()
    assert payloads_of(JournalReader([disk, memory], "input")) == [b"one", b"two", b"three"]
    assert not slow_disk.is_set()
    slow_disk.set()
    writer.close()
    assert not list_segments([disk])[0].is_open


def test_records_written_during_a_sync_are_synced_by_the_next(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    writer = JournalWriter(disk, memory, "input", HEADER)
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    began, ready = threading.Event(), threading.Event()

    def slow_once(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        began.set()
        ready.wait(30.0)

    monkeypatch.setattr(os, "fdatasync", slow_once)
    writer.append([b"one"])
    writer.sync_if_due()
    assert began.wait(30.0)
    writer.append([b"two"])
    writer.sync_if_due()
    ready.set()
    writer.finish_sync()
    writer.sync_if_due()
    writer.finish_sync()
    assert len(sizes) == 2
    assert sizes[1] == list_segments([disk])[0].path.stat().st_size > sizes[0]


def test_a_failed_sync_moves_the_journal_to_memory(disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])
    monkeypatch.setattr(os, "fdatasync", refuse)
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    writer.sync_if_due()
    writer.finish_sync()
    assert writer.fault == f"{disk}: Input/output error"
    writer.append([b"two"])
    assert [len(list_segments([folder])) for folder in (disk, memory)] == [1, 1]
    assert payloads_of(JournalReader([disk, memory], "input")) == [b"one", b"two"]


def test_a_journal_continues_on_a_disk_that_has_room_again(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "RETURN_INTERVAL_S", 0.0)
    refusals = ["no room"]
    writer = JournalWriter(disk, memory, "input", HEADER, lambda _: refusals[0] if refusals else None)
    reader = JournalReader([disk, memory], "input")
    sent = [bytes([k]) * 16_000 for k in range(100)]  # two segments
    for payload in sent:
        writer.append([payload])
    found = payloads_of(reader)
    writer.append([b"before"])
    writer.sync_if_due()
    assert writer.fault == "no room"
    refusals.clear()
    writer.sync_if_due()
    assert writer.fault is None
    assert list_segments([memory]) == []
    writer.append([b"after"])
    assert found + payloads_of(reader) == [*sent, b"before", b"after"]
    writer.close()
    assert payloads_of(JournalReader([disk], "input")) == [*sent, b"before", b"after"]


def test_records_lost_while_the_disk_was_full_are_reported(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "RETURN_INTERVAL_S", 0.0)
    refusals = ["no room"]
    writer = JournalWriter(disk, memory, "input", HEADER, lambda _: refusals[0] if refusals else None)
    for _ in range((SPARE_SEGMENTS + 3) * SEGMENT_BYTES // 16_000):
        writer.append([b"x" * 16_000])
    refusals.clear()
    writer.sync_if_due()
    assert writer.fault == "records were lost while the disk was full"
    assert list_segments([memory]) == []


def test_a_dying_disk_is_not_used_again(disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "RETURN_INTERVAL_S", 0.0)
    asked: list[int] = []
    writer = JournalWriter(disk, memory, "input", HEADER, asked.append)

    def refuse(_: int, __: bytes) -> None:
        monkeypatch.undo()
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(journal_files, "write_all", refuse)
    writer.append([b"one"])
    writer.sync_if_due()
    assert writer.fault == f"{disk}: Read-only file system"
    assert asked == [SEGMENT_BYTES]
    assert payloads_of(JournalReader([disk, memory], "input")) == [b"one"]


def refuse_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def start_nothing(*_: object) -> None:
    """Do as Python does if there is no memory for the first frame of a new thread."""


@pytest.mark.parametrize("start", [refuse_thread, start_nothing])
def test_syncs_without_a_thread(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., None]
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("_thread.start_new_thread", start)
    monkeypatch.setattr(os, "fdatasync", synced.append)
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])
    writer.sync_if_due()
    writer.finish_sync()
    assert len(synced) == 1
    writer.close()


def failing(*numbers: int | None) -> Callable[..., None]:
    """A function that fails with these errors, one a call; the last one counts for all further calls."""
    left = [*numbers]

    def call(*_: object, **__: object) -> None:
        number = left.pop(0) if len(left) > 1 else left[0]
        if number is not None:
            raise OSError(number, os.strerror(number))

    return call


@pytest.fixture
def on_failing_disk(disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], JournalWriter]:
    """A function that makes a writer with a record, whose disk then fails in a function of `os`; memory does not."""

    def make(function: str, number: int) -> JournalWriter:
        writer = JournalWriter(disk, memory, "input", HEADER)
        writer.append([b"one"])
        real = getattr(os, function)

        def fail(descriptor: int, *rest: Any) -> Any:  # noqa: ANN401 - the arguments of any function of `os`
            if disk.as_posix() in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                raise OSError(number, os.strerror(number))
            return real(descriptor, *rest)

        monkeypatch.setattr(os, function, fail)
        return writer

    return make


def journaled(disk: Path, memory: Path) -> list[bytes]:
    return payloads_of(JournalReader([disk, memory], "input"))


def test_a_sync_that_fails_before_the_next_one_moves_the_journal_to_memory(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, on_failing_disk: Callable[[str, int], JournalWriter]
) -> None:
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    writer = on_failing_disk("fdatasync", errno.EIO)
    writer.sync_if_due()
    while writer.fault is None:
        writer.sync_if_due()
    writer.append([b"two"])
    assert journaled(disk, memory) == [b"one", b"two"]


def test_a_full_segment_that_cannot_be_closed_is_continued_in_memory(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, on_failing_disk: Callable[[str, int], JournalWriter]
) -> None:
    monkeypatch.setattr(journal_writer, "SEGMENT_BYTES", 10)
    writer = on_failing_disk("fsync", errno.EIO)
    writer.append([b"two"])
    assert writer.fault == f"{disk}: Input/output error"
    assert journaled(disk, memory) == [b"one", b"two"]


def test_an_error_at_the_end_is_the_fault_of_the_journal(
    disk: Path, on_failing_disk: Callable[[str, int], JournalWriter]
) -> None:
    writer = on_failing_disk("fsync", errno.EIO)
    writer.close()
    assert writer.fault == f"{disk}: Input/output error"


def test_a_journal_that_was_left_open_on_a_failing_disk_is_continued_in_memory(
    disk: Path, memory: Path, on_failing_disk: Callable[[str, int], JournalWriter]
) -> None:
    on_failing_disk("ftruncate", errno.EROFS)
    writer = JournalWriter(disk, memory, "input", HEADER)
    assert (writer.fault, writer.last_seq) == (f"{disk}: Read-only file system", 1)
    writer.append([b"two"])
    assert journaled(disk, memory) == [b"one", b"two"]


def test_a_disk_without_room_for_the_header_keeps_no_file(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "write_all", failing(errno.ENOSPC, None))
    writer = JournalWriter(disk, memory, "input", HEADER)
    assert list(disk.iterdir()) == []
    monkeypatch.setattr(journal_files, "write_all", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        writer.append([b"one"])
    monkeypatch.undo()
    writer.append([b"one"])
    assert writer.last_seq == 1


def test_a_removed_file_is_replaced(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])
    writer.restore_file()
    assert len(list_segments([disk])) == 1
    list_segments([disk])[0].path.unlink()
    writer.restore_file()
    writer.append([b"two"])
    assert journaled(disk, memory) == [b"two"]


def test_a_disk_that_is_full_again_leaves_the_journal_in_memory(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "RETURN_INTERVAL_S", 0.0)
    refusals: list[str | None] = ["no room", None]
    writer = JournalWriter(disk, memory, "input", HEADER, lambda _: refusals.pop(0))
    writer.append([b"one"])
    monkeypatch.setattr(journal_writer, "durable_write", failing(errno.ENOSPC))
    writer.sync_if_due()
    assert writer.fault == "no room"
    assert list(disk.iterdir()) == []
    assert journaled(disk, memory) == [b"one"]


def test_a_folder_that_cannot_be_read_counts_as_empty_only_after_an_io_error(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JournalWriter(disk, memory, "input", HEADER)
    monkeypatch.setattr(journal_files, "retry_read", failing(errno.EIO, errno.EACCES))
    assert list_segments([disk]) == []
    with pytest.raises(PermissionError):
        list_segments([disk])


@pytest.mark.parametrize("function", ["open_input", "read_at"])
def test_a_reader_continues_in_memory_after_an_io_error_of_the_disk(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])
    writer._leave_disk(OSError(errno.EIO, ""))
    writer.append([b"two"])
    real = getattr(journal_reader, function)
    fail = failing(errno.EIO, None)

    def once(*arguments: Any) -> Any:  # noqa: ANN401 - the arguments of both functions
        fail()
        return real(*arguments)

    monkeypatch.setattr(journal_reader, function, once)
    assert journaled(disk, memory) == [b"two"]
    monkeypatch.setattr(journal_reader, function, failing(errno.EACCES))
    with pytest.raises(PermissionError):
        journaled(disk, memory)


def test_a_file_that_is_renamed_after_it_was_listed_is_read_under_its_new_name(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])

    def close_first(path: Path) -> int:
        if path.name.endswith(".part"):
            writer.close()
        return open_input(path)

    monkeypatch.setattr(journal_reader, "open_input", close_first)
    assert journaled(disk, memory) == [b"one"]
