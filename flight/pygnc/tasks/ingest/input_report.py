"""What a person should know of input files, as events."""

from collections.abc import Sequence
from typing import Final

from pygnc.bus.messages import SourceFile
from pygnc.common.clock import SpacecraftReading
from pygnc.tasks.ingest.batch_files import BatchSource
from pygnc.tasks.ingest.input_ledger import InputLedger
from pygnc.tasks.ingest.last_run import News
from pygnc.tasks.ingest.range_folders import Fault
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


def report_boot(notify: Notify, seq: int) -> None:
    """Tell of a new segment of the clock's map, known with input `seq`."""
    text = f"GPS packets up to input {seq} say that the spacecraft clock began anew or was set; it has another map now"
    notify("warning", "new_boot", text)


def report_resumption(
    notify: Notify, sources: Sequence[BatchSource], before: InputLedger, start: SpacecraftReading
) -> None:
    """Tell what a run that begins from the last one has begun with, and whether the controller was booted since."""
    news = [source for source in sources if isinstance(source, News)]
    written = sum(len(source.keys) for source in sources) - sum(len(source.keys) for source in news)
    parts = [f"{written} records and packets are the last run's"]
    parts += [f"{source.names[0]}: {len(source.keys)} more, {source.repeated} known" for source in news]
    notify("info", "from_last_run", "; ".join(parts))
    newest_s = before.newest_spacecraft_s
    if newest_s is not None and start.t_spacecraft_s < newest_s:
        text = f"the run was started at {start.t_spacecraft_s} s, before {newest_s} s of the last run: the controller "
        notify("warning", "clock_fell_back", f"{text}was booted anew; nothing is predicted until its GPS packets come")
