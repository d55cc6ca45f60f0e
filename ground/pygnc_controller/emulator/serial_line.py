"""Serial line with the pace of its speed and with faults drawn from a seed.

`SerialLine` simulates one direction; times are arguments, so that tests and benchmarks use it in virtual time.
`PacedPort` applies two of them to a real port or pseudo-terminal.
"""

import os
import random
import select
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, log
from typing import Final, TypeAlias

BITS_PER_BYTE: Final = 10
BURST_BYTES: Final = 16
"""Bytes arrive in bursts of this size, as from the FIFO of a UART."""
AHEAD_S: Final = 0.01
"""Bytes are passed to and read from the port at most this long before their time."""
BACKLOG_MAX: Final = 65_536
"""Bytes that the driver at the Pi's end buffers; further bytes are lost because the line has no flow control."""
Spans: TypeAlias = tuple[tuple[float, float], ...]
"""Pairs of beginning and end, s."""


@dataclass(frozen=True)
class LineFaults:
    """Faults of a line: probabilities per byte, and time spans.

    Attributes:
        lost: Probability that a byte is lost.
        flipped: Probability that a bit of a byte is inverted.
        doubled: Probability that a byte arrives twice.
        stalled: Probability that a byte and all following ones are delayed by up to `stall_s`.
        stall_s: Maximum delay, s.
        cuts: Spans in which nothing arrives.
        garbled: Spans in which the ends have different speeds, so that noise arrives.
    """

    lost: float = 0.0
    flipped: float = 0.0
    doubled: float = 0.0
    stalled: float = 0.0
    stall_s: float = 0.2
    cuts: Spans = ()
    garbled: Spans = ()


@dataclass
class SerialLine:
    """Simulated direction of a line.

    Attributes:
        seed: Seed of the faults.
        baud: Speed, bits per second.
        spans_from_s: Time at which the time of the fault spans begins, s; infinity: not yet.
        busy_until_s: Time at which all written bytes have been sent, s.
        injected: Number of bytes affected by each kind of fault.
        written: Number of bytes written.
        delivered: Number of bytes read at the other end.
    """

    seed: int
    faults: LineFaults = field(default_factory=LineFaults)
    baud: int = 115_200
    spans_from_s: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable faults, no secrets
        self._arriving: deque[tuple[float, bytes]] = deque()
        self.busy_until_s = 0.0
        self._stalled_until_s = 0.0
        self._rate = self.faults.lost + self.faults.flipped + self.faults.doubled + self.faults.stalled
        self._next_fault = self._gap()
        self.injected: Counter[str] = Counter()
        self.written = 0
        self.delivered = 0

    def write(self, data: bytes, now_s: float) -> None:
        """Send bytes after those that are still being sent."""
        at = max(now_s, self.busy_until_s)
        self.written += len(data)
        for start in range(0, len(data), BURST_BYTES):
            burst = data[start : start + BURST_BYTES]
            at += len(burst) * BITS_PER_BYTE / self.baud
            self.busy_until_s = at
            arrived = self._transmit(burst, at)
            if arrived:
                self._arriving.append((max(at, self._stalled_until_s), arrived))

    def next_arrival_s(self) -> float:
        """Return the time at which the next byte arrives, s; infinity if none is on its way."""
        return self._arriving[0][0] if self._arriving else inf

    def read(self, now_s: float) -> bytes:
        """Return the bytes that have arrived."""
        found = []
        while self._arriving and self._arriving[0][0] <= now_s:
            found.append(self._arriving.popleft()[1])
        octets = b"".join(found)
        self.delivered += len(octets)
        return octets

    def _transmit(self, burst: bytes, at: float) -> bytes:
        if _is_in(self.faults.cuts, at - self.spans_from_s):
            self.injected["cut"] += len(burst)
            return b""
        if _is_in(self.faults.garbled, at - self.spans_from_s):
            self.injected["garbled"] += len(burst)
            return self._random.randbytes(len(burst))
        return self._apply_faults(burst, at)

    def _gap(self) -> int:
        """Return the number of bytes before the next fault; -1: no faults."""
        return int(log(1.0 - self._random.random()) / log(1.0 - self._rate)) if self._rate else -1

    def _apply_faults(self, burst: bytes, at: float) -> bytes:
        if self._next_fault < 0 or self._next_fault >= len(burst):
            self._next_fault -= len(burst) if self._next_fault >= 0 else 0
            return burst
        place = self._next_fault
        head, octet, rest = burst[:place], burst[place : place + 1], burst[place + 1 :]
        chances = {name: getattr(self.faults, name) for name in ("lost", "flipped", "doubled", "stalled")}
        name = self._random.choices(list(chances), list(chances.values()))[0]
        self.injected[name] += 1
        if name == "lost":
            octet = b""
        elif name == "flipped":
            octet = bytes([octet[0] ^ 1 << self._random.randrange(8)])
        elif name == "doubled":
            octet *= 2
        else:
            self._stalled_until_s = at + self._random.random() * self.faults.stall_s
        self._next_fault = self._gap()
        return head + octet + self._apply_faults(rest, at)


