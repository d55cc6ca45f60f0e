"""The log files that clients may name and read: plain CSV files in one folder, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pygnc_instruments.bridge.errors import BridgeError, Code

LARGEST_FILE_BYTES: Final = 32 * 1024 * 1024
SUFFIX: Final = ".csv"


def list_files(folder: Path) -> list[dict[str, Any]]:
    """Return name, size and time of each log file, the newest first."""
    if not folder.is_dir():
        return []
    found = [(path, path.stat()) for path in folder.iterdir() if _is_log(path)]
    return [
        {
            "name": path.name,
            "bytes": stat.st_size,
            "modified": datetime.fromtimestamp(stat.st_mtime, UTC).isoformat(timespec="seconds"),
        }
        for path, stat in sorted(found, key=lambda entry: (-entry[1].st_mtime, entry[0].name))
    ]


def load_file(folder: Path, name: str) -> dict[str, str]:
    """Return what a log file holds.

    Raises:
        BridgeError: there is no such log file, or it is too large for a message.
    """
    path = folder / name
    # A name that leads elsewhere is no name of a file here, and a link is no file of ours.
    if Path(name).name != name or "\0" in name or "\\" in name or not _is_log(path):
        raise BridgeError(Code.NO_FILE, f"there is no log file {name!r:.80}")
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        limit = f"{LARGEST_FILE_BYTES // 1024 // 1024} MiB"
        raise BridgeError(Code.TOO_LARGE, f"{name} has {size} bytes, more than {limit}: copy it from {folder}")
    return {"name": name, "text": path.read_text(errors="replace")}


def _is_log(path: Path) -> bool:
    return path.suffix == SUFFIX and path.is_file() and not path.is_symlink()
