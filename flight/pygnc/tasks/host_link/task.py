"""Host link process: serves the host over the terminal that started main.py and over an optional serial port.

Live packets are written to a stream, from which ingest copies them to the input journal. A packet that was acknowledged
to the host is in that stream, so it survives the loss of either task. The stream's journal is in memory only.
"""

import os
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

import pygnc
from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import LIVE, Event, LivePacket
from pygnc.common.constants import PARTNER_IDS
from pygnc.configuration.run import Notify, Run
from pygnc.formats.gps_packet import RANGE_GPS_SYNC
from pygnc.host.channel import Channel
from pygnc.host.channel_events import Received
from pygnc.host.connection import HostConnection
from pygnc.host.home_files import HomeFiles
from pygnc.host.parameters import Parameters
from pygnc.host.port import Port
from pygnc.host.sentence import Direction
from pygnc.host.sentence_types import STAT, TIME, Capability, NakCause, SentenceType
from pygnc.host.settings_slots import changed_settings, named_values, read_slots, write_slot
from pygnc.host.transfer import Refusal
from pygnc.outputs.status_files import STATUS_BYTES_MAX
from pygnc.tasks.runtime import WAIT_S, Context, Task
from pygnc_system.files import read_input

CLOCK_TOLERANCE_S: Final = 2
_WITH_SYNC: Final = frozenset({"GPSR", "PGPS"})
PORTIONS_PER_STEP: Final = 16
EVENT_INTERVAL_S: Final = 0.25
LOST_INTERVAL_S: Final = 5.0
"""Minimum time between two reports of packets that the host has given up, s."""
EVENTS_PENDING_MAX: Final = 8
"""Number of newest events sent to a host that connects later; the events journal has all events."""
LAST_ANSWERS_S: Final = 0.1
POLL_S: Final = 0.001
"""Shortest wait, s; poll() has a resolution of 1 ms."""
_ALL: Final = Capability.LIVE | Capability.UPLOAD | Capability.DOWNLOAD | Capability.PARAMETERS | Capability.STOP
_SEVERITIES: Final = {"info": 0, "warning": 1, "error": 2}