def _is_in(spans: Iterable[tuple[float, float]], at: float) -> bool:
    return any(begin <= at < end for begin, end in spans)


class PacedPort:
    """Port to a Pi, with the pace and the faults of a serial line.

    Args:
        descriptor: File descriptor of the port, made non-blocking; the caller closes it.
        baud: Speed of both directions, bit/s.
        faults: Faults of both directions; spans are relative to `begin_spans`.
        seed: Seed of the faults.
    """

    def __init__(self, descriptor: int, baud: int = 115_200, faults: LineFaults | None = None, seed: int = 0) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.to_pi = SerialLine(2 * seed, faults or LineFaults(), baud, spans_from_s=inf)
        self.to_host = SerialLine(2 * seed + 1, faults or LineFaults(), baud, spans_from_s=inf)
        self.is_open = True
        self._read_bytes = max(1, int(AHEAD_S * baud / BITS_PER_BYTE))
        self._rest = b""

    def begin_spans(self) -> None:
        """Start the time of the fault spans."""
        self.to_pi.spans_from_s = self.to_host.spans_from_s = time.monotonic()

    @property
    def is_free(self) -> bool:
        """True if more bytes can be sent now."""
        return self.to_pi.busy_until_s <= time.monotonic() + AHEAD_S

    def write(self, octets: bytes) -> None:
        """Send bytes to the Pi."""
        self.to_pi.write(octets, time.monotonic())

    def exchange(self, wait_s: float) -> bytes:
        """Transfer bytes in both directions, waiting up to `wait_s` seconds, and return the received bytes."""
        now_s = time.monotonic()
        reads_at_s = max(now_s, self.to_host.busy_until_s - AHEAD_S)
        arrives_s = min(self.to_pi.next_arrival_s(), self.to_host.next_arrival_s())
        wait_s = max(0.0, min(wait_s, arrives_s - now_s, reads_at_s - now_s if reads_at_s > now_s else inf))
        readable = [self._descriptor] if reads_at_s <= now_s and self.is_open else []
        writable = [self._descriptor] if self._rest and self.is_open else []
        if readable or writable:
            readable, _, _ = select.select(readable, writable, [], wait_s)
        elif wait_s > 0.0:
            time.sleep(wait_s)
        if readable:
            self._receive()
        self._deliver()
        return self.to_host.read(time.monotonic())

    def _receive(self) -> None:
        try:
            octets = os.read(self._descriptor, self._read_bytes)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self.is_open = False
        self.to_host.write(octets, time.monotonic())

    def _deliver(self) -> None:
        self._rest += self.to_pi.read(time.monotonic())
        if len(self._rest) > BACKLOG_MAX:
            self.to_pi.injected["overrun"] += len(self._rest) - BACKLOG_MAX
            self._rest = self._rest[:BACKLOG_MAX]
        try:
            while self._rest and self.is_open:
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self.is_open = False
