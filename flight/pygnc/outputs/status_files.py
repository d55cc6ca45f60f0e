"""Files of the status task in the home: the status record and the info text."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pygnc.bus import control
from pygnc.bus.disk_guard import RUN, remove_oldest_run
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import Message
from pygnc.bus.streams import MESSAGES_PER_STEP
from pygnc.common.clock import gps_ms_from_week
from pygnc.configuration.run import Notify, Run
from pygnc.formats import info, status
from pygnc.formats.causes import find_causes
from pygnc.formats.status import Value
from pygnc.outputs.status_values import STREAMS, NewestEstimates, Values, orbit_values, run_values
from pygnc_system.files import FULL, durable_write, overwrite, read_input, reserve_space

STATUS_FILE: Final = "pygnc_status.bin"
INFO_FILE: Final = "pygnc_info.txt"
STATUS_BYTES_MAX: Final = 1000
RESERVE_FILE: Final = "reserve"
RESERVE_BYTES: Final = 1 << 15
"""Space reserved in the run's folder, so that the status can be written when the journals have filled the disk."""


class StatusFiles:
    """Writer of the status record and the info text of a run. It reports once each value that the record lacks.

    Attributes:
        fault: Reason why the files in the home could not be written, or empty.
    """

    def __init__(self, run: Run, notify: Notify) -> None:
        self._run = run
        self._reserve = run.folder / RESERVE_FILE
        self._notify = notify
        self._generation = 0
        self._causes_reported = {"DISK"}  # the tasks report a full disk with events of their own
        self._dropped: set[str] = set()
        self.fault = ""

    def claim(self, state: control.RunState) -> None:
        """Write a first record if a file is missing, before the run takes the last blocks or inodes of the disk.

        On a full disk, older runs are removed until the files can be written. Nothing is synced, which would take time.
        """
        names = (STATUS_FILE, INFO_FILE)
        missing = [name for name in names if not os.path.lexists(self._run.home / name)]
        contents = self._contents(self._fields(state, {}), {}) if missing else {}
        while missing:
            try:
                durable_write(self._run.home / missing[0], contents[missing[0]], sync=False)
            except OSError as error:
                if error.errno not in FULL or not remove_oldest_run(self._run.folder):
                    return  # the status task reports it
            else:
                missing.pop(0)

    def reserve(self) -> None:
        """Reserve disk space for both files; do nothing if the disk is full."""
        with contextlib.suppress(OSError):
            reserve_space(self._reserve, RESERVE_BYTES)

    def release(self) -> None:
        """Release the reserved disk space."""
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    @property
    def are_replaced(self) -> bool:
        """True if a later run has begun, to which the files belong."""
        return any(path.name > self._run.folder.name for path in self._run.folder.parent.glob(f"{RUN}*"))

    def write(self, state: control.RunState, newest: NewestEstimates) -> None:
        """Replace both files; report once each cause that limits the results, and that the files cannot be written."""
        self._generation += 1
        fields = self._fields(state, newest.values(self._run.spacecraft_time_s()))
        causes = find_causes(fields, {})  # causes in `state.limits` have been reported as events already
        for word in causes.keys() - self._causes_reported:
            self._notify("warning", "limited", f"{word}: {causes[word]}")
        self._causes_reported |= causes.keys()
        try:
            self._replace_both(fields, state.limits)
            self.fault = ""
        except OSError as error:
            fault = f"{error.filename or self._run.home}: {error.strerror}"
            if fault != self.fault:
                self.fault = fault
                self._notify("error", "status_not_written", fault)

    def write_final(self, state: control.RunState) -> None:
        """Write the last status in place of a killed status task, with the newest estimates in the journals.

        If that is impossible, an event contains the info text.
        """
        last: dict[str, Value] = {}
        with contextlib.suppress(OSError, status.StatusError):
            last = status.decode(read_input(self._run.home / STATUS_FILE, STATUS_BYTES_MAX))
        if last.get("run_number") != self._run.number:
            last = {}
        self._generation = int(last.get("generation", 0)) + 1
        if last.get("phase") == run_values(state)[0]["phase"]:
            return
        newest, _ = self.journaled()
        values = newest.values(self._run.spacecraft_time_s())
        last_ms = gps_ms_from_week(int(last.get("orbit_gps_week", 0)), int(last.get("orbit_gps_tow_ms", 0)))
        if newest.orbit is not None and last_ms is not None and last_ms > newest.orbit.gps_ms:
            # The last record contains a newer prediction; predictions are not journaled.
            values |= {name: last[name] for name in orbit_values(newest.orbit, 0)}
        fields = self._fields(state, values)
        try:
            self._replace_both(fields, state.limits)
        except OSError as error:
            lines = self._contents(fields, state.limits)[INFO_FILE].decode("ascii").splitlines()
            fault = f"{error.filename or self._run.home}: {error.strerror}"
            self._notify("error", "status_not_written", f"{fault}; it is: {'; '.join(lines)}")

    def journaled(self) -> tuple[NewestEstimates, dict[str, int]]:
        """Return the newest estimates in the journals' last two segments, and by stream the last message's number."""
        newest = NewestEstimates()
        last = {
            name: self._take_journal(newest, name, msgspec.msgpack.Decoder(kind).decode)
            for name, kind in STREAMS.items()
        }
        return newest, last

    def final_causes(self, limits: Mapping[str, str]) -> list[str]:
        """Return the code words of causes that limit the results of an ended run; empty without a readable record."""
        for folder in (self._run.runtime, self._run.home):
            with contextlib.suppress(OSError, status.StatusError):
                return list(find_causes(status.decode(read_input(folder / STATUS_FILE, STATUS_BYTES_MAX)), limits))
        return []

    def _fields(self, state: control.RunState, estimates: Values) -> dict[str, Value]:
        """Return all fields of the record; report once each value of a task that the record cannot contain."""
        now_s = self._run.spacecraft_time_s()
        values, dropped = run_values(state)
        values |= {
            "generation": self._generation,
            "run_number": self._run.number,
            "uptime_s": now_s - self._run.start.t_spacecraft_s,
            "spacecraft_time_s": now_s,
        }
        fields, invalid = status.fill(estimates | values)
        for name, reason in (dropped | invalid).items():
            if name not in self._dropped:
                self._dropped.add(name)
                self._notify("warning", "status_value", f"the status record lacks {name}: {reason}")
        return fields

    def _take_journal(self, newest: NewestEstimates, name: str, decode: Callable[[bytes], Message]) -> int:
        """Read the newest estimates of a stream from its journal, without what cannot be read or decoded.

        Returns:
            The number of the last message, 0 without one.
        """
        last_seq = 0
        with contextlib.suppress(OSError):  # events and the exit code already report a failing disk
            # Records are read piece by piece, because Python would keep the memory that larger pieces need.
            reader = JournalReader(self._run.journal_folders, name, newest_segments=2)
            with contextlib.closing(reader):
                while records := reader.read(MESSAGES_PER_STEP):
                    last_seq = records[-1].seq
                    for record in records:
                        with contextlib.suppress(msgspec.DecodeError):
                            newest.take(decode(record.payload))
        return last_seq

    @staticmethod
    def _contents(fields: dict[str, Value], limits: Mapping[str, str]) -> dict[str, bytes]:
        return {STATUS_FILE: status.encode(fields), INFO_FILE: info.compose(fields, find_causes(fields, limits))}

    def _replace_both(self, fields: dict[str, Value], limits: Mapping[str, str]) -> None:
        """Replace the files in the home; write one for which that is impossible to the private folder.

        Raises:
            OSError: A file in the home cannot be written.
        """
        files = self._contents(fields, limits)
        faults = []
        for name, content in files.items():
            try:
                self._replace(name, content)
                (self._run.runtime / name).unlink(missing_ok=True)
            except OSError as error:
                faults.append(error)
                with contextlib.suppress(OSError):  # the host link sends this file instead
                    durable_write(self._run.runtime / name, content)
        if faults:
            raise faults[0]

    def _replace(self, name: str, content: bytes) -> None:
        """Replace a file in the home; on a full disk, free the reserved space first, or overwrite the old file."""
        try:
            durable_write(self._run.home / name, content)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._reserve.unlink(missing_ok=True)
            try:
                durable_write(self._run.home / name, content)
            except OSError:
                if not (self._run.home / name).exists():
                    raise
                overwrite(self._run.home / name, content)
