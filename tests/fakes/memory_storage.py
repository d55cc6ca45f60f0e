"""Storage in memory with an optional fault."""

import zlib
from dataclasses import dataclass, field

from pygnc.host.transfer import ListedFile, OpenedFile, Upload


@dataclass
class MemoryStorage:
    files: dict[str, bytes] = field(default_factory=dict)
    parts: dict[Upload, bytes] = field(default_factory=dict)
    fault: OSError | None = None

    def is_complete(self, upload: Upload) -> bool:
        content = self.files.get(upload.name)
        return content is not None and (len(content), zlib.crc32(content)) == (upload.size, upload.crc)

    def prepare(self, upload: Upload) -> int:
        self._fail()
        return len(self.parts.setdefault(upload, b""))

    def append(self, upload: Upload, data: bytes) -> None:
        self._fail()
        self.parts[upload] += data

    def complete(self, upload: Upload) -> bool:
        content = self.parts.pop(upload)
        if (len(content), zlib.crc32(content)) != (upload.size, upload.crc):
            return False
        self.files[upload.name] = content
        return True

    def listing(self) -> list[ListedFile]:
        return [ListedFile(name, len(content)) for name, content in self.files.items()]

    def open(self, name: str) -> OpenedFile:
        if name not in self.files:
            raise FileNotFoundError(2, "no such file")
        content = self.files[name]
        return OpenedFile(
            len(content), zlib.crc32(content), lambda size, start: content[start : start + size], lambda: None
        )

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault
