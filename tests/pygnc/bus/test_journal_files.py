"""Journals after cuts, kills, full disks and damage."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.bus import journal_reader, journal_writer
from pygnc.bus.journal_files import last_number, list_segments, recover_folder
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import SEGMENT_BYTES, SPARE_SEGMENTS, JournalWriter
from pygnc.formats import journal
from pygnc_system.files import open_input
from tests.pygnc.bus.journals import HEADER, journaled, payloads_of


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


def test_closed_files_are_not_recovered(disk: Path, memory: Path) -> None:
    JournalWriter(disk, memory, "input", HEADER).close()
    assert recover_folder(disk) == []


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


def test_a_removed_file_is_replaced(disk: Path, memory: Path) -> None:
    writer = JournalWriter(disk, memory, "input", HEADER)
    writer.append([b"one"])
    writer.restore_file()
    assert len(list_segments([disk])) == 1
    list_segments([disk])[0].path.unlink()
    writer.restore_file()
    writer.append([b"two"])
    assert journaled(disk, memory) == [b"two"]


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
