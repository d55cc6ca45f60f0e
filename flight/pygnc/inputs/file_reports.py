"""Reports on input files for the event journal; a report is the severity, name and text of an event."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from pygnc.bus.messages import SourceFile
from pygnc.inputs.batch import is_of_last_run
from pygnc.inputs.source import BatchSource

DAMAGE_EVENTS: Final = 10
"""Maximum number of damaged ranges of a file that are reported as events; the input journal lists more."""

Report: TypeAlias = tuple[str, str, str]


def file_reports(sources: Sequence[BatchSource], files: Sequence[SourceFile]) -> Iterator[Report]:
    """Yield reports on unreadable, empty and damaged files, and on anomalies of the records of `sources`."""
    for file in files:
        if file.fault:
            yield "error", "unreadable", f"{file.name}: {file.fault}; the file is ignored"
        elif not file.size_bytes:
            yield "warning", "empty", f"{file.name}: the file is empty"
        for start, stop, reason in file.damage[:DAMAGE_EVENTS]:
            text = f"{file.name}: {stop - start} bytes at offset {start} are damaged ({reason}) and ignored"
            yield "warning", "damage", text
        if file.damaged_ranges > DAMAGE_EVENTS:
            more = file.damaged_ranges - DAMAGE_EVENTS
            yield "warning", "damage", f"{file.name}: {more} more damaged ranges; see the input journal"
    for source in sources:
        for reason, count in source.anomalies.items():
            yield "warning", "anomaly", f"{source.names[0]}: {count} records delivered with warning: {reason}"


def last_run_reports(sources: Sequence[BatchSource], start_s: int, newest_s: int | None) -> Iterator[Report]:
    """Yield reports on new and known packets of a run with --from-last-run, and on a restart of the host's clock.

    The spacecraft time is `start_s` at the start of the run; the newest in the files is `newest_s`, None without any.
    """
    known = sum(len(source.kept) for source in sources if is_of_last_run(source))
    parts = [f"{known} records and packets from the last run"]
    for source in sources:
        if not is_of_last_run(source):
            new, repeated = len(source.kept), len(source.keys) - len(source.kept)
            parts.append(f"{source.names[0]}: {new} new, {repeated} known")
    yield "info", "from_last_run", "; ".join(parts)
    if newest_s is not None and start_s < newest_s:
        text = f"spacecraft time {start_s} s at the start is before {newest_s} s in the last run's data"
        more = "the controller was restarted; predictions begin with its first GPS packets"
        yield "warning", "clock_fell_back", f"{text}: {more}"
