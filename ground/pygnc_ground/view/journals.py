"""Run whose journals are read while they are written, or afterwards."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

import pygnc
from pygnc.bus.journal_files import list_segments
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import AttitudeEstimate, Event, FormationMessage, InputMessage, Message, OrbitMessage
from pygnc.formats.status import StatusError, decode
from pygnc_cli.text import printable
from pygnc_ground.view.feed import Feed
from pygnc_ground.view.rows import Rows

STALE_S: Final = 30.0
"""Time without a new record after which a run that has not ended is shown as silent."""
_LOOK_S: Final = 1.0
"""Interval of looking for a newer run and for the status file."""
_RECORDS_A_STEP: Final = 200
_LOGS: Final = "pygnc_logs"
_STATUS: Final = "pygnc_status.bin"
_RUN: Final = re.compile(r"run-\d{5,}")
_decode_input: Final = msgspec.msgpack.Decoder(InputMessage).decode


def decode_present_input(payload: bytes) -> InputMessage:
    """Return a message of an input journal; the decoder of former versions is imported if it is needed."""
    try:
        message: InputMessage = _decode_input(payload)
    except msgspec.ValidationError:
        from pygnc.inputs.journaled import decode_input  # noqa: PLC0415 - takes 3 MB

        message = decode_input(payload)
    return message


_DECODERS: Final[dict[str, Callable[[bytes], Message]]] = {
    "orbit": msgspec.msgpack.Decoder(OrbitMessage).decode,
    "input": decode_present_input,
    "attitude": msgspec.msgpack.Decoder(AttitudeEstimate).decode,
    "formation": msgspec.msgpack.Decoder(FormationMessage).decode,
    "events": msgspec.msgpack.Decoder(Event).decode,
}
"""Decoder of the messages of each journal, in the order of reading: orbits bring the times of the other messages."""


class _Journal:
    """One journal of a run, and what of it could not be read."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.reader = JournalReader([folder], name)
        self.unknown = 0
        self.fault = ""

    def read(self, rows: Rows) -> int:
        """Add the next messages to the rows; return their number."""
        try:
            records = self.reader.read(_RECORDS_A_STEP)
        except OSError as error:
            self.fault = f"{self.name}: {error.strerror or error}"
            return 0
        self.fault = ""
        for record in records:
            try:
                rows.add(_DECODERS[self.name](record.payload))
            except (msgspec.MsgspecError, ValueError, ArithmeticError):
                self.unknown += 1
        return len(records)

    @property
    def problem(self) -> str:
        """Text that says what of the journal is not shown; empty if all is shown."""
        found = [self.fault] if self.fault else []
        if self.reader.damage:
            size = sum(damage.stop - damage.start for _, damage in self.reader.damage)
            path, first = self.reader.damage[0]
            found.append(f"{path.name}: {size} damaged bytes from offset {first.start} on")
        if self.unknown:
            found.append(f"{self.name}: {self.unknown} records are of another version or damaged")
        return "; ".join(found)


