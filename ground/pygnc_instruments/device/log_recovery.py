"""Recovery of log files that a power cut or a killed program has left incomplete."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

from pygnc_instruments.device.log_files import PART, free_path, lock
from pygnc_system.files import durable_rename


def recover_logs(folder: Path) -> list[Path]:
    """Complete the `.part` files that a power cut or a killed program has left, and return their new paths.

    Each file is truncated to complete readings and renamed. Files that a running program is still writing are skipped.
    """
    recovered = []
    for part in sorted(folder.glob(f"*{PART}")):
        mend = _MENDERS.get(part.with_suffix("").suffix)
        if mend is None:
            continue
        with part.open("r+b") as file:
            if not lock(file.fileno()):
                continue
            is_empty = not mend(file)
            file.flush()
            os.fsync(file.fileno())
        if is_empty:
            part.unlink()
            continue
        path = part.with_suffix("")
        if path.exists():
            path = free_path(folder, path.stem, path.suffix, PART)
        durable_rename(part, path)
        recovered.append(path)
    return recovered


def _mend_csv(file: IO[bytes]) -> bool:
    """Truncate a file to complete lines; return False if none is left."""
    size = file.read().rfind(b"\n") + 1
    file.truncate(size)
    return size > 0


def _mend_mcap(file: IO[bytes]) -> bool:
    from pygnc_instruments.device.mcap_log import mend  # noqa: PLC0415 - loads its library on demand

    return mend(file)


_MENDERS: Final[Mapping[str, Callable[[IO[bytes]], bool]]] = {".csv": _mend_csv, ".mcap": _mend_mcap}
