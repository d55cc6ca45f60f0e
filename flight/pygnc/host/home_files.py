"""Storage of transferred files in a home folder. Partial uploads survive restarts and power cuts."""

import contextlib
import errno
import os
import re
import stat
import zlib
from functools import partial
from pathlib import Path
from typing import Final

from pygnc.configuration.load import SETTINGS_FILE, checksum_path, write_checksum
from pygnc.host.transfer import ListedFile, OpenedFile, Upload, is_readable
from pygnc_system.files import NO_LINK, durable_rename, free_bytes, open_input, read_at, remove, sync_folder, write_all

_READ_BYTES: Final = 65_536
_SIZE_MAX: Final = 0xFFFF_FFFF
"""Largest file for which the interface has sizes and offsets; a larger one, if only a sparse file, is not listed."""
_CREATE: Final = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags of opening a partial upload; a FIFO or a link in its place is refused."""
_PART: Final = ".{name}.{size}-{crc:08x}.part"
"""File name of a partial upload, which contains name, size in bytes and CRC-32 (hexadecimal) of the whole file."""


class HomeFiles:
    """Implementation of `Storage` in the folder `home`; an upload must leave `reserve_bytes` of the disk free."""

    def __init__(self, home: Path, reserve_bytes: int) -> None:
        self._home = home
        self._reserve_bytes = reserve_bytes

    def is_complete(self, upload: Upload) -> bool:
        """Return True if the file in place has the size and CRC-32 of the upload; see `Storage`."""
        try:
            if (self._home / upload.name).stat().st_size != upload.size:
                return False
            opened = self.open(upload.name)
        except OSError:
            return False
        opened.close()
        return (opened.size, opened.crc) == (upload.size, upload.crc)

    def prepare(self, upload: Upload) -> int:
        """Return the stored bytes of an upload after checking the free space; see `Storage`."""
        part = self._part(upload)
        part.parent.mkdir(parents=True, exist_ok=True)
        other = re.compile(rf"\.{re.escape(Path(upload.name).name)}\.\d+-[0-9a-f]{{8}}\.part")
        for path in list(part.parent.iterdir()):
            if other.fullmatch(path.name) and path != part:
                remove(path)
        size = 0
        with contextlib.suppress(FileNotFoundError):
            status = part.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size <= upload.size:
                size = status.st_size
            else:
                remove(part)
        rest = upload.size - size
        if free_bytes(part.parent) < rest + self._reserve_bytes:
            text = f"no space for {rest} bytes beside the reserve of {self._reserve_bytes} bytes"
            raise OSError(errno.ENOSPC, text)
        return size

    def append(self, upload: Upload, data: bytes) -> None:
        """Append bytes to the partial file, which only `complete` syncs to the disk; see `Storage`."""
        descriptor = os.open(self._part(upload), os.O_WRONLY | os.O_APPEND | _CREATE, 0o644)
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def complete(self, upload: Upload) -> bool:
        """Check, sync and rename the partial file; delete it and return False if it is wrong; see `Storage`.

        Settings get a checksum beside them.
        """
        part = self._part(upload)
        descriptor = os.open(part, os.O_RDWR | _CREATE, 0o644)
        try:
            is_good = os.fstat(descriptor).st_size == upload.size and _crc(descriptor, upload.size) == upload.crc
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not is_good:
            part.unlink()
            return False
        target = self._home / upload.name
        if upload.name == SETTINGS_FILE:
            # At a power cut between the two files, a checksum of the old content would make the new one unusable.
            checksum_path(target).unlink(missing_ok=True)
            sync_folder(self._home)
        durable_rename(part, target)
        for folder in Path(upload.name).parents[1:]:  # `prepare` may have made the folders below these
            sync_folder(self._home / folder)
        if upload.name == SETTINGS_FILE:
            with contextlib.suppress(OSError):  # the settings are in place and can be used without a checksum
                write_checksum(target)
        return True

    def listing(self) -> list[ListedFile]:
        """Return the readable files: status, info text and mean elements, then all others from the newest on."""
        patterns = ("pygnc_batch/*", "pygnc_batch/range/*", "pygnc_batch/range/*/*", "pygnc_logs/*/*")
        found = [("pygnc_status.bin", 2**63), ("pygnc_info.txt", 2**63 - 1), ("pygnc_omm.bin", 2**63 - 2)]
        found += [(str(path.relative_to(self._home)), 0) for pattern in patterns for path in self._home.glob(pattern)]
        listed = []
        for name, first in found:
            try:
                status = (self._home / name).stat()
            except OSError:
                continue  # an old journal may have been removed meanwhile to limit the disk use
            if is_readable(name) and status.st_size <= _SIZE_MAX:
                listed.append((first or status.st_mtime_ns, ListedFile(name, status.st_size)))
        listed.sort(key=lambda item: (-item[0], item[1].name))
        return [entry for _, entry in listed]

    def open(self, name: str) -> OpenedFile:
        """Open a file as it is now; bytes appended later, or a file that replaces it, are not read; see `Storage`."""
        descriptor = open_input(self._home / name, NO_LINK)
        try:
            size = os.fstat(descriptor).st_size
            if size > _SIZE_MAX:
                raise OSError(errno.EFBIG, f"{name} is larger than {_SIZE_MAX} bytes")  # noqa: TRY301 - closed below
            crc = _crc(descriptor, size)
        except OSError:
            os.close(descriptor)
            raise
        return OpenedFile(size, crc, partial(read_at, descriptor), partial(os.close, descriptor))

    def _part(self, upload: Upload) -> Path:
        target = self._home / upload.name
        return target.with_name(_PART.format(name=target.name, size=upload.size, crc=upload.crc))


def _crc(descriptor: int, size: int) -> int:
    crc = 0
    for offset in range(0, size, _READ_BYTES):
        crc = zlib.crc32(read_at(descriptor, min(_READ_BYTES, size - offset), offset), crc)
    return crc
