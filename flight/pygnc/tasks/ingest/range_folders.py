"""Where range files lie: ours under the names of the interface document and of the older code, partners' in folders."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.ranges import FILE_NUMBERS, consecutive_runs, range_file_number

LEGACY_FILE: Final = "range.bin"
"""The older code's name: continues nothing, and nothing continues it."""
_PARTNER: Final = re.compile(r"partner_(.*)")
_IDS: Final = {str(number): number for number in PARTNER_IDS} | {chr(number): number for number in PARTNER_IDS}
_REMEDY: Final = (
    f"name it partner_{PARTNER_IDS[0]} to partner_{PARTNER_IDS[-1]}, by the radio id of whose files it holds"
)


class RangeFolder(NamedTuple):
    """A folder of range files.

    Attributes:
        prefix: What stands in front of its files' names, below the home folder (or another one).
        satellite_id: Radio id of the partner that wrote them; 0: our own.
        names: The range files in it, in no order.
    """

    prefix: str
    satellite_id: int
    names: frozenset[str]

    def rows(self) -> Iterator[list[str]]:
        """Rows of files that continue each other, by their names below the home folder."""
        if LEGACY_FILE in self.names:
            yield [f"{self.prefix}{LEGACY_FILE}"]
        numbers = [number for name in self.names if (number := range_file_number(name)) is not None]
        for row in consecutive_runs(numbers):
            yield [f"{self.prefix}rng{number:05d}.bin" for number in row]


class UnreadableFile(NamedTuple):
    """What cannot be read, below the home folder, and why."""

    name: str
    reason: str


def list_range_files(home: Path, own_id: int, prefix: str = "") -> tuple[list[RangeFolder], list[UnreadableFile]]:
    """Find all range files below the home folder by their names; `own_id` is our own radio id.

    With a `prefix` such as "folder/" they are looked for there, as if it were the home.
    """
    faults: list[UnreadableFile] = []
    names = [
        *_numbered(_names(home, prefix, faults)),
        *([LEGACY_FILE] if (home / prefix / LEGACY_FILE).exists() else []),
    ]
    folders, unreadable = list_range_folder(home, f"{prefix}range/", own_id)
    return [RangeFolder(prefix, 0, frozenset(names)), *folders], faults + unreadable


def list_range_folder(root: Path, prefix: str, own_id: int) -> tuple[list[RangeFolder], list[UnreadableFile]]:
    """Find our own files in the folder `prefix` below `root`, and in folders in it those of partners."""
    faults: list[UnreadableFile] = []
    names = _names(root, prefix, faults)
    folders = [RangeFolder(prefix, 0, frozenset(_numbered(names)))]
    for path, satellite_id in _partner_folders(prefix, names, own_id, faults):
        folders.append(RangeFolder(path, satellite_id, frozenset(_numbered(_names(root, path, faults)))))
    return folders, faults


def satellite_of(name: str) -> int:
    """The radio id in the name of a range file below the home folder; 0: our own file."""
    match = _PARTNER.fullmatch(Path(name).parent.name)
    return _IDS.get(match[1], 0) if match else 0


def is_next_file(before: str, name: str) -> bool:
    """Whether a range file is the one behind another, by their names below the home folder; 0 follows 65535."""
    one, other = Path(before), Path(name)
    number, next_number = range_file_number(one.name), range_file_number(other.name)
    if number is None or next_number is None or one.parent != other.parent:
        return False
    return next_number == (number + 1) % FILE_NUMBERS


def _partner_folders(
    prefix: str, names: Sequence[str], own_id: int, faults: list[UnreadableFile]
) -> list[tuple[str, int]]:
    """Prefixes and radio ids of the partners' folders among `names`; those left out become faults."""
    found: dict[int, str] = {}
    for folder in sorted(name for name in names if _PARTNER.fullmatch(name)):
        path = f"{prefix}{folder}"
        satellite_id = _IDS.get(folder.removeprefix("partner_"))
        if satellite_id is None:
            faults.append(UnreadableFile(path, f"names no radio id; {_REMEDY}"))
        elif satellite_id == own_id:
            remedy = "put our own files beside it, or set [formation] own_id to our radio id"
            faults.append(UnreadableFile(path, f"{own_id} is our own radio id; {remedy}"))
        elif satellite_id in found:
            faults.append(
                UnreadableFile(path, f"{found[satellite_id]} is of the same satellite; put its files into one folder")
            )
        else:
            found[satellite_id] = path
    return [(f"{path}/", satellite_id) for satellite_id, path in sorted(found.items())]


def _numbered(names: Sequence[str]) -> list[str]:
    return [name for name in names if range_file_number(name) is not None]


def _names(home: Path, prefix: str, faults: list[UnreadableFile]) -> list[str]:
    try:
        return os.listdir(home / prefix)  # noqa: PTH208 - names alone: this is done every second
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        faults.append(UnreadableFile(prefix, error.strerror or str(error)))
        return []
