"""Probes of several families at a port, at one baud rate and at the same time.

All families listen to the same bytes. They send in turn, so that a device receives whole commands with pauses between
them. The family whose request is answered has the line to itself until its probe ends; if the device is not one of its
own, the others begin again without it. The time for a silent line is therefore that of the slowest probe.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pygnc_devices.errors import DeviceError, PortGoneError
from pygnc_devices.family import Family, Found
from pygnc_devices.framing import LINE_END
from pygnc_devices.port import Port
from pygnc_devices.ports import open_port
from pygnc_devices.reading import Counters
from pygnc_devices.scheduler import Procedure, Scheduler

Recognised: TypeAlias = tuple[Family, Found]
"""Family and identity of a device."""
_TURN_S: Final = 0.02
"""Pause between the commands of two families."""
_BITS_PER_BYTE: Final = 10
_LONGEST_WAIT_S: Final = 0.5
_MESSAGE_PAUSE_S: Final = 0.1
"""Pause that separates two messages, s; adapters and computers may delay parts of one message by some 10 ms."""
_USUAL_INTERVAL_S: Final = 1.0
"""Interval that is assumed between the first two messages, s."""


@dataclass(slots=True)
class Heard:
    """Bytes that a port has received, at all baud rates.

    Attributes:
        octets: the bytes.
    """

    octets: bytearray = field(default_factory=bytearray)
    _message_s: float = 0.0
    _newest_s: float = 0.0
    _interval_s: float = math.inf

    def add(self, octets: bytes, now_s: float) -> None:
        """Add bytes that are received at a time, s; a message begins after a pause."""
        if not self.octets:
            self._message_s = now_s
        elif now_s - self._newest_s > _MESSAGE_PAUSE_S:
            self._interval_s, self._message_s = min(self._interval_s, now_s - self._message_s), now_s
        self.octets += octets
        self._newest_s = now_s

    def next_message_s(self, now_s: float) -> float | None:
        """Return the time until the next message, s, if messages are periodic; None before the first one."""
        if not self.octets:
            return None
        interval_s = self._interval_s if self._interval_s < math.inf else _USUAL_INTERVAL_S
        return interval_s - (now_s - self._message_s) % interval_s


def probe(url: str, baud: int, family: Family, timeout_s: float) -> Found:
    """Identify the device of a family at a port, and close the port again.

    Args:
        url: port.
        baud: baud rate in bit/s.
        family: family whose probe is sent.
        timeout_s: longest time from the call to the response, s.

    Raises:
        DeviceError: the response is not from a device of the family.
        PortError: the port cannot be opened.
        TimeoutError: no device responds within `timeout_s`.
    """
    end_s = time.monotonic() + timeout_s
    with closing(open_port(url, baud)) as port:
        line = _Line(port, baud, Heard())
        (attempt,) = attempts = line.attempts([family])
        _carry_out(line, attempts, [], end_s)
        return attempt.result()


def probe_families(  # noqa: PLR0917 - the conditions of a probe
    url: str,
    baud: int,
    families: Sequence[Family],
    listeners: Sequence[Family],
    heard: Heard,
    timeout_s: float,
    listen_s: float = 0.0,
    *,
    asked: Sequence[Family] = (),
    received: bytes = b"",
) -> Recognised | None:
    """Identify the device at a port, which is of one of several families, and close the port again.

    Args:
        url: port.
        baud: baud rate in bit/s.
        families: families whose probes are sent.
        listeners: families whose probes are sent only if something is received.
        heard: what was received before; what the port receives is added.
        timeout_s: longest time, s.
        listen_s: time for which a line on which something is received is listened to if no family recognises it, s;
            shorter if the bytes come with short pauses, or once a message was received from pause to pause. A family
            whose frame is received meanwhile is asked again.
        asked: families that did not respond before at this baud rate; they are asked only if their frame is received.
        received: bytes that were received before at this baud rate, which these families have not seen.

    Returns:
        Its family and its identity; None if no family recognises it. An identity that is not certain is returned only
        if no other family recognises the device.

    Raises:
        PortError: the port cannot be opened.
    """
    end_s = time.monotonic() + timeout_s
    try:
        with closing(open_port(url, baud)) as port:
            line = _Line(port, baud, heard)
            recognised = _identify(line, [*families], [*listeners], end_s)
            if recognised is None and heard.octets:
                with contextlib.suppress(PortGoneError):
                    return _listen(line, [*families, *listeners, *asked], received, listen_s, end_s)
            return recognised
    except PortGoneError:  # a server may close the connection after a command that it does not know
        several = [*families, *(listeners if heard.octets else ())]
        if len(several) == 1:
            return None
    for family in several:
        if found := probe_families(url, baud, [family], [], heard, end_s - time.monotonic()):
            return found
    return None


class _Attempt:
    """Probe of a family. Until it is started, it only listens.

    A passive probe starts itself when a frame of its family is received, and takes that frame for the response to its
    first question, which is not sent.

    Attributes:
        family: the family.
        scheduler: carries out the steps of the probe.
        is_answered: True if a request of the probe was answered.
    """

    def __init__(self, family: Family, port: Port, baud: int, *, is_passive: bool) -> None:
        self.family = family
        self.scheduler = Scheduler(Counters(), port.set_baud)
        self.is_answered = False
        self._procedure: Procedure[Found] | None = None
        self._buffer = family.wire.receive_buffer(port.url)
        self._baud = baud
        self._is_passive = is_passive

    @property
    def is_active(self) -> bool:
        """True if the probe is in progress."""
        return self._procedure is not None and not self._procedure.future.done()

    @property
    def is_decided(self) -> bool:
        """True if the probe has ended and was answered, or has recognised a device by its stream."""
        future = None if self._procedure is None else self._procedure.future
        return future is not None and future.done() and (self.is_answered or future.exception() is None)

    def start(self) -> None:
        """Start the probe, unless it was started."""
        if self._procedure is None:
            self._procedure = Procedure(self.family.probe())
            self.scheduler.start(self._procedure, time.monotonic())

    def abort(self) -> None:
        """Abort the probe; its clean-up must still be carried out."""
        if self._procedure is not None:
            self.scheduler.abort(self._procedure, time.monotonic())

    def result(self) -> Found:
        """Return the result of the probe, or raise its error.

        Raises:
            TimeoutError: it has not ended.
        """
        if self._procedure is None:
            raise TimeoutError
        return self._procedure.result(0.0)

    def deadline_s(self) -> float:
        """Return the time at which the probe must be served next, s."""
        times = (self.scheduler.deadline_s(), self._buffer.stalls_at_s(self._baud))
        return min((moment for moment in times if moment is not None), default=float("inf"))

    def receive(self, piece: bytes) -> None:
        """Pass the frames in received bytes to the probe."""
        now_s = time.monotonic()
        frames = self._buffer.scan(piece, self._baud, now_s).frames
        if self._is_passive and self._procedure is None and any(frame.kind != LINE_END for frame in frames):
            self.start()
            self.scheduler.due(now_s)
        for frame in frames:
            self.is_answered |= self.scheduler.take(frame, now_s)


def _identify(line: "_Line", families: list[Family], listeners: list[Family], end_s: float) -> Recognised | None:
    uncertain: Recognised | None = None
    while True:
        decided = None
        with contextlib.suppress(TimeoutError):
            decided = _carry_out(line, line.attempts(families), line.attempts(listeners), end_s)
        if decided is None:
            return uncertain
        kind = decided.family
        with contextlib.suppress(DeviceError):
            found = decided.result()
            if found.is_certain:
                return kind, found
            uncertain = uncertain or (kind, found)
        families = [other for other in families if other is not kind]
        # Once a device is recognised, families that only listen have nothing to add.
        listeners = [other for other in listeners if other is not kind and uncertain is None]


def _listen(
    line: "_Line", families: list[Family], received: bytes, longest_s: float, end_s: float
) -> Recognised | None:
    """Listen until a whole message was received; identify the device if it is of a family that knows its frames."""
    attempts = line.attempts((family for family in families if family.wire.scanner is not None), is_passive=True)
    try:
        for attempt in attempts:  # a frame may have arrived while others were asked
            attempt.receive(received + line.received())
        while time.monotonic() < end_s:
            for attempt in (attempt for attempt in attempts if attempt.is_decided):
                with contextlib.suppress(DeviceError):
                    return attempt.family, attempt.result()
            active = [attempt for attempt in attempts if attempt.is_active]
            listens_until_s = line.listens_until_s(longest_s)
            if not active and time.monotonic() >= listens_until_s:
                break
            line.serve(active, attempts, end_s if active else min(listens_until_s, end_s))
        return None
    finally:
        _end(line, attempts)


def _carry_out(line: "_Line", asking: list[_Attempt], listening: list[_Attempt], end_s: float) -> _Attempt | None:
    """Carry out probes until one is decided, and return it; None if all end without an answer.

    Raises:
        TimeoutError: the time is over.
        PortGoneError: the port was lost.
    """
    attempts = [*asking, *listening]
    try:
        while time.monotonic() < end_s:
            for attempt in attempts if line.heard.octets else asking:
                attempt.start()
            decided = next((attempt for attempt in attempts if attempt.is_decided), None)
            active = [attempt for attempt in attempts if attempt.is_active]
            if decided is not None or not active:
                return decided
            owner = next((attempt for attempt in active if attempt.is_answered), None)
            line.serve(active if owner is None else [owner], attempts, end_s)
        raise TimeoutError
    finally:
        _end(line, attempts)


def _end(line: "_Line", attempts: list[_Attempt]) -> None:
    """Abort probes, and carry out their clean-up."""
    for attempt in attempts:
        attempt.abort()
    end_s = time.monotonic() + max((attempt.family.wire.closing_limit_s for attempt in attempts), default=0.0)
    with contextlib.suppress(PortGoneError):
        while (active := [entry for entry in attempts if entry.is_active]) and time.monotonic() < end_s:
            line.serve(active, active, end_s)


class _Line:
    """Line on which one family sends at a time.

    Args:
        port: port at the end of the line.
        baud: its baud rate, bits per second.
        heard: what was received before; what is received is added.
    """

    def __init__(self, port: Port, baud: int, heard: Heard) -> None:
        self.heard = heard
        self._port = port
        self._baud = baud
        self._free_s = 0.0
        self._sent = bytearray()
        """Bytes that the line may return; see `_read`."""
        self._start = len(heard.octets)
        self._start_s = self._newest_s = time.monotonic()
        self._pause_s = 0.0

    def attempts(self, families: Iterable[Family], *, is_passive: bool = False) -> list[_Attempt]:
        """Return probes of families at this line."""
        return [_Attempt(family, self._port, self._baud, is_passive=is_passive) for family in families]

    def serve(self, senders: list[_Attempt], receivers: list[_Attempt], end_s: float) -> None:
        """Send the commands that are due, and wait for bytes until more are due, or until `end_s`."""
        for attempt in sorted(senders, key=_Attempt.deadline_s):
            now_s = time.monotonic()
            if now_s < self._free_s and not attempt.is_answered:
                break
            for octets in attempt.scheduler.due(now_s):
                self._port.write(octets)
                self._sent += octets
                self._free_s = now_s + len(octets) * _BITS_PER_BYTE / self._baud + _TURN_S
        if not all(attempt.is_active for attempt in senders):
            return
        times = [max(attempt.deadline_s(), 0.0 if attempt.is_answered else self._free_s) for attempt in senders]
        now_s = time.monotonic()
        piece = self._read(max(0.0, min(*times, end_s, now_s + _LONGEST_WAIT_S) - now_s))
        for attempt in receivers:
            attempt.receive(piece)

    def received(self) -> bytes:
        """Return what was received at this line."""
        return bytes(self.heard.octets[self._start :])

    def listens_until_s(self, longest_s: float) -> float:
        """Return the time until which to listen so that a whole message is received, s.

        A message is whole if it begins and ends with a pause, or if twice the longest pause has passed since the start.
        """
        now_s = time.monotonic()
        pause_s = max(self._pause_s, now_s - self._newest_s)
        end_s = self._start_s + min(longest_s, 2.0 * pause_s)
        return min(end_s, self._newest_s + _MESSAGE_PAUSE_S) if self._pause_s > _MESSAGE_PAUSE_S else end_s

    def _read(self, timeout_s: float) -> bytes:
        """Receive, and add the bytes to those heard, without what a line with an echo returns."""
        piece = self._port.read(timeout_s)
        echoed = sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(piece, self._sent, strict=False))
        )
        del self._sent[:echoed]
        if len(piece) > echoed:
            now_s = time.monotonic()
            self.heard.add(piece[echoed:], now_s)
            self._pause_s, self._newest_s = max(self._pause_s, now_s - self._newest_s), now_s
        return piece
