"""Journals on disks that are full, slow, dying or gone."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pygnc.bus import journal_files, journal_reader, journal_writer
from pygnc.bus.journal_files import list_segments, recover_folder
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import SEGMENT_BYTES, SPARE_SEGMENTS, JournalWriter
from tests.pygnc.bus.journals import HEADER, journaled, payloads_of


def test_a_file_without_room_for_its_footer_is_not_reported_as_recovered(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JournalWriter(disk, memory, "input", HEADER).append([b"one"])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal_files, "write_all", refuse)
    assert recover_folder(disk) == []
    assert list_segments([disk])[0].is_open


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


def test_a_folder_that_cannot_be_read_counts_as_empty_only_after_an_io_error(
    disk: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JournalWriter(disk, memory, "input", HEADER)
    monkeypatch.setattr(journal_files, "retry_read", failing(errno.EIO, errno.EACCES))
    assert list_segments([disk]) == []
    with pytest.raises(PermissionError):
        list_segments([disk])
