"""Check of the files that a run has left in the Pi's home folder, after power-off."""

from contextlib import closing
from pathlib import Path

from pygnc.bus.journal_files import list_segments
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import LIVE, GnssFix, RangeMeasurement, SensorSample, TimeMark
from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc.inputs.journaled import decode_input
from pygnc_cli.document import Document
from pygnc_ground.inspection.journal import count_journal

_LIVE = (SensorSample, GnssFix, RangeMeasurement, TimeMark)
_ALL = 10_000_000


class HomeFigures(Document, frozen=True):
    """Home folder of the emulated Pi after power-off: journal files, and live packets in the input journals."""

    journals: int
    live_packets: int


def check_home(home: Path, *, was_closed: bool = True) -> tuple[HomeFigures, list[str]]:
    """Read all journals, the status record and the info text, and return their figures and the errors.

    Args:
        home: Home folder of the Pi.
        was_closed: True if main.py has ended by itself; all files must then be closed and the phase be STOPPED.
    """
    faults: list[str] = []
    segments = list_segments(_runs(home))
    for segment in segments:
        contents = count_journal(segment.path)
        name = segment.path.relative_to(home)
        if contents.damage.damaged_bytes:
            faults.append(f"{name}: {contents.damage.damaged_bytes} damaged bytes")
        if contents.missing_numbers:
            faults.append(f"{name}: {contents.missing_numbers} missing records")
        if was_closed and segment.is_open:
            faults.append(f"{name}: main.py did not close the file")
    faults += _status_faults(home, was_closed=was_closed)
    return HomeFigures(journals=len(segments), live_packets=sum(map(_count_live_packets, _runs(home)))), faults


def _count_live_packets(run: Path) -> int:
    with closing(JournalReader([run], "input")) as reader:
        messages = (decode_input(record.payload) for record in reader.read(_ALL))
        return sum(isinstance(message, _LIVE) and message.source == LIVE for message in messages)


def _status_faults(home: Path, *, was_closed: bool) -> list[str]:
    try:
        record = status.decode((home / "pygnc_status.bin").read_bytes())
        info = (home / "pygnc_info.txt").read_text("ascii")
    except (OSError, ValueError) as error:
        return [f"status or info: the file cannot be read: {error}"]
    faults = []
    if was_closed and record["phase"] != Phase.STOPPED:
        faults.append(f"pygnc_status.bin: the phase is {Phase(int(record['phase'])).name}, not STOPPED")
    if not info.startswith("PyGNC run") or len(info) >= 200:
        faults.append("pygnc_info.txt: not an info text of fewer than 200 characters")
    return faults


def _runs(home: Path) -> list[Path]:
    return sorted((home / "pygnc_logs").glob("run-*"))
