"""Journal of the events of a run."""

import contextlib
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import Event

SUPERVISOR: Final = "supervisor"
"""Value of `Event.task` in events of the main.py process itself."""


class EventLog:
    """The events journal; warnings and errors are also printed to stderr. Its methods raise no OSError.

    `open_journal` opens the journal at the first use, and again after an error.

    Attributes:
        fault: Reason why events are not recorded on the disk, or None.
    """

    def __init__(self, open_journal: Callable[[], JournalWriter]) -> None:
        self._open_journal = open_journal
        self._journal: JournalWriter | None = None
        self._lost = 0
        self._loss: str | None = None
        self.fault: str | None = None

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        """Record an event; count it as lost if neither disk nor memory has room for it."""
        if severity != "info":
            first_line = text.partition("\n")[0]
            _print(f"{task}: {first_line}")
        if self._lost and self._use(partial(_append, SUPERVISOR, "error", "events_lost", f"{self._lost} not recorded")):
            self._lost = 0
        if not self._use(partial(_append, task, severity, name, text)):
            self._lost += 1

    def sync_if_due(self) -> None:
        """Start to sync recorded events to the disk if the last sync was `SYNC_INTERVAL_S` ago."""
        self._use(JournalWriter.sync_if_due)

    def finish_sync(self) -> None:
        """Wait for the end of a sync, because a process that forks must have no other threads."""
        self._use(JournalWriter.finish_sync)

    def close(self) -> None:
        """Sync and close the journal; print an error, which no status reports any more."""
        fault = self.fault
        self._use(JournalWriter.close)
        if self.fault != fault:
            _print(f"{self.fault}; not all events are recorded")

    def _use(self, action: Callable[[JournalWriter], None]) -> bool:
        """Apply `action` to the journal; after an OSError, open the journal again at the next use."""
        try:
            self._journal = self._journal or self._open_journal()
            action(self._journal)
        except OSError as error:
            self.fault = self._loss = f"events: {error.strerror}"
            if self._journal is not None:
                with contextlib.suppress(OSError):
                    self._journal.close()
            self._journal = None
            return False
        self.fault = self._loss or self._journal.fault
        return True


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"pygnc: {text}", file=sys.stderr, flush=True)  # noqa: T201 - for the terminal


def _append(task: str, severity: str, name: str, text: str, journal: JournalWriter) -> None:
    seq = journal.last_seq + 1
    event = Event(seq, task, severity, name, text, t_mono_ns=time.monotonic_ns(), t_wall_ns=time.time_ns())
    journal.append([msgspec.msgpack.encode(event)])