class RunSource:
    """Run of a folder, or the newest run of a home or its `pygnc_logs`, which is followed to the next run.

    Args:
        path: Folder of a run, `pygnc_logs`, or a home.

    Attributes:
        feed: Feed of the present run.

    Raises:
        OSError: The folder does not exist or cannot be read.
        ValueError: It is neither a run nor a folder of runs.
    """

    def __init__(self, path: Path) -> None:
        entries = [entry.name for entry in path.iterdir()]
        self._logs = path if path.name == _LOGS or any(map(_RUN.fullmatch, entries)) else path / _LOGS
        self._is_newest = not _is_run(path)
        is_home = _LOGS in entries or (path / _STATUS).exists()
        if self._is_newest and not is_home and self._logs is not path and entries:
            raise ValueError(f"{path}: neither the folder of a run nor a home with {_LOGS}; name one of them")
        self._run = path if not self._is_newest else None
        self._journals: list[_Journal] = []
        self._path = path
        self._look_at_s = 0.0
        self._status: tuple[int, int] | None = None
        self.feed = Feed(path.name)
        self._rows = Rows(self.feed)
        self._open(self._run)

    def describe(self) -> str:
        """Return what is shown, for the terminal."""
        return f"{'the newest run of ' if self._is_newest else ''}{self._path}"

    def step(self) -> bool:
        """Read what there is; return True if more may be waiting."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_S
            self._look()
        counts = []
        for journal in self._journals:
            counts.append(journal.read(self._rows))
            if journal.name == "input" and self._rows.start is None:
                self._read_header(journal.reader.header)  # gives the events their times
        is_more = max(counts, default=0) == _RECORDS_A_STEP
        if not is_more:
            self._tell()
        elif self._run is not None and not self.feed.state[1]:
            self.feed.tell("waiting", f"{self._run.name}: reading what there is")
        return is_more

    def close(self) -> None:
        """Close the files."""
        for journal in self._journals:
            journal.reader.close()
        self._journals = []

    def _open(self, run: Path | None) -> None:
        self.close()
        self.feed.tell("ended", "the next run has begun")
        self.feed.commit()  # wakes the pages
        self._run, self._status = run, None
        self.feed = Feed(f"{run.name} in {self._logs.parent}" if run and self._is_newest else run.name if run else "")
        self._rows = Rows(self.feed)
        if run is not None:
            self._journals = [_Journal(run, name) for name in _DECODERS]

    def _look(self) -> None:
        """Change to the newest run, and read the status file."""
        if self._is_newest:
            with suppress(OSError):
                newest = max((one for one in self._logs.iterdir() if _RUN.fullmatch(one.name)), default=None)
                if newest is not None and newest != self._run:
                    self._open(newest)
        if self._run is not None and (self._is_newest or _RUN.fullmatch(self._run.name)):
            with suppress(OSError, StatusError):
                self._read_status(self._run.parent.parent / _STATUS)

    def _read_status(self, path: Path) -> None:
        state = path.stat()
        if (state.st_mtime_ns, state.st_size) == self._status:
            return
        values = decode(path.read_bytes())
        self._status = state.st_mtime_ns, state.st_size
        if self._run is not None and self._run.name == f"run-{int(values['run_number']):05d}":
            self._rows.add_status(values)

    def _read_header(self, header: bytes | None) -> None:
        """Take the beginning of the run and the version that flew it from the header of its input journal."""
        with suppress(msgspec.MsgspecError, KeyError, TypeError, ValueError):
            values = msgspec.msgpack.decode(header or b"")
            self._rows.start = 1000 * int(values["t_spacecraft_s"]), int(values["t_mono_ns"])
            version = printable(str(values["pygnc"]))[:40]
            if version != pygnc.__version__:
                self.feed.note("version", f"This run was flown by PyGNC {version}; this is {pygnc.__version__}.")

    def _tell(self) -> None:
        self.feed.note("problems", [problem for journal in self._journals if (problem := journal.problem)])
        if self._run is None:
            self.feed.tell("waiting", f"no run in {self._logs} yet; waiting for one")
            return
        try:
            segments = list_segments([self._run])
            silent_s = time.time() - max((segment.path.stat().st_mtime for segment in segments), default=0.0)
        except OSError as error:
            self.feed.tell("lost", f"{self._run}: {error.strerror or error}; what was read is shown")
            return
        if not segments:
            is_gone = not self._run.is_dir()
            what = "the folder is gone; what was read is shown" if is_gone else "no journal yet; waiting for one"
            self.feed.tell("lost" if is_gone else "waiting", f"{self._run}: {what}")
        elif not any(segment.is_open for segment in segments):
            self.feed.tell("ended", f"{self._run.name}: the run has ended")
        elif silent_s < STALE_S:
            self.feed.tell("following", f"{self._run.name}: following")
        else:
            self.feed.tell(
                "silent", f"{self._run.name}: nothing new for {STALE_S:.0f} s; the run may have been cut off"
            )


def _is_run(path: Path) -> bool:
    return bool(_RUN.fullmatch(path.name) or list_segments([path]))
