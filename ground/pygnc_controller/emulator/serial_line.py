"""One direction of a serial line: bytes take their time, and faults drawn from a seed happen to them.

Times are arguments: the same line serves tests and benchmarks in virtual time, and `cable` on a real port.

The controller's end of a real line: a pty's master or a serial port, at a set pace, with faults on the way.
"""

import os
import random
import select
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf, log
from typing import Final, TypeAlias

BITS_PER_BYTE: Final = 10
BURST_BYTES: Final = 16
"""Bytes arrive in pieces as from a UART's FIFO."""
Spans: TypeAlias = tuple[tuple[float, float], ...]
"""From, to, s."""


@dataclass(frozen=True)
class LineFaults:
    """What happens to bytes: probabilities per byte, and spans of time.

    Attributes:
        lost: the byte vanishes.
        flipped: one bit of it is inverted.
        doubled: it comes twice.
        stalled: it and all behind it come late, by up to `stall_s`.
        stall_s: longest delay.
        cuts: nothing arrives.
        garbled: the ends are at different speeds, and what arrives is noise.
    """

    lost: float = 0.0
    flipped: float = 0.0
    doubled: float = 0.0
    stalled: float = 0.0
    stall_s: float = 0.2
    cuts: Spans = ()
    garbled: Spans = ()

    def since(self, start_s: float) -> "LineFaults":
        """Return the same with spans that count from a time."""
        return replace(self, cuts=_later(self.cuts, start_s), garbled=_later(self.garbled, start_s))


@dataclass
class SerialLine:
    """One direction of a line.

    Attributes:
        busy_until_s: when all that was written has been sent.
        injected: bytes that something happened to, by what it was.
        written: bytes put on the line.
        delivered: bytes that came out of it.
    """

    seed: int
    faults: LineFaults = field(default_factory=LineFaults)
    baud: int = 115_200

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - faults that a seed repeats, no secrets
        self._arriving: deque[tuple[float, bytes]] = deque()
        self.busy_until_s = 0.0
        self._stalled_until_s = 0.0
        self._rate = self.faults.lost + self.faults.flipped + self.faults.doubled + self.faults.stalled
        self._next_fault = self._gap()
        self.injected: Counter[str] = Counter()
        self.written = 0
        self.delivered = 0

    def write(self, data: bytes, now_s: float) -> None:
        """Put bytes on the line, behind those that are still being sent."""
        at = max(now_s, self.busy_until_s)
        self.written += len(data)
        for start in range(0, len(data), BURST_BYTES):
            burst = data[start : start + BURST_BYTES]
            at += len(burst) * BITS_PER_BYTE / self.baud
            self.busy_until_s = at
            arrived = self._passed(burst, at)
            if arrived:
                self._arriving.append((max(at, self._stalled_until_s), arrived))

    def next_arrival_s(self) -> float:
        """When the next byte arrives."""
        return self._arriving[0][0] if self._arriving else inf

    def read(self, now_s: float) -> bytes:
        """Return what has arrived."""
        found = []
        while self._arriving and self._arriving[0][0] <= now_s:
            found.append(self._arriving.popleft()[1])
        octets = b"".join(found)
        self.delivered += len(octets)
        return octets

    def _passed(self, burst: bytes, at: float) -> bytes:
        if _is_in(self.faults.cuts, at):
            self.injected["cut"] += len(burst)
            return b""
        if _is_in(self.faults.garbled, at):
            self.injected["garbled"] += len(burst)
            return self._random.randbytes(len(burst))
        return self._damaged(burst, at)

    def _gap(self) -> int:
        """Bytes without a fault until the next one."""
        return int(log(1.0 - self._random.random()) / log(1.0 - self._rate)) if self._rate else -1

    def _damaged(self, burst: bytes, at: float) -> bytes:
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
        return head + octet + self._damaged(rest, at)


def _later(spans: Spans, start_s: float) -> Spans:
    return tuple((begin + start_s, end + start_s) for begin, end in spans)


def _is_in(spans: Iterable[tuple[float, float]], at: float) -> bool:
    return any(begin <= at < end for begin, end in spans)


AHEAD_S: Final = 0.01
"""Bytes are put on the line, and taken from it, at most so long before it is their turn."""
BACKLOG_MAX: Final = 65_536
"""As much waits at the Pi's end as in its driver; what comes beyond is lost, for the line has no flow control."""


class PacedPort:
    """A line to a Pi.

    Args:
        descriptor: of the port; stays the caller's. Is made non-blocking.
        baud: pace of both directions.
        faults: what happens on the way, both ways. Spans count from `begin_spans` on.
        seed: of the faults.
    """

    def __init__(self, descriptor: int, baud: int = 115_200, faults: LineFaults | None = None, seed: int = 0) -> None:
        self._descriptor = descriptor
        self._faults = faults or LineFaults()
        os.set_blocking(descriptor, False)
        quiet = self._faults.since(inf)
        self.to_pi = SerialLine(2 * seed, quiet, baud)
        self.to_host = SerialLine(2 * seed + 1, quiet, baud)
        self.is_open = True
        self._portion = max(1, int(AHEAD_S * baud / BITS_PER_BYTE))
        self._rest = b""

    def begin_spans(self) -> None:
        """Let the time of cuts and of wrong speeds count from now on."""
        self.to_pi.faults = self.to_host.faults = self._faults.since(time.monotonic())

    @property
    def is_free(self) -> bool:
        """Whether the line takes more to the Pi."""
        return self.to_pi.busy_until_s <= time.monotonic() + AHEAD_S

    def write(self, octets: bytes) -> None:
        """Put bytes on the line."""
        self.to_pi.write(octets, time.monotonic())

    def exchange(self, wait_s: float) -> bytes:
        """Move what is to be moved, waiting for it up to `wait_s`; return what has arrived here."""
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
            self._take()
        self._deliver()
        return self.to_host.read(time.monotonic())

    def _take(self) -> None:
        try:
            octets = os.read(self._descriptor, self._portion)
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
