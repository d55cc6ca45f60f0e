"""The thread that owns a port: it reads, scans, interprets, carries out operations and reconnects.

docs/decisions/0010-one-thread-per-port.md explains why it is a thread. A streaming device sends frames by itself:
its driver interprets each frame. A polled device only responds: its driver is an operation that requests and publishes
readings (`Engine.run_while_connected`). A driver may do both.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from pygnc_devices.continuity import Continuity
from pygnc_devices.errors import AbortedError, EndOfRecordingError, PortError, PortGoneError
from pygnc_devices.framing import DamageReason, Frame, ReceiveBuffer, Scan, Scanner
from pygnc_devices.port import Port
from pygnc_devices.ports import open_port
from pygnc_devices.reading import NS_PER_S, Counters, Reading, RecordedStamp, Stamp
from pygnc_devices.scheduler import Operation, Procedure, Scheduler
from pygnc_devices.subscriptions import Publisher
from pygnc_system.backoff import Backoff
from pygnc_system.wake_event import WakeEvent

T = TypeVar("T")

RECONNECT_DELAYS_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Delays between attempts to reopen a disconnected port, s; the last delay repeats."""
CLOSING_LIMIT_S: Final = 2.0
UNFRAMED: Final = "answer"
"""Kind of the frames of a device without framing: each frame contains the bytes of one read."""
_LONGEST_WAIT_S: Final = 0.5

_log = logging.getLogger(__name__)


