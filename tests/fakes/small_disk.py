"""Small file systems that become full, read-only or unreadable."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest


@contextmanager
def disk_of(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of a size, such as 400k; a test that may not is skipped."""
    folder.mkdir()
    mount = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip(f"needs the right to mount a file system: {mount.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True)


def fill(file: Path) -> None:
    """Write zeros into a file until its file system is full."""
    with file.open("wb", buffering=0) as opened:
        size = 1 << 20
        while size:
            try:
                opened.write(bytes(size))
            except OSError:
                size //= 2


def fill_inodes(folder: Path) -> None:
    """Create empty files until the file system has no inode left."""
    for number in count():
        try:
            (folder / f"empty{number}").touch()
        except OSError:
            return


class DyingDisk:
    """An ext4 file system in a file; its faults are those of a dying card.

    Attributes:
        folder: where it is mounted.
        image: file that contains it.
    """

    _GOING_DOWN = 0x8004587D
    """EXT4_IOC_SHUTDOWN."""
    _WITHOUT_FLUSH = 2

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self.image = image

    def sync(self) -> None:
        """Write this file system to its disk; the other disks of the computer may be busy."""
        subprocess.run(["/bin/sync", "--file-system", self.folder], check=True)

    def turn_read_only(self) -> None:
        """Let every change fail with EROFS from now on, as after an error of the file system."""
        subprocess.run(["/bin/mount", "-o", "remount,abort", self.folder], check=True)

    def fail(self) -> None:
        """Let every read and write fail with EIO from now on."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, self._GOING_DOWN, struct.pack("I", self._WITHOUT_FLUSH))
        finally:
            os.close(descriptor)

    def remount(self) -> None:
        """Mount again what has arrived on the disk, as after a power cut; no process may use it."""
        subprocess.run(["/bin/umount", self.folder], check=True)
        subprocess.run(["/bin/mount", "-o", "loop", self.image, self.folder], check=True)


@contextmanager
def dying_disk_of(folder: Path, size: str, *options: str) -> Iterator[DyingDisk]:
    """Make and mount an ext4 file system of a size, such as 8M; a test that may not is skipped."""
    folder.mkdir()
    image = folder.with_name(f"{folder.name}.img")
    commands: list[list[str | Path]] = [
        ["/usr/bin/truncate", "-s", size, image],
        ["/sbin/mkfs.ext4", "-q", *options, image],
        ["/bin/mount", "-o", "loop", image, folder],
    ]
    for command in commands:
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except FileNotFoundError as error:
            pytest.skip(f"needs {error.filename}")
        if done.returncode:
            pytest.skip(f"needs the right to mount a file system: {done.stderr.decode().strip()}")
    try:
        yield DyingDisk(folder, image)
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True)
        image.unlink()
