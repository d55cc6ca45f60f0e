"""Search for range files: our own, under the names in docs/interface.md and of the older code, and partners' files."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from pygnc.bus.messages import SourceFile
from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.ranges import FILE_NUMBERS, consecutive_runs, range_file_number
from pygnc_system.files import retry_read

LEGACY_FILE: Final = "range.bin"
"""File name of the older code; no other file continues this file, or is continued by it."""
_PARTNER: Final = "partner_"
_IDS: Final = {str(number): number for number in PARTNER_IDS} | {chr(number): number for number in PARTNER_IDS}
_REMEDY: Final = (
    f"name the folder partner_{PARTNER_IDS[0]} to partner_{PARTNER_IDS[-1]}, after the radio id of the satellite"
)


class RangeFolder(NamedTuple):
    """A folder of range files.

    Attributes:
        prefix: Path of the folder below the home (or another root), with a slash; empty for the root itself.
        satellite_id: Radio id of the partner that wrote the files, 0 for our own.
        names: Names of the range files, unordered.
    """

    prefix: str
    satellite_id: int
    names: frozenset[str]

    def rows(self) -> Iterator[list[str]]:
        """Yield series of files that continue each other, as names relative to the root."""
        if LEGACY_FILE in self.names:
            yield [f"{self.prefix}{LEGACY_FILE}"]
        numbers = [number for name in self.names if (number := range_file_number(name)) is not None]
        for row in consecutive_runs(numbers):
            yield [f"{self.prefix}rng{number:05d}.bin" for number in row]


def unreadable_file(error: OSError, home: Path, name: str) -> SourceFile:
    """Return a report, with `seq` 0, on the unreadable file in `home` that the error names; otherwise on `name`."""
    path = Path(error.filename).relative_to(home) if error.filename else name
    return SourceFile(seq=0, name=str(path), fault=error.strerror or str(error))


def list_range_files(home: Path, own_id: int, prefix: str = "") -> tuple[list[RangeFolder], list[SourceFile]]:
    """Find all range files below `home`, or below its folder `prefix` (such as "folder/"); `own_id` is our radio id.

    Return the folders with their files, and reports on folders that cannot be read or have an invalid name.
    """
    faults: list[SourceFile] = []
    found = _names(home, prefix, faults)
    names = _numbered(found) + [name for name in found if name == LEGACY_FILE]
    folders, unreadable = list_range_folder(home, f"{prefix}range/", own_id)
    return [RangeFolder(prefix, 0, frozenset(names)), *folders], faults + unreadable


def list_range_folder(root: Path, prefix: str, own_id: int) -> tuple[list[RangeFolder], list[SourceFile]]:
    """Find our own files in the folder `prefix` below `root`, and partners' files in its subfolders.

    Return the folders with their files, and reports on folders that cannot be read or have an invalid name.
    """
    faults: list[SourceFile] = []
    names = _names(root, prefix, faults)
    folders = [RangeFolder(prefix, 0, frozenset(_numbered(names)))]
    for path, satellite_id in _partner_folders(prefix, names, own_id, faults):
        folders.append(RangeFolder(path, satellite_id, frozenset(_numbered(_names(root, path, faults)))))
    return folders, faults


def satellite_of(name: str) -> int:
    """Return the radio id of the satellite that wrote a range file, by the file's path; 0 for our own."""
    folder = Path(name).parent.name
    return _IDS.get(folder.removeprefix(_PARTNER), 0) if folder.startswith(_PARTNER) else 0


def is_next_file(before: str, name: str) -> bool:
    """Return True if `name` is the file that follows `before` in its folder; number 0 follows 65535."""
    return name == neighbour(before, 1)


def neighbour(name: str, step: int) -> str:
    """Return the name of the file `step` numbers later; empty if the name has no number."""
    folder, slash, file = name.rpartition("/")
    number = range_file_number(file)
    return "" if number is None else f"{folder}{slash}rng{(number + step) % FILE_NUMBERS:05d}.bin"


def _partner_folders(prefix: str, names: Sequence[str], own_id: int, faults: list[SourceFile]) -> list[tuple[str, int]]:
    """Return prefixes and radio ids of the partners' folders among `names`; report invalid ones in `faults`."""
    found: dict[int, str] = {}
    for folder in sorted(name for name in names if name.startswith(_PARTNER)):
        path = f"{prefix}{folder}"
        satellite_id = _IDS.get(folder.removeprefix(_PARTNER))
        if satellite_id is None:
            fault = f"the name contains no radio id; {_REMEDY}"
        elif satellite_id == own_id:
            remedy = "put our own files into its parent folder, or set [formation] own_id to our radio id"
            fault = f"{own_id} is our own radio id; {remedy}"
        elif satellite_id in found:
            fault = f"{found[satellite_id]} is of the same satellite; put all files of the satellite into one folder"
        else:
            found[satellite_id] = path
            continue
        faults.append(SourceFile(seq=0, name=path, fault=fault))
    return [(f"{path}/", satellite_id) for satellite_id, path in sorted(found.items())]


def _numbered(names: Sequence[str]) -> list[str]:
    return [name for name in names if range_file_number(name) is not None]


def _names(home: Path, prefix: str, faults: list[SourceFile]) -> list[str]:
    try:
        # Called every second, and Path objects would cost time.
        return retry_read(partial(os.listdir, home / prefix))
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(SourceFile(seq=0, name=prefix, fault=error.strerror or str(error)))
        return []
