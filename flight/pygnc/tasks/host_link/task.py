"""Speaks with the host over the terminal that started main.py, and over a second serial port if there is one.

Live packets are written to a stream of their own, which ingest reads: what is acknowledged to the host waits there,
whatever happens to either task. That stream's journal is kept in memory, for the truth is the input journal.

What the host's wishes come to: live packets into their stream, the status out of its file, the end of the run.
"""

import os
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
import zmq

import pygnc
from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import LIVE, Event, LivePacket
from pygnc.bus.streams import StreamWriter
from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.gps_packet import RANGE_GPS_SYNC
from pygnc.host.channel import Channel
from pygnc.host.channel_events import Received
from pygnc.host.home_files import HomeFiles
from pygnc.host.parameters import Parameters
from pygnc.host.port import Port
from pygnc.host.sentence import Direction
from pygnc.host.sentence_types import STAT, TIME, Capability, NakCause, SentenceType
from pygnc.host.transfer import DownloadSender, Refusal, UploadReceiver
from pygnc.tasks.host_link.connection import Engines, HostConnection, due_in_s
from pygnc.tasks.host_link.settings import SettingsSlots, named_values, settings_validator
from pygnc.tasks.runtime import WAIT_S, Notify, Run, Task

CLOCK_TOLERANCE_S: Final = 2
_WITH_SYNC: Final = frozenset({"GPSR", "PGPS"})


class RunServices:
    """Serves the conversations of one run.

    Args:
        run: its files and its clock.
        stream: takes live packets.
        notify: takes events.

    Attributes:
        is_stop_asked: Whether the host wants the run to stop.
    """

    def __init__(self, run: Run, stream: StreamWriter, notify: Notify) -> None:
        self.is_stop_asked = False
        self._run = run
        self._stream = stream
        self._notify = notify
        self._clock_told = False

    def take_packet(self, received: Received) -> None:
        """See `Desk`."""
        fields, tail = received.body
        kind = received.kind
        if kind.name in _WITH_SYNC and not tail.startswith(RANGE_GPS_SYNC):
            raise Refusal(NakCause.BODY, ": a GPS packet of a range file begins with AA 44 12")
        radio_id = fields.get("radio_id", 0)
        if radio_id and (radio_id not in PARTNER_IDS or radio_id == self._run.settings.formation.own_id):
            raise Refusal(NakCause.VALUE, f": {radio_id} is the radio id of no partner")
        raw = tail
        if kind is TIME:
            raw = TIME.pack(fields["spacecraft_time_s"], fields["ms"])
            self._compare_clock(fields["spacecraft_time_s"])
        packet = LivePacket(
            seq=self._stream.next_seq,
            kind=kind.name,
            radio_id=radio_id,
            late=received.is_late,
            t_mono_ns=time.monotonic_ns(),
            raw=raw,
        )
        try:
            self._stream.write([packet])
        except OSError as error:
            raise Refusal(NakCause.STORAGE, f": {error.strerror}") from None

    def report(self, kind: SentenceType) -> bytes:
        """See `Desk`."""
        name = "pygnc_status.bin" if kind is STAT else "pygnc_info.txt"
        try:
            return (self._run.home / name).read_bytes()
        except OSError as error:
            raise Refusal(NakCause.UNABLE, f": {name}: {error.strerror}; ask again in a second") from None

    def stop(self) -> None:
        """See `Desk`."""
        self.is_stop_asked = True

    def _compare_clock(self, t_spacecraft_s: int) -> None:
        """Say it once if the host's clock is not what main.py was told at the start."""
        apart_s = t_spacecraft_s - self._run.spacecraft_time_s()
        if abs(apart_s) > CLOCK_TOLERANCE_S and not self._clock_told:
            self._clock_told = True
            text = f"a time mark is {apart_s} s from the time told at the start; predictions keep to the start's"
            self._notify("warning", "clock_apart", text)


PORTIONS_A_TURN: Final = 16
EVENT_INTERVAL_S: Final = 0.25
EVENTS_KEPT: Final = 8
"""A host that connects later is told the newest ones; the journal has all."""
GOODBYE_S: Final = 0.1
POLL_S: Final = 0.001
"""Shorter waits would be none: whoever polls counts milliseconds."""
_ALL: Final = Capability.LIVE | Capability.UPLOAD | Capability.DOWNLOAD | Capability.PARAMETERS | Capability.STOP
_SEVERITIES: Final = {"info": 0, "warning": 1, "error": 2}


