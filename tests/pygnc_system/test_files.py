"""Tests of the durable file operations."""

import errno
import itertools
import os
import stat
import time
from pathlib import Path

import pytest

from pygnc_system import files


def test_durable_write_replaces_a_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "status.bin"
    path.write_bytes(b"old and longer")
    files.durable_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_durable_write_creates_a_file_with_the_given_permissions(tmp_path: Path) -> None:
    path = tmp_path / "key"
    files.durable_write(path, b"secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_durable_write_keeps_the_old_file_when_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "status.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        files.durable_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_durable_write_syncs_content_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status.bin"
    seen: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files.durable_write(path, b"new")
    assert seen == [(False, False), (True, True)]


def test_durable_append_keeps_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"one")
    files.durable_append(path, b"two")
    assert path.read_bytes() == b"onetwo"


def test_write_all_continues_after_a_short_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write_two(_descriptor: int, data: memoryview) -> int:
        written.extend(data[:2])
        return min(2, len(data))

    monkeypatch.setattr(os, "write", write_two)
    files.write_all(1, b"seven b")
    assert written == b"seven b"


def test_reserve_space_occupies_blocks_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    files.reserve_space(path, 65_536)
    assert path.stat().st_blocks * 512 >= 65_536


def test_remove_folder_removes_everything_in_it_and_follows_no_link(tmp_path: Path) -> None:
    folder, other = tmp_path / "run", tmp_path / "other"
    (folder / "inner").mkdir(parents=True)
    other.mkdir()
    for path in (folder / "file", folder / "inner" / "file", other / "file"):
        path.touch()
    (folder / "inner" / "link").symlink_to(other)
    (folder / "broken").symlink_to(tmp_path / "missing")
    files.remove_folder(folder)
    assert not folder.exists()
    assert (other / "file").exists()
    files.remove_folder(folder)


def test_remove_folder_raises_an_error_if_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.remove_folder(tmp_path / "file")


def test_a_fifo_a_device_and_a_folder_are_no_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            files.read_input(path, 1000)
    with pytest.raises(IsADirectoryError):
        files.read_input(tmp_path, 1000)


def test_a_file_is_read_up_to_its_maximum_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert files.read_input(path, 7) == b"content"
    with pytest.raises(OSError, match="7 bytes are more than the maximum of 6 bytes"):
        files.read_input(path, 6)
    os.truncate(path, 4 << 30)
    assert files.read_input(path, 8, cut=True) == b"content\0"


class Card:
    """A card that fails to read some bytes of all files, some times.

    Attributes:
        failures: Number of reads that fail from now on.
        number: Number of their error.
        attempts: Number of reads so far.
        bad_from: Offset from which all reads of all files fail.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures = 0
        self.number = errno.EIO
        self.attempts = 0
        self.bad_from = 1 << 40
        self._pread = os.pread
        monkeypatch.setattr(os, "pread", self.pread)
        monkeypatch.setattr(files, "_READ_PAUSE_S", 0.0)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        self.attempts += 1
        self.failures -= 1
        if self.failures >= 0 or offset >= self.bad_from:
            raise OSError(self.number, os.strerror(self.number))
        return self._pread(descriptor, min(size, self.bad_from - offset), offset)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    return Card(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with content."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_read_is_repeated_after_an_error(path: Path, card: Card) -> None:
    card.failures = files.READ_ATTEMPTS - 1
    assert files.read_input(path, 100) == b"content"
    card.failures = files.READ_ATTEMPTS
    with pytest.raises(OSError, match="Input/output error"):
        files.read_input(path, 100)


def test_a_read_for_which_memory_was_short_is_repeated(path: Path, card: Card) -> None:
    card.failures, card.number = 3, errno.ENOMEM
    assert files.read_input(path, 100) == b"content"


def test_bytes_before_unreadable_ones_are_returned(path: Path, card: Card) -> None:
    card.bad_from = 3
    descriptor = files.open_input(path)
    try:
        assert files.read_at(descriptor, 7, 1) == b"on"
        with pytest.raises(OSError, match="Input/output error"):
            files.read_at(descriptor, 4, 3)
    finally:
        os.close(descriptor)
    with pytest.raises(OSError, match="Input/output error"):
        files.read_input(path, 100)


def test_a_dead_card_is_not_waited_for(path: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.read_input(path, 100) == b"content"
    now_s = itertools.count(time.monotonic())
    monkeypatch.setattr(time, "monotonic", lambda: next(now_s))  # each read takes a second
    monkeypatch.setattr(files, "_READ_PATIENCE_S", 6.0)
    assert files.read_input(path, 100) == b"content"
    attempts = []
    card.failures = 100
    for _ in range(11):
        before = card.attempts
        with pytest.raises(OSError, match="Input/output error"):
            files.read_input(path, 100)
        attempts.append(card.attempts - before)
    assert attempts[0] == 8
    assert sum(attempts[1:]) < 15
    card.failures = 0
    assert files.read_input(path, 100) == b"content"


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_durable_write_removes_what_is_in_place_of_its_part_file(tmp_path: Path, kind: str) -> None:
    part, other = tmp_path / "status.bin.part", tmp_path / "other"
    other.write_bytes(b"content")
    if kind == "fifo":
        os.mkfifo(part)
    elif kind == "folder":
        (part / "below").mkdir(parents=True)
    else:
        part.symlink_to(other)
    files.durable_write(tmp_path / "status.bin", b"new")
    assert (tmp_path / "status.bin").read_bytes() == b"new"
    assert other.read_bytes() == b"content"
    assert not os.path.lexists(part)


def test_overwrites_a_file_in_place(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"longer than the new content")
    inode = path.stat().st_ino
    files.overwrite(path, b"short")
    assert (path.read_bytes(), path.stat().st_ino) == (b"short", inode)


def test_replacing_renames_a_synced_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")
    with files.replacing(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"new", [path])


def test_replacing_keeps_the_old_file_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")

    def fail(part: Path) -> None:
        part.write_bytes(b"new")
        raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"), files.replacing(path) as part:
        fail(part)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


@pytest.mark.parametrize(("mode", "have"), [(0o600, False), (0o700, False), (0o640, True), (0o604, True)])
def test_other_users_have_access_by_any_permission(tmp_path: Path, mode: int, have: bool) -> None:  # noqa: FBT001 - parameter
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    assert files.others_have_access(path) is have
