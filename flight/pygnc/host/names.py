"""The names under which the host may write and read files, below the home folder. All others are refused."""

import re
from typing import Final

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.ranges import range_file_number

_FIXED_WRITABLE: Final = frozenset({"sense.bin", "pygnc.toml", "pygnc_earth_orientation.csv", "flight.zip"})
_FIXED_READABLE: Final = frozenset({"pygnc_status.bin", "pygnc_info.txt", "pygnc_batch/sense.bin"})
_RANGE_FOLDERS: Final = frozenset({"range/", *(f"range/partner_{radio_id}/" for radio_id in PARTNER_IDS)})
_LETTER_FOLDERS: Final = frozenset(f"range/partner_{chr(radio_id)}/" for radio_id in PARTNER_IDS)
"""People may name a partner's folder so; the host names it by the number, lest a partner has two."""
_BATCH: Final = "pygnc_batch/"
_LOG: Final = re.compile(r"pygnc_logs/run-[0-9]{5}/[a-z_]{1,24}-[0-9]{5}\.pgj(\.part)?")


def is_writable(name: str) -> bool:
    """Whether the host may upload a file of this name."""
    return name in _FIXED_WRITABLE or _is_range_file(name, _RANGE_FOLDERS)


def is_readable(name: str) -> bool:
    """Whether the host may download a file of this name."""
    return name in _FIXED_READABLE or _LOG.fullmatch(name) is not None or _is_batch_range_file(name)


def _is_batch_range_file(name: str) -> bool:
    rest = name.removeprefix(_BATCH)
    return rest != name and (rest == "range.bin" or _is_range_file(rest, _RANGE_FOLDERS | _LETTER_FOLDERS | {""}))


def _is_range_file(name: str, folders: frozenset[str]) -> bool:
    folder, slash, file = name.rpartition("/")
    return folder + slash in folders and range_file_number(file) is not None
