"""The two files that keep settings changed over the line."""

from pathlib import Path
from typing import Final

from pygnc.common.files import durable_write

NAMES: Final = ("pygnc_settings_0.bin", "pygnc_settings_1.bin")


class FileSlots:
    """Two small files in the home.

    Args:
        home: the host's folder.
    """

    def __init__(self, home: Path) -> None:
        self._paths = [home / name for name in NAMES]

    @property
    def exist(self) -> bool:
        """Whether there is any."""
        return any(path.exists() for path in self._paths)

    def read(self, slot: int) -> bytes:
        """See `Slots`."""
        try:
            return self._paths[slot].read_bytes()
        except OSError:
            return b""

    def write(self, slot: int, content: bytes) -> None:
        """See `Slots`."""
        durable_write(self._paths[slot], content)