class Line:
    """A port and the conversation on it."""

    def __init__(self, port: Port, conversation: HostConnection) -> None:
        self.port = port
        self.conversation = conversation

    def turn(self) -> None:
        """Read what has come, and say what is to be said, as far as the port takes it."""
        data = self.port.read()
        if data:
            self.conversation.take(data, time.monotonic())
        self.port.flush()
        for _ in range(PORTIONS_A_TURN):
            if self.port.ready_in_s() > 0.0:
                return
            portion = self.conversation.next_output(time.monotonic())
            if portion is None:
                return
            self.port.write(portion)

    def wait_s(self) -> float:
        """How long until it has something to do, if nothing comes."""
        free_s = self.port.ready_in_s()
        if free_s > 0.0:  # what is to be said next may wait for the line, whenever it is due
            return max(free_s, POLL_S)
        return due_in_s(self.conversation.wakeup_s(), time.monotonic())


class HostLinkTask(Task):
    """Serves the host."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream(LIVE, durable=False)
        self._desk = RunServices(run, self._stream, notify)
        self._lines = [self._talk_on(port) for port in self._open_ports()]
        self._events = JournalReader(run.journal_folders, "events")
        self._decode_event = msgspec.msgpack.Decoder(Event).decode
        self._untold: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._next_events_s = 0.0

    def sockets(self) -> Sequence[int]:
        """Wake for bytes from the host."""
        return [line.port.descriptor for line in self._lines if line.port.is_open]

    def wait_s(self) -> float:
        """Wake for retries too, and when a port has sent what it had."""
        return min(WAIT_S, *(line.wait_s() for line in self._lines if line.port.is_open), WAIT_S)

    def work(self) -> bool:
        """Serve all lines."""
        for line in self._lines:
            if line.port.is_open:
                line.turn()
                if not line.port.is_open:
                    self.notify("warning", "line_closed", "the line to the host was closed at the other end")
        self._tell_events()
        if self._desk.is_stop_asked:
            self.stop_request = "stopped by the host over the line"
        return False

    def progress(self) -> control.Progress:
        """Say how many live packets have come."""
        return control.Progress(last_sequence_processed=self._stream.journal.last_seq)

    def close(self) -> None:
        """Send the last acknowledgements, as far as the port takes them."""
        deadline = time.monotonic() + GOODBYE_S
        while time.monotonic() < deadline and any(line.wait_s() <= 0.0 for line in self._lines if line.port.is_open):
            for line in self._lines:
                line.turn()
        for line in self._lines:
            line.port.close()
        self._events.close()
        self._stream.close()

    def _open_ports(self) -> list[Port]:
        host = self.run.settings.host
        ports = []
        if self.run.has_terminal:
            try:
                ports.append(Port.open_terminal())
            except OSError as error:
                self.notify("error", "terminal", f"the terminal cannot be opened: {error.strerror}")
        if host.port:
            try:
                ports.append(Port.open_serial(host.port, host.baud))
            except OSError as error:
                self.notify("error", "port", f"{host.port}: {error.strerror or error}; see [host] in the settings")
        return ports

    def _talk_on(self, port: Port) -> Line:
        run = self.run
        files = HomeFiles(run.home, run.settings.logs.reserve_bytes)
        parameters = Parameters(
            named_values(run.settings), settings_validator(run.config, run.home), SettingsSlots(run.home)
        )
        engines = Engines(UploadReceiver(files), DownloadSender(files), parameters)
        channel = Channel(Direction.TO_HOST, _new_session(), f"PyGNC {pygnc.__version__}", _ALL)
        return Line(port, HostConnection(channel, engines, self._desk))

    def _tell_events(self) -> None:
        """Send events on; those that nobody could hear are kept, the newest ones."""
        now = time.monotonic()
        if now >= self._next_events_s:
            self._next_events_s = now + EVENT_INTERVAL_S
            for record in self._events.read(EVENTS_KEPT):
                self._untold.append(self._decode_event(record.payload))
        listening = [line.conversation for line in self._lines if line.conversation.channel.is_ready]
        while listening and self._untold:
            event = self._untold.popleft()
            for conversation in listening:
                text = f"{event.name}: {event.task}: {event.text}"
                conversation.tell(_SEVERITIES.get(event.severity, 2), text, now)


def _new_session() -> int:
    """A number from 1 to 65535, hardly ever that of the last start."""
    return 1 + int.from_bytes(os.urandom(4)) % 65_535
