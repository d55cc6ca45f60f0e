"""Status process: writes the status record and the info text, at each change of the run's phase and once a second.

It reports the newest estimates of orbit, attitude and formation, and the health and counters of all tasks as received
from the supervisor.
"""

import time
from collections.abc import Sequence
from itertools import chain
from typing import Final

from msgspec.structs import replace

from pygnc.bus import control
from pygnc.configuration.run import Notify, Run
from pygnc.outputs.status_files import StatusFiles
from pygnc.outputs.status_values import STREAMS, NewestEstimates
from pygnc.tasks.runtime import Context, PollSource, Task
from pygnc.tasks.seal import StateChangedError

INTERVAL_S: Final = 1.0
IDLE_S: Final = 1.0
CHECK_INTERVAL_S: Final = 60.0
MAIN: Final = "MAIN"
"""Code word of the cause that main.py has ended without a stop."""


class StatusTask(Task):
    """Process that reads the streams of estimates and writes the status files."""

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._estimates = {name: self.open_reader(name, kind) for name, kind in STREAMS.items()}
        self._orbits = self._estimates["orbit"]
        self._newest = NewestEstimates()
        self._state = control.RunState("starting", (), 0)
        # The first record waits until the tasks are up, but at most `INTERVAL_S`.
        self._phase_written = self._state.phase
        self._next_write_s = time.monotonic() + INTERVAL_S
        self._next_check_s = 0.0
        self._checked: dict[str, int] = {}
        self._apart: dict[str, int] = {}
        self._files = StatusFiles(run, notify)
        self._files.reserve()

    def sockets(self) -> Sequence[PollSource]:
        """Return no socket: estimates are read when the next status is due, because only the newest are in it."""
        return ()

    def wait_s(self) -> float:
        """Return the time until the next status is due, s."""
        return max(0.0, self._next_write_s - time.monotonic())

    def work(self) -> bool:
        """Read new estimates and write the status if it is due; return True if more estimates wait."""
        more = self._take()
        now = time.monotonic()
        is_due = now >= self._next_write_s or self._state.phase != self._phase_written
        if is_due and (not more or now >= self._next_write_s + INTERVAL_S):
            self._next_write_s = now + INTERVAL_S
            self._write()
        if more:
            self._next_check_s = max(self._next_check_s, now + IDLE_S)
        elif now >= self._next_check_s:
            self._next_check_s = now + CHECK_INTERVAL_S
            self._check()
        return more

    def _check(self) -> None:
        """Compare the newest estimates with the journals if messages have been read since the last comparison.

        A reader whose position is wrong reads no more: its position is the same, and not the end of the journal, twice.
        """
        read = {name: reader.last_seq for name, reader in self._estimates.items()}
        if read == self._checked:
            return
        newest, last = self._files.journaled()
        apart = {name: seq for name, seq in read.items() if last[name] not in {0, seq}}
        if apart.items() & self._apart.items() or (read == last and not self._newest.agrees_with(newest)):
            raise StateChangedError("the newest estimates are not those of the journals")
        self._apart, self._checked = apart, {} if apart else read

    def _take(self) -> bool:
        """Read new estimates; return True if more are waiting."""
        received = [reader.receive() for reader in self._estimates.values()]
        for message in [*chain.from_iterable(received), self._orbits.take_transient()]:
            self._newest.take(message)
        return any(reader.is_behind for reader in self._estimates.values())

    def on_run_state(self, state: control.RunState) -> None:
        """Store the state of the run for the next status record."""
        self._state = state

    def progress(self) -> control.Progress:
        """Return the number of the last orbit message read, and whether the files could not be written."""
        return control.Progress(self._orbits.last_seq, counts={"not_recorded": int(bool(self._files.fault))})

    def close(self) -> None:
        """Read all remaining estimates from the journals and write the last status."""
        for reader in self._estimates.values():
            reader.has_backlog = True
        while self._take():
            pass
        if self.main_has_ended:
            limits = self._state.limits | {MAIN: "main.py ended without stopping the run"}
            self._state = replace(self._state, phase="failed", limits=limits)
        if not (self.main_has_ended and self._files.are_replaced):
            self._write()
        self._files.release()
        super().close()

    def _write(self) -> None:
        self._phase_written = self._state.phase
        self._files.write(self._state, self._newest)
