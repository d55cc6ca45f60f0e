"""The files of the transfers, in a home folder. What is on its way in survives a restart and a power cut."""

import os
import re
import zlib
from pathlib import Path
from typing import Final

from pygnc.common.files import durable_rename, write_all
from pygnc.host.transfer import Listed, Upload, is_readable

_PORTION: Final = 65_536
_PART: Final = ".{name}.{size}-{crc:08x}.part"
"""Names what it will become, its size and CRC-32, so that an upload finds its own and no other."""


class HomeFiles:
    """Files below a home folder.

    Args:
        home: the folder.
        reserve_bytes: an upload may not take the file system's last bytes.
    """

    def __init__(self, home: Path, reserve_bytes: int) -> None:
        self._home = home
        self._reserve_bytes = reserve_bytes

    def has(self, upload: Upload) -> bool:
        """See `Storage`."""
        try:
            file = OpenFile(self._home / upload.name)
        except OSError:
            return False
        file.close()
        return (file.size, file.crc) == (upload.size, upload.crc)

    def stored(self, upload: Upload) -> int:
        """See `Storage`."""
        part = self._part(upload)
        part.parent.mkdir(parents=True, exist_ok=True)
        other = re.compile(rf"\.{re.escape(Path(upload.name).name)}\.\d+-[0-9a-f]{{8}}\.part")
        for path in list(part.parent.iterdir()):
            if other.fullmatch(path.name) and path != part:
                path.unlink(missing_ok=True)
        size = part.stat().st_size if part.exists() else 0
        if size > upload.size:
            part.unlink()
            size = 0
        system = os.statvfs(part.parent)
        if system.f_bavail * system.f_frsize < upload.size - size + self._reserve_bytes:
            raise OSError(28, f"no room for {upload.size - size} bytes and the reserve of {self._reserve_bytes}")
        return size

    def append(self, upload: Upload, data: bytes) -> None:
        """See `Storage`."""
        descriptor = os.open(self._part(upload), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def complete(self, upload: Upload) -> bool:
        """See `Storage`."""
        part = self._part(upload)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            is_good = os.fstat(descriptor).st_size == upload.size and _crc(descriptor, upload.size) == upload.crc
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not is_good:
            part.unlink()
            return False
        durable_rename(part, self._home / upload.name)
        return True

    def listing(self) -> list[Listed]:
        """See `Storage`. Status and info first, then what changed last."""
        patterns = ("pygnc_batch/*", "pygnc_batch/range/*", "pygnc_batch/range/*/*", "pygnc_logs/*/*")
        found = [("pygnc_status.bin", 2**63), ("pygnc_info.txt", 2**63 - 1)]
        found += [(str(path.relative_to(self._home)), 0) for pattern in patterns for path in self._home.glob(pattern)]
        listed = []
        for name, first in found:
            try:
                status = (self._home / name).stat()
            except OSError:
                continue  # removed meanwhile, to keep the logs below their ceiling
            if is_readable(name):
                listed.append((first or status.st_mtime_ns, Listed(name, status.st_size)))
        listed.sort(key=lambda item: (-item[0], item[1].name))
        return [entry for _, entry in listed]

    def open(self, name: str) -> "OpenFile":
        """See `Storage`."""
        return OpenFile(self._home / name)

    def _part(self, upload: Upload) -> Path:
        target = self._home / upload.name
        return target.with_name(_PART.format(name=target.name, size=upload.size, crc=upload.crc))


class OpenFile:
    """A file being read. It may grow or be replaced meanwhile: what is read is what was there at first."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.size = os.fstat(self._descriptor).st_size
            self.crc = _crc(self._descriptor, self.size)
        except OSError:
            os.close(self._descriptor)
            raise

    def read(self, offset: int, count: int) -> bytes:
        """See `Source`."""
        return os.pread(self._descriptor, count, offset)

    def close(self) -> None:
        """See `Source`."""
        os.close(self._descriptor)


def _crc(descriptor: int, size: int) -> int:
    """CRC-32 of the first `size` bytes."""
    crc, offset = 0, 0
    while offset < size:
        portion = os.pread(descriptor, min(_PORTION, size - offset), offset)
        if not portion:
            break
        crc = zlib.crc32(portion, crc)
        offset += len(portion)
    return crc