class HostLinkTask(Task):
    """Process that serves the host; the connections use it as their `HostServices`."""

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream(LIVE, durable=False)
        self._clock_reported = False
        self._lines = [self._connect(port) for port in self._open_ports()]
        self._events = JournalReader(run.journal_folders, "events")
        self._pending_events: deque[Event] = deque(maxlen=EVENTS_PENDING_MAX)
        self._next_events_s = self._next_lost_s = 0.0
        self._lost_reported = 0

    def sockets(self) -> Sequence[int]:
        """Return the descriptors of the open ports."""
        return [line.port.descriptor for line in self._lines if line.port.is_open]

    def wait_s(self) -> float:
        """Return the time until a retransmission is due or a port can send again, s."""
        return min((WAIT_S, *(line.wait_s() for line in self._lines if line.port.is_open)))

    def work(self) -> bool:
        """Process received bytes, send responses and events on all lines; return False."""
        for line in self._lines:
            if line.port.is_open:
                line.work()
                if not line.port.is_open:
                    self.notify("warning", "line_closed", "the host has closed the line")
        self._report_unsent()
        self._report_lost()
        self._send_events()
        return False

    def _report_unsent(self, *, is_end: bool = False) -> None:
        """Report rejections that had no room in the send queue, together, once there is room again or the run ends."""
        for line in self._lines:
            channel = line.connection.channel
            count = channel.counts.unsent_rejections - line.unsent_reported
            if count and (is_end or channel.room > 0):
                line.unsent_reported += count
                text = f"number of rejections without room in the send queue: {count}; the last: "
                self.notify("warning", "rejections_not_sent", text + channel.counts.last_unsent)

    def _report_lost(self, *, is_end: bool = False) -> None:
        """Report the live packets that the host has given up, together: the run lacks them."""
        lost = sum(line.connection.packets_lost for line in self._lines)
        now = time.monotonic()
        if lost > self._lost_reported and (is_end or now >= self._next_lost_s):
            self._lost_reported, self._next_lost_s = lost, now + LOST_INTERVAL_S
            self.notify("warning", "packets_lost", f"live packets that the host has given up so far: {lost}")

    def progress(self) -> control.Progress:
        """Return the number of live packets written in this run as the progress."""
        return control.Progress(self._stream.journal.last_seq)

    def close(self) -> None:
        """Send the last acknowledgements, as far as the port accepts them."""
        deadline = time.monotonic() + LAST_ANSWERS_S
        while time.monotonic() < deadline and any(line.wait_s() <= 0.0 for line in self._lines if line.port.is_open):
            for line in self._lines:
                line.work()
        self._report_unsent(is_end=True)
        self._report_lost(is_end=True)
        for line in self._lines:
            line.port.close()
        self._events.close()
        super().close()

    def take_packet(self, received: Received) -> None:
        """Write a live packet to the stream; see `HostServices`."""
        fields, tail = received.body
        kind = received.kind
        if kind.name in _WITH_SYNC and not tail.startswith(RANGE_GPS_SYNC):
            begin = tail[:3].hex(" ").upper()
            raise Refusal(NakCause.BODY, f": a GPS packet of a range file begins with AA 44 12, not {begin}")
        radio_id = fields.get("radio_id", 0)
        if radio_id and (radio_id not in PARTNER_IDS or radio_id == self.run.settings.formation.own_id):
            raise Refusal(
                NakCause.VALUE,
                f": radio id {radio_id} is not a partner's, {PARTNER_IDS[0]} to {PARTNER_IDS[-1]}",
            )
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
            raise Refusal(NakCause.STORAGE, f": {error.strerror}; free space and send the packet again") from None

    def report(self, kind: SentenceType) -> bytes:
        """Return the content of the status record (STAT) or of the info text (INFO); see `HostServices`."""
        name = "pygnc_status.bin" if kind is STAT else "pygnc_info.txt"
        in_memory = self.run.runtime / name  # exists only while the home is not writable
        try:
            return read_input(in_memory if in_memory.exists() else self.run.home / name, STATUS_BYTES_MAX)
        except OSError as error:
            raise Refusal(NakCause.UNABLE, f": {name}: {error.strerror}; ask again in a second") from None

    def stop(self) -> None:
        """Request the stop of the run from the supervisor; see `HostServices`."""
        self.stop_request = "stopped by the host over the line"

    def _compare_clock(self, t_spacecraft_s: int) -> None:
        """Report once that the host's clock differs from the time given to main.py at the start."""
        apart_s = t_spacecraft_s - self.run.spacecraft_time_s()
        if abs(apart_s) > CLOCK_TOLERANCE_S and not self._clock_reported:
            self._clock_reported = True
            text = f"a time mark differs by {apart_s} s from the spacecraft time given to main.py at the start"
            self.notify("warning", "clock_apart", f"{text}; predictions use the time of the start")

    def _open_ports(self) -> list[Port]:
        host = self.run.settings.host
        ports = []
        if self.run.has_terminal:
            try:
                ports.append(Port.open_terminal())
            except OSError as error:
                self.notify(
                    "error",
                    "terminal",
                    f"the terminal cannot be opened ({error.strerror}); it is not used",
                )
        if host.port:
            try:
                ports.append(Port.open_serial(host.port, host.baud))
            except OSError as error:
                self.notify("error", "port", f"{host.port}: {error.strerror or error}; see [host] port in the settings")
        return ports

    def _connect(self, port: Port) -> "Line":
        run = self.run
        files = HomeFiles(run.home, run.settings.logs.reserve_bytes)
        check = partial(changed_settings, run.config, run.home)
        slots, write = read_slots(run.home), partial(write_slot, run.home)
        parameters = Parameters(named_values(run.settings), check, slots, write, run.unused_generation)
        session = 1 + int.from_bytes(os.urandom(4)) % 65_535  # random, so that a restart begins another session
        channel = Channel(Direction.TO_HOST, session, f"PyGNC {pygnc.__version__}", _ALL)
        return Line(port, HostConnection(channel, files, parameters, self))

    def _send_events(self) -> None:
        """Send events to the host; while no host is connected, keep the newest ones."""
        now = time.monotonic()
        if now >= self._next_events_s:
            self._next_events_s = now + EVENT_INTERVAL_S
            for record in self._events.read(EVENTS_PENDING_MAX):
                self._pending_events.append(msgspec.msgpack.decode(record.payload, type=Event))
        connected = [line.connection for line in self._lines if line.connection.channel.is_ready]
        while connected and self._pending_events:
            event = self._pending_events.popleft()
            for connection in connected:
                text = f"{event.name}: {event.task}: {event.text}"
                connection.send_event(_SEVERITIES.get(event.severity, 2), text, now)


class Line:
    """A port and the connection to the host over it.

    Attributes:
        unsent_reported: Number of rejections without room that were reported.
    """

    unsent_reported = 0

    def __init__(self, port: Port, connection: HostConnection) -> None:
        self.port = port
        self.connection = connection

    def work(self) -> None:
        """Process received bytes and send waiting ones until the port is busy; send at most 16 portions."""
        data = self.port.read()
        if data:
            self.connection.take(data, time.monotonic())
        self.port.flush()
        for _ in range(PORTIONS_PER_STEP):
            if self.port.ready_in_s() > 0.0:
                return
            portion = self.connection.next_output(time.monotonic())
            if portion is None:
                return
            self.port.write(portion)

    def wait_s(self) -> float:
        """Return the time until the line must be served if no bytes arrive, s."""
        free_s = self.port.ready_in_s()
        if free_s > 0.0:  # nothing can be sent before that, even if it is due
            return max(free_s, POLL_S)
        return max(0.0, self.connection.channel.wakeup_s() - time.monotonic())
