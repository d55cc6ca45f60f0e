"""Input files of which a disk does not deliver all bytes."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc.bus.messages import SensorSample, SourceFile
from pygnc.configuration.settings import Settings
from pygnc.inputs import batch, sense_file
from pygnc.inputs.batch import find_sources, record_messages
from pygnc.inputs.file_reports import file_reports
from pygnc.inputs.source import BatchSource
from pygnc_system import files
from tests.e2e.conftest import SENSE, SENSE_RECORD_BYTES, write_ranges

BLOCK = 4096
RECORDS = len(SENSE) // SENSE_RECORD_BYTES


class BadBlocks:
    """Blocks of all files on a card that cannot be read, numbered from 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.numbers: set[int] = set()
        self._pread = os.pread
        monkeypatch.setattr(os, "pread", self.pread)
        monkeypatch.setattr(files, "READ_ATTEMPTS", 2)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """Return the bytes before the first bad block, as the kernel does."""
        content = self._pread(descriptor, size, offset)
        bad = [number * BLOCK for number in self.numbers if offset < (number + 1) * BLOCK]
        good = max(0, min(bad, default=offset + size) - offset)
        if content and not good:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return content[:good]


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> BadBlocks:
    return BadBlocks(monkeypatch)


def scanned(home: Path) -> tuple[list[BatchSource], list[SourceFile]]:
    sources, unreadable = find_sources(home, Settings())
    for source in sources:
        for _ in source.scan():
            pass
    return sources, unreadable


def touched(numbers: set[int], records: int) -> Iterator[int]:
    """Yield the numbers of the records of which a part is in a block."""
    for record in range(records):
        first, last = record * SENSE_RECORD_BYTES // BLOCK, ((record + 1) * SENSE_RECORD_BYTES - 1) // BLOCK
        if {first, last} & numbers:
            yield record


@pytest.mark.parametrize("numbers", [{0}, {3}, {2, 5}, {2, 3, 4}, {len(SENSE) // BLOCK}])
def test_only_records_in_bad_blocks_are_lost(tmp_path: Path, blocks: BadBlocks, numbers: set[int]) -> None:
    (tmp_path / "sense.bin").write_bytes(SENSE)
    blocks.numbers = numbers
    (source,), unreadable = scanned(tmp_path)
    assert not unreadable
    (file,) = source.files
    lost = len(list(touched(numbers, RECORDS)))
    messages = [message for step in record_messages([source], 0) for message in step]
    assert sum(isinstance(message, SensorSample) for message in messages) == 5 * (RECORDS - lost)
    assert (file.size_bytes, file.damaged_bytes) == (len(SENSE), lost * SENSE_RECORD_BYTES)
    assert 0 < file.unread_bytes <= file.damaged_bytes
    reports = [text for severity, name, text in file_reports([source], [file]) if name == "damage"]
    assert any(f"at offset {min(numbers) * BLOCK} are damaged (unreadable)" in text for text in reports)


def test_a_file_without_a_readable_byte_is_unreadable(tmp_path: Path, blocks: BadBlocks) -> None:
    (tmp_path / "sense.bin").write_bytes(SENSE)
    blocks.numbers = set(range(len(SENSE) // BLOCK + 1))
    sources, unreadable = scanned(tmp_path)
    assert (sources, unreadable) == ([], [SourceFile(seq=0, name="sense.bin", fault="Input/output error")])


def test_what_is_beyond_the_maximum_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sense_file, "FILE_BYTES_MAX", len(SENSE))
    (tmp_path / "sense.bin").write_bytes(SENSE)
    os.truncate(tmp_path / "sense.bin", 4 << 30)
    (source,), unreadable = scanned(tmp_path)
    assert not unreadable
    (file,) = source.files
    assert (file.delivered_bytes, file.unread_bytes) == (len(SENSE), (4 << 30) - len(SENSE))
    assert file.damage == ((len(SENSE), 4 << 30, "unreadable"),)


def test_a_faulty_range_file_costs_only_its_own_packets(tmp_path: Path) -> None:
    write_ranges(tmp_path / "range")
    first, second = (tmp_path / "range" / f"rng0000{number}.bin" for number in range(2))
    for number in (3, 5):
        (tmp_path / "range" / f"rng0000{number}.bin").write_bytes(second.read_bytes())
    (tmp_path / "range" / "rng00002.bin").mkdir()
    os.mkfifo(tmp_path / "range" / "rng00004.bin")
    sources, unreadable = scanned(tmp_path)
    assert [file.name for file in unreadable] == ["range/rng00002.bin", "range/rng00004.bin"]
    names = [name for source in sources for name in source.names]
    assert names == [f"range/rng0000{number}.bin" for number in (0, 1, 3, 5)]
    assert sum(file.size_bytes for source in sources for file in source.files) == (
        first.stat().st_size + 3 * second.stat().st_size
    )


def test_range_files_are_read_as_far_as_the_memory_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ranges(tmp_path / "range")
    folder = tmp_path / "range"
    sizes = [path.stat().st_size for path in sorted(folder.iterdir())]
    for number in (2, 4):
        (folder / f"rng{number:05d}.bin").write_bytes(bytes(10_000))
    monkeypatch.setattr(batch, "BATCH_BYTES_MAX", sum(sizes) + 5_000)
    sources, unreadable = scanned(tmp_path)
    assert [name for source in sources for name in source.names] == ["range/rng00000.bin", "range/rng00001.bin"]
    assert [file.name for file in unreadable] == ["range/rng00002.bin", "range/rng00004.bin"]
    assert all("all range files have more than" in file.fault for file in unreadable)


@pytest.mark.parametrize("name", ["sense.bin", "range"])
def test_a_link_to_itself_and_a_file_in_place_of_a_folder_are_reported(tmp_path: Path, name: str) -> None:
    if name == "range":
        (tmp_path / name).touch()
    else:
        (tmp_path / name).symlink_to(name)
    sources, (fault,) = scanned(tmp_path)
    assert not sources
    assert fault.name.rstrip("/") == name
