"""All bytes of a port in a file that can be played: `file://x.raw`."""

import os
from datetime import datetime
from pathlib import Path

from pygnc_devices.engine import Engine
from pygnc_instruments.device.csv_log import LogError


class RawLog:
    """Keeps what comes, damaged or not, as it comes.

    Args:
        folder: made if missing.
        name: of the file, `.csv` replaced by `.raw`; "" to name it by the time.
        engine: of the device.

    Raises:
        LogError: the file cannot be made.
    """

    def __init__(self, folder: Path, name: str, engine: Engine) -> None:
        stem = name.removesuffix(".csv") or f"data-{datetime.now().astimezone():%Y_%m_%d_%H_%M_%S}"
        self._engine = engine
        self._error: OSError | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._descriptor = _create(folder, stem)
        except OSError as error:
            raise LogError(f"{error.filename}: {error.strerror}") from None
        engine.tap = self._take

    def close(self) -> Path:
        """End the file and return its name.

        Raises:
            LogError: some of it could not be written.
        """
        self._engine.tap = None
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        if self._error is not None:
            raise LogError(f"{self.path}: {self._error.strerror}; bytes are missing at its end")
        return self.path

    def _take(self, octets: bytes) -> None:
        """Write what came; called in the thread that owns the port, which must not suffer from a full disk."""
        try:
            while octets and self._error is None:
                octets = octets[os.write(self._descriptor, octets) :]
        except OSError as error:
            self._error = error


def _create(folder: Path, stem: str) -> tuple[Path, int]:
    number = 0
    while True:
        path = folder / (f"{stem}.raw" if number == 0 else f"{stem}-{number:03}.raw")
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            number += 1
