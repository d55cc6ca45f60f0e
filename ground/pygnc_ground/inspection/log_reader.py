"""Readers of logs and viewers that other packages add, for replays and `pygnc inspect`; see docs/plugins.md."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample
from pygnc.formats.damage import Damage
from pygnc_ground.inspection.sections import DamageTally, Entry, Facts, Listing, Note, Section, Viewer
from pygnc_system import plugins
from pygnc_system.plugins import PluginError

GROUP: Final = "pygnc.logs"
"""Group of the entry points of readers."""
VIEWERS: Final = "pygnc.viewers"
"""Group of the entry points of viewers of files that cannot be replayed."""
SEARCH_BYTES: Final = 1 << 26
"""Number of bytes in which the first record of a log is searched."""
_HIDDEN: Final = frozenset({"seq", "source"})

LogRecord: TypeAlias = SensorSample | GnssFix | RangeMeasurement
"""Message of the flight software; the replay sets its `seq` and `source`."""


class LogReader(NamedTuple):
    """Reader of one kind of log.

    Attributes:
        kind: Name of the kind.
        recognises: Function that returns True for the beginning of a file of this kind (up to HEAD_BYTES bytes).
        read: Function that yields the records and the damaged byte ranges of a file, in file order. Each record has
            its spacecraft time. It raises ValueError with the line and the remedy if the file cannot be used at all.
        searches: Function that returns True if a record is somewhere in a file that no reader recognises by its
            beginning; it reads at most SEARCH_BYTES bytes.
        has_gps_clock: True if the spacecraft times of all records are GPS time.
    """

    kind: str
    recognises: Callable[[bytes], bool]
    read: Callable[[Path], Iterator[LogRecord | Damage]]
    has_gps_clock: bool = False
    searches: Callable[[Path], bool] = lambda _: False

    def records(self, path: Path) -> Iterator[LogRecord | Damage]:
        """Yield the records and the damaged byte ranges of a file.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file cannot be used.
            PluginError: The reader failed.
        """
        with plugins.named_faults(f"{path}: the reader of {self.kind}"):
            yield from self.read(path)

    @property
    def viewer(self) -> Viewer:
        """Viewer of `pygnc inspect`."""
        return Viewer(self.kind, self.recognises, self._summary, self._entries)

    def _summary(self, path: Path) -> Iterator[Section]:
        kinds: dict[str, tuple[int, int, int]] = {}
        damage = DamageTally()
        fault: Note | None = None
        try:
            for record in self.records(path):
                if isinstance(record, Damage):
                    damage.add([record])
                else:
                    kind, time_s = type(record).__name__, record.t_spacecraft_s or 0
                    count, first_s, last_s = kinds.get(kind, (0, time_s, time_s))
                    kinds[kind] = count + 1, min(first_s, time_s), max(last_s, time_s)
        except (ValueError, PluginError) as error:
            fault = Note(str(error), fault=True)
        counted = sum(count for count, _, _ in kinds.values())
        yield Facts("log", {"records": counted, "damaged_bytes": damage.damaged_bytes})
        if kinds:
            rows = [(kind, *found) for kind, found in kinds.items()]
            yield Listing("records", ("kind", "count", "first_t_spacecraft_s", "last_t_spacecraft_s"), rows)
        elif fault is None:
            fault = Note("the file contains no record", fault=True)
        yield from damage.sections()
        if fault is not None:
            yield fault

    def _entries(self, path: Path) -> Iterator[Sequence[Entry]]:
        for record in self.records(path):
            if not isinstance(record, Damage):
                fields = msgspec.structs.asdict(record)
                yield [Entry(type(record).__name__, {name: fields[name] for name in fields if name not in _HIDDEN})]


def added_log_readers() -> list[LogReader]:
    """Return the readers of other packages; those of broken packages are reported and left out."""
    return _added_on(tuple(sys.path))[0]


def added_viewers() -> list[Viewer]:
    """Return the viewers of other packages, including those of their readers; broken packages are reported."""
    readers, viewers = _added_on(tuple(sys.path))
    return [*viewers, *(reader.viewer for reader in readers)]


def added_log_reader(head: bytes) -> LogReader | None:
    """Return the reader of another package that recognises the beginning of a file, or None."""
    for reader in added_log_readers():
        with plugins.skipped_faults(f"the reader of {reader.kind}"):
            if reader.recognises(head):
                return reader
    return None


def searched_log_reader(path: Path) -> LogReader | None:
    """Return the reader of another package that finds a record in a file, or None; the kind is not recognised before.

    Raises:
        OSError: The file cannot be read.
    """
    for reader in added_log_readers():
        with plugins.skipped_faults(f"the reader of {reader.kind}"):
            if reader.searches(path):
                return reader
    return None


@lru_cache(maxsize=1)
def _added_on(_module_search_path: tuple[str, ...]) -> tuple[list[LogReader], list[Viewer]]:
    # A search takes 20 ms, so the packages are searched again only if the module search path has changed.
    readers = [reader for _, reader in plugins.usable(GROUP, LogReader)]
    return readers, [viewer for _, viewer in plugins.usable(VIEWERS, Viewer)]