class Interpreter(Protocol):
    """Interpreter of a device's frames. Its methods are called in the engine's thread only.

    An interpreter that skips fields without a declaration counts them by name in a `Counter`, `unknown_fields`.
    """

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | tuple[Reading, ...] | None:
        """Return the reading in a frame, or its readings; None if the frame contains no reading."""
        ...

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that restores the device's settings after a reconnection; None: nothing to restore."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """Wire format of a family of devices.

    Attributes:
        scanner: finds the frames; None for a device that only responds, without framing: operations then receive the
            bytes of each read as a frame of kind UNFRAMED.
        longest_frame: bytes of the longest frame; a frame that takes longer than their transmission is discarded.
        closing_limit_s: time limit for operations in progress when the device is closed, s.
    """

    scanner: Scanner | None
    longest_frame: int = 1
    closing_limit_s: float = CLOSING_LIMIT_S

    def receive_buffer(self, url: str) -> ReceiveBuffer:
        """Return an empty buffer for the bytes that a port receives."""
        return ReceiveBuffer(self.scanner or _scan_unframed, self.longest_frame, url)


class Engine:
    """Engine that serves a port in its own thread until it is closed.

    Args:
        url: URL or path of the port, see `ports`.
        baud: baud rate of the line.
        wire: wire format of the device.
        interpreter: interprets the frames of the device.
        counters: counters of the connection; None: new counters.

    Attributes:
        counters: counters of the connection.
        is_recording: True if the port is a recorded file, to which no command can be sent.
        publisher: passes readings to subscriptions.
        tap: called with all received bytes, in the engine's thread; must not raise.

    Raises:
        PortError: the port cannot be opened.
    """

    def __init__(
        self, url: str, baud: int, wire: Wire, interpreter: Interpreter, counters: Counters | None = None
    ) -> None:
        self.url = url
        self.baud = baud
        self.counters = counters or Counters()
        self.tap: Callable[[bytes], None] | None = None
        self._wire = wire
        self._interpreter = interpreter
        self._port: Port | None = open_port(url, baud)
        self.is_recording = self._port.is_recording
        self.publisher = Publisher(self.counters, is_lossless=self.is_recording)
        self._scheduler = Scheduler(self.counters, self._set_baud, self._publish)
        self._continuity = Continuity()
        self._recovery: Procedure[None] | None = None
        self._make_polling: Callable[[], Operation[None]] | None = None
        self._polling: Procedure[None] | None = None
        self._calls: deque[Callable[[], None]] = deque()
        self._wakened = WakeEvent()
        self._buffer = wire.receive_buffer(url)
        self._close_by_s: float | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name=f"device {url}", daemon=True)
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        """True if the port is open."""
        return self._port is not None

    @property
    def progress(self) -> float | None:
        """Share of a recording that has been read, 0 to 1; None for a device."""
        port = self._port
        return None if port is None else port.progress

    def start(self, operation: Operation[T]) -> Procedure[T]:
        """Start an operation; the engine's thread carries out its steps."""
        procedure = Procedure(operation)
        self.submit(procedure)
        return procedure

    def submit(self, procedure: Procedure[Any]) -> None:
        """Start the operation of an existing procedure; at a recording it fails at once with PortGoneError."""
        if self.is_recording:  # whose thread may wait for a subscriber to take readings
            procedure.resume(
                PortGoneError(f"{self.url} is a recording, which accepts no commands; name the device's port")
            )
            return
        self._call(partial(self._start, procedure))

    def abort(self, procedure: Procedure[Any]) -> None:
        """Raise AbortedError inside an operation; its clean-up continues in the engine's thread."""
        self._call(lambda: self._scheduler.abort(procedure, time.monotonic()))

    def run_while_connected(self, make: Callable[[], Operation[None]]) -> None:
        """Run an operation as long as the port is open, and start it again after a reconnection; not at a recording.

        `close` aborts it and waits for its clean-up. An error that it raises reaches all subscribers.
        """
        if not self.is_recording:
            self._make_polling = make
            self._call(self._start_polling)

    def close(self) -> None:
        """Let operations end, close the port, end the thread; may be called twice."""
        if self._close_by_s is None:
            self._close_by_s = time.monotonic() + self._wire.closing_limit_s
            self._call(self._abort_polling)
        self.publisher.close()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _call(self, function: Callable[[], None]) -> None:
        """Have a function called in the engine's thread."""
        self._calls.append(function)
        self._wake()
        if self._is_over:
            self._make_calls()

    def _wake(self) -> None:
        self._wakened.set()
        port = self._port
        if port is not None:
            port.wake()

    # All methods below run in the engine's thread.

    def _run(self) -> None:
        error: Exception | None = None
        try:
            while not self._is_closing():
                if self._port is None:
                    self._reconnect()
                if self._port is not None:
                    self._serve(self._port)
        except EndOfRecordingError:
            pass
        except Exception as fault:  # noqa: BLE001 - a fault of a driver is raised to its subscribers
            _log.exception("%s: the driver failed", self.url)
            error = fault
        self._is_over = True
        gone = PortGoneError(f"{self.url} is closed; open the device again")
        self._disconnect(gone)
        self._scheduler.fail_all(gone)
        self._make_calls()
        self.publisher.close(error)

    def _serve(self, port: Port) -> None:
        """Read until the port is lost or the device is closed."""
        try:
            while True:
                self._make_calls()
                if self._is_closing():
                    return
                for octets in self._scheduler.due(time.monotonic()):
                    port.write(octets)
                self._receive(port.read(self._wait_s()))
        except EndOfRecordingError:
            self._dispatch(self._buffer.scan_to_end())
            raise
        except PortGoneError as error:
            _log.warning("%s", error)
            self._disconnect(error)

    def _reconnect(self) -> None:
        """Reopen the port, with growing delays, until it opens or the device is closed."""
        backoff = Backoff(RECONNECT_DELAYS_S)
        while True:
            delay_ends_s = time.monotonic() + backoff.next()
            while time.monotonic() < delay_ends_s:
                self._wakened.wait(delay_ends_s - time.monotonic())
                self._make_calls()
                self._scheduler.due(time.monotonic())  # limits of `WaitForPort`; what it would send is discarded
                self._scheduler.port_lost(PortGoneError(f"{self.url}: not connected; check the cable"))
                if self._is_closing():
                    return
            with contextlib.suppress(PortError):
                self._port = open_port(self.url, self.baud)
                break
        self.counters.add_reconnect()
        self._continuity.interrupt()
        self._scheduler.port_opened(time.monotonic())
        operation = self._interpreter.reconnected()
        self._recovery = None if operation is None else self.start(operation)
        self._call(self._start_polling)

    def _start_polling(self) -> None:
        if self._make_polling is None or self._close_by_s is not None:
            return
        self._polling = Procedure(self._make_polling())
        self._polling.future.add_done_callback(self._report_polling)
        self._start(self._polling)

    def _abort_polling(self) -> None:
        if self._polling is not None:
            self._scheduler.abort(self._polling, time.monotonic())

    def _report_polling(self, future: Future[None]) -> None:
        error = future.exception()
        if isinstance(error, Exception) and not isinstance(error, PortGoneError | AbortedError):
            self.publisher.close(error)

    def _disconnect(self, error: Exception) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()
            self.counters.skipped_bytes += self._buffer.clear()
        self._scheduler.port_lost(error)

    def _is_closing(self) -> bool:
        """Return True if the device is being closed and its operations have ended or exceeded their time limit."""
        if self._close_by_s is None:
            return False
        is_idle = self._scheduler.is_idle and not self._calls
        return self._port is None or self.is_recording or is_idle or time.monotonic() > self._close_by_s

    def _wait_s(self) -> float:
        now_s = time.monotonic()
        times = [now_s + _LONGEST_WAIT_S, self._scheduler.deadline_s(), self._buffer.stalls_at_s(self.baud)]
        return max(0.0, min(moment for moment in times if moment is not None) - now_s)

    def _receive(self, piece: bytes) -> None:
        self.counters.bytes_received += len(piece)
        if self.tap is not None and piece:
            self.tap(piece)
        self._dispatch(self._buffer.scan(piece, self.baud, time.monotonic()))

    def _dispatch(self, scan: Scan) -> None:
        stamp = (RecordedStamp if self.is_recording else Stamp).now()
        self.counters.add_scan(scan)
        for frame in scan.frames:
            is_response = self._scheduler.take(frame, stamp.t_mono_ns / NS_PER_S)
            if frame.kind == UNFRAMED:
                if not is_response:
                    self.counters.frames[UNFRAMED] -= 1
                    self.counters.reject(len(frame.raw), DamageReason.NOISE)
                continue
            for reading in readings_in(self._interpreter.interpret(frame, stamp, self.counters)):
                self._publish(reading)

    def _publish(self, reading: Reading) -> None:
        """Publish a reading, unless the device sends another kind of packet until its settings are restored."""
        is_recovering = self._recovery is not None and not self._recovery.future.done()
        if not is_recovering or self._continuity.is_same_kind(reading):
            self.publisher.publish(self._continuity.follow(reading))

    def _make_calls(self) -> None:
        while True:
            try:
                call = self._calls.popleft()
            except IndexError:
                return
            call()

    def _start(self, procedure: Procedure[Any]) -> None:
        self._scheduler.start(procedure, time.monotonic())
        if self._port is None:  # its first step fails, and the operation handles that
            error = PortGoneError(f"{self.url}: not connected; check the cable")
            (self._scheduler.fail_all if self._is_over else self._scheduler.port_lost)(error)

    def _set_baud(self, baud: int) -> None:
        if self._port is None:
            raise PortGoneError(f"{self.url}: not connected; check the cable")
        self._port.set_baud(baud)
        self.baud = baud
        self.counters.skipped_bytes += self._buffer.clear()


def readings_in(found: Reading | tuple[Reading, ...] | None) -> tuple[Reading, ...]:
    """Return the readings that an interpreter found in a frame."""
    return (found,) if isinstance(found, Reading) else found or ()


def unknown_fields(interpreter: object) -> str:
    """Return names and numbers of the fields that an interpreter has skipped; "" if there are none."""
    counts: dict[str, int] = getattr(interpreter, "unknown_fields", {})
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _scan_unframed(octets: bytes, stalled: bool) -> Scan:  # noqa: ARG001, FBT001 - every scanner's signature
    return Scan((Frame(UNFRAMED, octets, octets),), (), len(octets))
