"""What a run has left in the Pi's home, looked at once the power is off."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from pygnc.bus.journal_files import list_segments
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import LIVE, GpsFix, InputMessage, RangeMeasurement, SensorSample, TimeMark
from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc_ground.inspection.journal import count_journal

_LIVE = (SensorSample, GpsFix, RangeMeasurement, TimeMark)
_ALL = 10_000_000


class HomeCheck(NamedTuple):
    """What was found.

    Attributes:
        faults: what should not be so, in words; empty: all files are valid.
        journals: how many files were read.
        live: live packets in the input journals of all runs.
    """

    faults: list[str]
    journals: int
    live: int


def check_home(home: Path, *, ended_in_order: bool = True) -> HomeCheck:
    """Read every journal, the status record and the info line in a home.

    Args:
        home: of the Pi.
        ended_in_order: whether files must have been closed, and the status must say so.
    """
    faults: list[str] = []
    journals = 0
    for segment in list_segments(_runs(home)):
        journals += 1
        contents = count_journal(segment.path)
        name = segment.path.relative_to(home)
        if contents.damage.damaged_bytes:
            faults.append(f"{name}: {contents.damage.damaged_bytes} damaged bytes")
        if contents.missing_numbers:
            faults.append(f"{name}: {contents.missing_numbers} records are missing")
        if ended_in_order and segment.is_open:
            faults.append(f"{name}: was not closed")
    faults += _status_faults(home, ended_in_order=ended_in_order)
    return HomeCheck(faults, journals, sum(live_packets(run).total() for run in _runs(home)))


def live_packets(run: Path) -> Counter[bytes]:
    """Count the live packets in a run's input journal by their bytes."""
    decode = msgspec.msgpack.Decoder(InputMessage).decode
    reader = JournalReader([run], "input")
    messages = [decode(record.payload) for record in reader.read(_ALL)]
    reader.close()
    live = (message for message in messages if isinstance(message, _LIVE) and message.source == LIVE)
    return Counter(b"time mark" if isinstance(message, TimeMark) else message.raw for message in live)


def _status_faults(home: Path, *, ended_in_order: bool) -> list[str]:
    try:
        record = status.decode((home / "pygnc_status.bin").read_bytes())
        info = (home / "pygnc_info.txt").read_text("ascii")
    except (OSError, ValueError) as error:
        return [f"status or info: {error}"]
    faults = []
    if ended_in_order and record["phase"] != Phase.STOPPED:
        faults.append(f"pygnc_status.bin: the phase is {Phase(int(record['phase'])).name}, not STOPPED")
    if not info.startswith("PyGNC run") or len(info) >= 200:
        faults.append("pygnc_info.txt: not the info line")
    return faults


def _runs(home: Path) -> list[Path]:
    return sorted((home / "pygnc_logs").glob("run-*"))
