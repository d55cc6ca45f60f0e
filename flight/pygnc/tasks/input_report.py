"""What a person should know of input files, as events."""

from collections.abc import Sequence
from typing import Final

from pygnc.bus.messages import SourceFile
from pygnc.tasks.batch_files import BatchSource
from pygnc.tasks.range_folders import Fault
from pygnc.tasks.runtime import Notify

DAMAGE_EVENTS: Final = 10
"""So many damaged ranges of a file become events; the input journal lists more."""


def report_files(
    notify: Notify, sources: Sequence[BatchSource], files: Sequence[SourceFile], faults: Sequence[Fault]
) -> None:
    """Tell of files that cannot be read, of empty ones, of damage and of odd records."""
    for fault in faults:
        notify("error", "unreadable", f"{fault.name}: {fault.reason}; it is left out")
    for file in files:
        if not file.size_bytes:
            notify("warning", "empty", f"{file.name} is empty")
        for start, stop, reason in file.damage[:DAMAGE_EVENTS]:
            notify("warning", "damage", f"{file.name}: bytes {start} to {stop} left out: {reason}")
        if file.damaged_ranges > DAMAGE_EVENTS:
            more = file.damaged_ranges - DAMAGE_EVENTS
            notify("warning", "damage", f"{file.name}: {more} more damaged ranges; the journal lists more")
    for source in sources:
        for reason, count in source.anomalies.items():
            notify("warning", "anomaly", f"{source.names[0]}: {count} records: {reason}")
