"""The one thread that owns a port: reads, scans, dispatches, asks, reconnects.

docs/decisions/0010-one-thread-per-port.md says why it is a thread.
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

from pygnc_devices.backoff import Backoff
from pygnc_devices.errors import AbortedError, EndOfRecordingError, PortError, PortGoneError
from pygnc_devices.framing import Frame, Scan, Scanner, Tail
from pygnc_devices.port import Port, open_port
from pygnc_devices.reading import Counts, Reading, Stamp
from pygnc_devices.scheduler import Agenda, Procedure, Task
from pygnc_devices.subscriptions import Feed
from pygnc_devices.wake_event import Bell

T = TypeVar("T")

PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Delays between attempts to reopen a disconnected port; the last one repeats."""
CLOSING_LIMIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 0.5

_log = logging.getLogger(__name__)


class Interpreter(Protocol):
    """A driver's part: what frames mean. Called in the engine's thread only."""

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:
        """Return the reading of a frame, None if it is none."""
        ...

    def reconnected(self) -> Procedure[None] | None:
        """Return what brings the device back into the state that its user had set, after the port was gone."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """How a family of devices talks.

    Attributes:
        scanner: its parser.
        longest_frame: bytes; a frame that takes longer than that on the line is given up.
        closing_limit_s: what procedures on their way have to come to an end when the device is closed.
    """

    scanner: Scanner
    longest_frame: int
    closing_limit_s: float = CLOSING_LIMIT_S


class Engine:
    """Reads a port until it is closed.

    Args:
        url: see `port.open_port`.
        baud: speed of the line.
        wire: how the device talks.
        interpreter: what it says.

    Raises:
        PortError: the port cannot be opened.
    """

    def __init__(self, url: str, baud: int, wire: Wire, interpreter: Interpreter) -> None:
        self.url = url
        self.baud = baud
        self.counts = Counts()
        self.tap: Callable[[bytes], None] | None = None
        """Hears all bytes as they come, in the engine's thread; must not fail."""
        self._wire = wire
        self._interpreter = interpreter
        self._port: Port | None = open_port(url, baud)
        self.feed = Feed(self.counts, is_lossless=self._port.is_recording)
        self._agenda = Agenda(self.counts, self._set_baud, self._deliver)
        self._kept: Callable[[], Procedure[None]] | None = None
        self._kept_task: Task[None] | None = None
        self._orders: deque[Callable[[], None]] = deque()
        self._news = Bell()
        self._port_change = Bell()
        self._tail = Tail(wire.scanner, wire.longest_frame, is_network="://" in url)
        self._close_before_s: float | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name=f"device {url}", daemon=True)
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        """Whether the port is open."""
        return self._port is not None

    def wait_for_port(self, *, is_open: bool, timeout_s: float) -> bool:
        """Wait until the port is open, or gone; tell whether it is so. For one thread at a time."""
        end_s = time.monotonic() + timeout_s
        while self.is_connected is not is_open and self._port_change.wait(end_s - time.monotonic()):
            pass
        return self.is_connected is is_open

    def start(self, procedure: Procedure[T]) -> Task[T]:
        """Begin a procedure; its steps are taken in the engine's thread."""
        task = Task(procedure)
        self.submit(task)
        return task

    def submit(self, task: Task[Any]) -> None:
        """Begin a procedure whose task exists already."""
        self._order(partial(self._start, task))

    def keep(self, make: Callable[[], Procedure[None]]) -> None:
        """Carry out a procedure as long as the port is there, and begin it anew when the port is back.

        It is given up when the device is closed, its clean-up waited for. If it fails by itself, whoever waits for
        readings hears of it.
        """
        self._kept = make
        self._order(self._begin_kept)

    def abort(self, task: Task[Any]) -> None:
        """Raise AbortedError where the procedure stands; its clean-up goes on in the engine's thread."""
        self._order(lambda: self._agenda.abort(task, time.monotonic()))

    def close(self) -> None:
        """Let procedures come to their end, close the port, end the thread; may be called twice."""
        if self._close_before_s is None:
            self._close_before_s = time.monotonic() + self._wire.closing_limit_s
            self._order(self._give_up_kept)
        self.feed.close()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self._wake()
        if self._is_over:
            self._follow_orders()

    def _wake(self) -> None:
        self._news.ring()
        port = self._port
        if port is not None:
            port.wake()

    # What follows runs in the engine's thread.

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
        except Exception as fault:  # noqa: BLE001 - a fault of a driver: whoever waits must hear of it
            _log.exception("the driver of %s has failed", self.url)
            error = fault
        self._is_over = True
        gone = PortGoneError(f"{self.url} is closed")
        self._disconnect(gone)
        self._agenda.fail_all(gone)
        self._follow_orders()
        self.feed.close(error)

    def _serve(self, port: Port) -> None:
        """Read until the port is gone or the device is closed."""
        try:
            while True:
                self._follow_orders()
                if self._is_closing():
                    return
                for octets in self._agenda.due(time.monotonic()):
                    port.write(octets)
                piece = port.read(self._wait_s())
                if piece or self._tail.is_stalled(self.baud):
                    self._take(piece)
        except EndOfRecordingError:
            self._dispatch(self._tail.scan_to_end())
            raise
        except PortGoneError as error:
            _log.warning("%s", error)
            self._disconnect(error)

    def _reconnect(self) -> None:
        """Try again, with growing pauses, until the port is back or the device is closed."""
        backoff = Backoff(PAUSES_S)
        while True:
            pause_ends_s = time.monotonic() + backoff.next()
            while time.monotonic() < pause_ends_s:
                self._news.wait(pause_ends_s - time.monotonic())
                self._follow_orders()
                self._agenda.due(time.monotonic())  # what waits for the port may be out of patience, and asks in vain
                self._agenda.port_lost(PortGoneError(f"{self.url}: not connected"))
                if self._is_closing():
                    return
            with contextlib.suppress(PortError):
                self._port = open_port(self.url, self.baud)
                break
        self.counts.take_reconnect()
        self._port_change.ring()
        self._agenda.port_opened(time.monotonic())
        procedure = self._interpreter.reconnected()
        if procedure is not None:
            self.start(procedure)
        if self._kept is not None:
            self._order(self._begin_kept)

    def _begin_kept(self) -> None:
        if self._kept is None or self._close_before_s is not None:
            return
        self._kept_task = Task(self._kept())
        self._kept_task.future.add_done_callback(self._look_at_kept)
        self._start(self._kept_task)

    def _give_up_kept(self) -> None:
        if self._kept_task is not None:
            self._agenda.abort(self._kept_task, time.monotonic())

    def _look_at_kept(self, future: Future[None]) -> None:
        error = future.exception()
        if isinstance(error, Exception) and not isinstance(error, PortGoneError | AbortedError):
            self.feed.close(error)

    def _disconnect(self, error: Exception) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()
            self._port_change.ring()
        self.counts.skipped_bytes += self._tail.drop()
        self._agenda.port_lost(error)

    def _is_closing(self) -> bool:
        """Tell whether the device is being closed, and procedures are through or out of time."""
        if self._close_before_s is None:
            return False
        is_idle = self._agenda.is_empty and not self._orders
        return self._port is None or self._port.is_recording or is_idle or time.monotonic() > self._close_before_s

    def _wait_s(self) -> float:
        now_s = time.monotonic()
        times = [now_s + _LONGEST_WAIT_S, self._agenda.deadline_s(), self._tail.stalls_at_s(self.baud)]
        return max(0.0, min(moment for moment in times if moment is not None) - now_s)

    def _take(self, piece: bytes) -> None:
        stalled = self._tail.is_stalled(self.baud)
        self.counts.bytes_received += len(piece)
        if self.tap is not None and piece:
            self.tap(piece)
        self._dispatch(self._tail.scan(piece, stalled=stalled))

    def _dispatch(self, scan: Scan) -> None:
        stamp = Stamp(time.monotonic_ns(), time.time_ns())
        self.counts.take_scan(scan)
        for frame in scan.frames:
            self._agenda.take(frame, time.monotonic())
            self._interpret(frame, stamp)

    def _deliver(self, frame: Frame) -> None:
        self._interpret(frame, Stamp(time.monotonic_ns(), time.time_ns()))

    def _interpret(self, frame: Frame, stamp: Stamp) -> None:
        reading = self._interpreter.take(frame, stamp, self.counts)
        if reading is not None:
            self.counts.take_reading(stamp.t_mono_ns, reading.lost_before)
            self.feed.put(reading)

    def _follow_orders(self) -> None:
        while True:
            try:
                order = self._orders.popleft()
            except IndexError:
                return
            order()

    def _start(self, task: Task[Any]) -> None:
        self._agenda.start(task, time.monotonic())
        if self._port is None:  # its first step fails, so that it can take note
            error = PortGoneError(f"{self.url}: not connected")
            (self._agenda.fail_all if self._is_over else self._agenda.port_lost)(error)

    def _set_baud(self, baud: int) -> None:
        if self._port is None:
            raise PortGoneError(f"{self.url}: not connected")
        self._port.set_baud(baud)
        self.baud = baud
        self.counts.skipped_bytes += self._tail.drop()
